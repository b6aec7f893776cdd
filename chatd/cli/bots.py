"""chatd bots"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Any

import typer

from chatd.accounts import bot_tokens
from chatd.accounts.authentication import ensure_tenants
from chatd.accounts.bot_tokens import NewBotToken
from chatd.accounts.keys import Keyring
from chatd.bots import accounts
from chatd.bots.accounts import Added, Profile, Reads, tools_for
from chatd.cli.cluster import close_sessions, notify_nodes
from chatd.cli.common import (
    AsJson,
    ConfigFile,
    TenantOption,
    current_operator,
    end_of,
    exit_failed,
    exit_usage,
    failures,
    format_time,
    load_or_exit,
    print_json,
    run_async,
    seconds_of,
)
from chatd.cli.databases import database
from chatd.cli.printing import records, say
from chatd.cluster.control_messages import CloseUserSessions
from chatd.core.clock import now_ms
from chatd.core.config import Config
from chatd.core.ids import is_uuid
from chatd.db import queries
from chatd.db.postgres import Postgres, UniqueViolation
from chatd.people import handles
from chatd.subsystems import all_personal_data
from chatd.webhooks.directory import EndpointsChanged

SQL = queries.load("bots/bots")
app = typer.Typer(
    help="Add, list, change and remove bots, and issue their tokens. See docs/bots.md.", no_args_is_help=True
)
Bot = Annotated[str, typer.Argument(help="The bot's handle or id.", metavar="BOT")]
Name = Annotated[str | None, typer.Option(help="Display name.")]
About = Annotated[str | None, typer.Option(help="What the bot does, at most 500 characters.", metavar="TEXT")]
Picture = Annotated[str | None, typer.Option(help="URL of a picture.", metavar="URL")]
ReadsOption = Annotated[
    str | None,
    typer.Option(
        help="What the bot receives in groups: only what concerns it, or all messages.", metavar="commands|all"
    ),
]
Webhook = Annotated[str | None, typer.Option(help="URL that gets the bot's events.", metavar="URL")]
Expires = Annotated[str | None, typer.Option(help="Lifetime of the token, such as 90d. Default: it does not expire.")]


def reads_of(text: str | None) -> Reads | None:
    match text:
        case None | "commands" | "all":
            return text
    raise exit_usage(f"--reads {text}: expected commands or all")


@app.command()
def add(
    handle: Annotated[str, typer.Argument(help="Unique handle, such as weather.")],
    name: Name = None,
    description: About = None,
    picture: Picture = None,
    reads: ReadsOption = None,
    webhook: Webhook = None,
    expires: Expires = None,
    tenant: TenantOption = "default",
    config: ConfigFile = None,
    json: AsJson = False,
) -> None:
    """Add a bot and print its token. It is shown this once.

    [bold]Examples[/]

      chatd bots add weather --name Weather

      chatd bots add moderator --reads all --webhook https://example.org/bot
    """
    given = Profile(handle, name, description, picture, reads_of(reads), webhook)
    added = run_async(add_bot, load_or_exit(config).config, tenant, given, end_of(expires))
    if json:
        print_json({"bot": added.id, "token": added.token, "webhook_secret": added.webhook_secret})
        return
    say(f"id: {added.id}")
    say(f"token: {added.token}")
    if added.webhook_secret is not None:
        say(f"secret of the webhook: {added.webhook_secret}")


async def add_bot(config: Config, tenant: str, given: Profile, until: int | None) -> Added:
    with failures():
        keys = Keyring(config)
    if tenant not in keys.tenants:
        raise exit_failed(f"tenant {tenant} does not exist; configured: {', '.join(keys.tenants)}")
    async with database(config) as db:
        await ensure_tenants(db, keys, now_ms())
        tools = tools_for(config, db, all_personal_data())
        try:
            added = await db.in_transaction(accounts.add, tools, current_operator(tenant), given, until)
        except UniqueViolation:
            raise handles.taken() from None
    if given.webhook:
        await notify_nodes(config, EndpointsChanged())
    return added


@app.command("list")
def list_bots(tenant: TenantOption = "default", config: ConfigFile = None, json: AsJson = False) -> None:
    """List the bots with the state of their tokens and webhooks."""
    rows = run_async(find_bots, load_or_exit(config).config, tenant)
    if json:
        print_json(rows)
        return
    records(map(lines_of, rows))


async def find_bots(config: Config, tenant: str) -> list[dict[str, Any]]:
    async with database(config) as db:
        return await accounts.every(db, tenant)


def lines_of(row: dict[str, Any]) -> Sequence[str]:
    lines = [
        f"@{row['handle']}  {row['id']}  {row['name']}",
        f"reads {row['reads']}, {row['commands']} commands, by {row['added_by']} {format_time(row['created_at'])}",
        token_line(row),
    ]
    if row["endpoint"] is not None:
        state = f"disabled: {row['disabled_reason']}" if row["disabled_at"] else "enabled"
        lines.append(f"webhook {row['url']}, {state}, endpoint {row['endpoint']}")
    return lines


def token_line(row: dict[str, Any]) -> str:
    if row["issued_at"] is None:
        return "no token"
    used = format_time(row["last_used_at"]) if row["last_used_at"] else "never"
    state = (
        f"revoked {format_time(row['revoked_at'])}" if row["revoked_at"] else f"until {format_time(row['expires_at'])}"
    )
    return f"token of {format_time(row['issued_at'])}, {state}, last used {used}"


@app.command()
def update(
    bot: Bot,
    handle: Annotated[str | None, typer.Option(help="New handle.")] = None,
    name: Name = None,
    description: About = None,
    picture: Picture = None,
    reads: ReadsOption = None,
    webhook: Webhook = None,
    tenant: TenantOption = "default",
    config: ConfigFile = None,
) -> None:
    """Change a bot; an empty picture or webhook is removed. Prints the secret of a new webhook.

    [bold]Example[/]

      chatd bots update weather --reads all
    """
    given = Profile(handle, name, description, picture, reads_of(reads), webhook)
    if given == Profile():
        raise exit_usage("nothing to change: name at least one option")
    secret = run_async(update_bot, load_or_exit(config).config, tenant, bot, given)
    if secret is not None:
        say(f"secret of the webhook: {secret}")


async def update_bot(config: Config, tenant: str, bot: str, given: Profile) -> str | None:
    async with database(config) as db:
        tools, id_ = tools_for(config, db, all_personal_data()), await id_of(db, tenant, bot)
        try:
            secret = await db.in_transaction(accounts.update, tools, current_operator(tenant), id_, given)
        except UniqueViolation:
            raise handles.taken() from None
    if given.webhook is not None:
        await notify_nodes(config, EndpointsChanged())
    return secret


@app.command()
def remove(
    bot: Bot,
    yes: Annotated[bool, typer.Option("--yes", help="Confirm; it cannot be undone.")] = False,
    tenant: TenantOption = "default",
    config: ConfigFile = None,
) -> None:
    """Remove a bot: its sessions end at once on all nodes, and its data is erased as that of a user."""
    if not yes:
        raise exit_usage("Nothing was removed. Add --yes to confirm.")
    run_async(remove_bot, load_or_exit(config).config, tenant, bot)


async def remove_bot(config: Config, tenant: str, bot: str) -> None:
    async with database(config) as db:
        tools, id_ = tools_for(config, db, all_personal_data()), await id_of(db, tenant, bot)
        await db.in_transaction(accounts.remove, tools, current_operator(tenant), id_)
    await close_sessions(config, tenant, id_, "logged_out", now_ms())


@app.command()
def rotate(
    bot: Bot,
    overlap: Annotated[str, typer.Option(help="How long the present token remains valid, at most 30d.")] = "1d",
    expires: Expires = None,
    tenant: TenantOption = "default",
    config: ConfigFile = None,
    json: AsJson = False,
) -> None:
    """Give a bot a new token and print it. The present token remains valid for a while.

    [bold]Example[/]

      chatd bots rotate weather --overlap 1h
    """
    seconds = seconds_of(overlap)
    if seconds > bot_tokens.MAX_OVERLAP_S:
        raise exit_usage(f"{overlap} is too long: the maximum is 30d")
    new = run_async(rotate_token, load_or_exit(config).config, tenant, bot, seconds, end_of(expires))
    print_json({"token": new.secret}) if json else say(new.secret)


async def rotate_token(config: Config, tenant: str, bot: str, overlap_s: int, until: int | None) -> NewBotToken:
    async with database(config) as db:
        id_ = await id_of(db, tenant, bot)
        new = await db.in_transaction(accounts.issue, current_operator(tenant), id_, overlap_s, until)
    await close_all(config, tenant, id_, new.ended)
    return new


@app.command()
def revoke(bot: Bot, tenant: TenantOption = "default", config: ConfigFile = None) -> None:
    """Revoke the token of a bot. Its sessions end at once on all nodes; `rotate` gives it a new one."""
    run_async(revoke_token, load_or_exit(config).config, tenant, bot)


async def revoke_token(config: Config, tenant: str, bot: str) -> None:
    async with database(config) as db:
        id_ = await id_of(db, tenant, bot)
        ended = await db.in_transaction(accounts.revoke, current_operator(tenant), id_)
    await close_all(config, tenant, id_, ended)


async def close_all(config: Config, tenant: str, bot: str, credentials: Sequence[str]) -> None:
    for credential in credentials:
        await notify_nodes(config, CloseUserSessions(tenant, bot, "logged_out", credential, now_ms()))


async def id_of(db: Postgres, tenant: str, bot: str) -> str:
    """The id of a bot, by its handle or id."""
    if is_uuid(bot.lower()):
        return bot.lower()
    found: str | None = None
    with suppress(ValueError):
        handle = handles.handle_form(bot)
        found = await db.value(SQL.find_by_handle, tenant, handle, handles.key_of(handle))
    if found is None:
        raise exit_failed(f"tenant {tenant} has no bot @{bot}")
    return found
