"""The tables of accounts: what bounds their rows, and what they contain about users."""

from chatd.app.storage import Deleted, Kept, Limited, OneFor, Table, UserData, Within
from chatd.db import queries

EXTERNAL_LOGINS = queries.load("accounts/external_logins")
AUTH = queries.load("accounts/auth")
IDLE_ACCOUNTS = queries.load("accounts/idle_accounts")
SERVICE_TOKENS = queries.load("accounts/service_tokens")
PERSONAL_DATA = queries.load("accounts/personal_data")

TABLES = (
    Table(
        "users",
        (Deleted(IDLE_ACCOUNTS, "delete_accounts"), Limited("retention.anonymous_days")),
        UserData(
            what=(
                "`id`, `external_id`, `name`, `handle`, `avatar`, `picture_url`, `status_text`, `locale`, `time_zone`, "
                "`roles`, `profile`; `claims`: hashes of claims; `handle_key`, `indexed_name`: forms of the handle and "
                "the name that are compared"
            ),
            kept="forever; an unused anonymous account for `retention.anonymous_days`",
            exported=("profile",),
            erased="removed, except the times of the account, and whether it was anonymous, a bot or shadow-banned",
            id_stays=("id",),
        ),
        impersonal=("bot_reads",),
    ),
    Table(
        "devices",
        (Within("users"), Deleted(PERSONAL_DATA, "forget")),
        UserData(
            what="`user_id`; `key_hash`: the secret of a device, as a hash",
            kept="as long as the account",
            exported=("profile",),
            erased="deleted",
            rows_of="user_id",
        ),
    ),
    Table(
        "logins",
        (
            Within("users"),
            Deleted(AUTH, "sweep_logins"),
            Deleted(AUTH, "limit_logins"),
            Deleted(EXTERNAL_LOGINS, "sweep_unused"),
            Deleted(EXTERNAL_LOGINS, "sweep_ended"),
            Limited("limits.logins_per_user"),
        ),
        UserData(
            what="`user_id`; times; `name`, `platform`; `address`: an IPv4 /24 or IPv6 /48",
            kept="until its last refresh token is deleted; an ended one for 30 days; one of an identity "
            "provider for 90 days after its last use, or 400 days after its end",
            exported=("login",),
            erased="deleted",
            rows_of="user_id",
        ),
    ),
    Table(
        "refresh_tokens",
        (Within("logins"), Deleted(AUTH, "sweep_refresh_tokens")),
        UserData(what="`hash`, of a `login`", kept="as long as the login", erased="deleted with the login"),
    ),
    Table(
        "revoked_tokens",
        (Deleted(AUTH, "sweep_revoked_tokens"),),
        UserData(what="`token_id`", kept="until the token ends", erased="stays"),
    ),
    Table(
        "connection_tickets",
        (Deleted(AUTH, "sweep_tickets"),),
        UserData(
            what="`user_id`; `hash`, `token_id`, `login`, `scope`, `external_id`",
            kept="at most an hour",
            erased="deleted",
            rows_of="user_id",
        ),
    ),
    Table(
        "service_tokens",
        (Deleted(SERVICE_TOKENS, "sweep_revoked"), Deleted(SERVICE_TOKENS, "sweep_expired")),
        impersonal=("id", "name", "hash", "previous_hash", "scopes", "actor"),
    ),
    Table(
        "bot_tokens",
        (Within("users"), OneFor("bots")),
        UserData(
            what="`user_id`: a bot; `id`, `previous_id`, `hash`, `previous_hash`: its secrets, as hashes",
            kept="until the bot is removed",
            erased="deleted",
            rows_of="user_id",
        ),
    ),
    Table(
        "bans",
        (Kept("bans protect other users"),),
        UserData(
            what="`user_id`, `device_hash`, `address_hash`: whom or what is banned; `reason`, `actor`",
            kept="forever",
            erased="stays",
        ),
    ),
)
