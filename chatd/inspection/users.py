"""Admin commands that find users and show what is known of one: profile, logins, strikes and bans."""

from contextlib import suppress
from typing import Annotated, Any, ClassVar

from msgspec import Meta, Struct, convert

from chatd.accounts.ban_commands import Ban
from chatd.accounts.external_ids import user_id_of
from chatd.app.context import Ctx
from chatd.app.effects import Effects, Reply
from chatd.app.registry import admin_command
from chatd.core.errors import Refused
from chatd.db import queries
from chatd.db.batches import page_of
from chatd.moderation import strikes
from chatd.people.names import search_form
from chatd.wire.admin import AdminCommand
from chatd.wire.base import Id, Limit, Millis, Result
from chatd.wire.reference.examples import Example
from chatd.wire.texts import PRIVATE

SQL = queries.load("inspection/users")
# Entries of the index of names that one search reads: a user has several.
MAX_SCANNED = 1000
MAX_LISTED = 200
LAST_CHARACTER = "\U0010ffff"


class FindUsers(AdminCommand, tag="admin.users"):
    """Find users by id, external id, handle, or the beginning of a word of the name; without a query, list all.

    Names are found if `people.search` is `names`, handles always. `before`: without a query, the last id of the
    previous page. Ids of users that chatd has made are in the order of the sign-ups.
    """

    query: Annotated[str, Meta(max_length=255, extra=PRIVATE)] = ""
    before: Id | None = None
    limit: Limit = 50
    EXAMPLE: ClassVar = Example(query="anna", shown=("query",))


class UserLine(Struct, kw_only=True, frozen=True):
    """A user in a list. `shadow`: shadow-banned."""

    user: Id
    name: str | None
    handle: str | None
    anonymous: bool
    shadow: bool
    created_at: Millis
    deactivated_at: Millis | None
    erased_at: Millis | None


class UserLines(Result, tag="admin.user.list"):
    """Users. `more`: there are further ones."""

    items: list[UserLine]
    more: bool


@admin_command(FindUsers, result=UserLines, role="viewer")
async def find_users(ctx: Ctx, cmd: FindUsers) -> Effects:
    if cmd.query.strip():
        rows = await search(ctx, cmd.query.strip(), cmd.limit + 1)
    else:
        rows = [dict(row) for row in await ctx.node.db.all(SQL.page, ctx.tenant, cmd.before, cmd.limit + 1)]
    page, more = page_of(rows, cmd.limit)
    return [Reply(UserLines(items=convert(page, list[UserLine]), more=more))]


async def search(ctx: Ctx, query: str, limit: int) -> list[dict[str, Any]]:
    """The user with this id or external id, then those by name."""
    db, rows = ctx.node.db, dict[str, dict[str, Any]]()
    with suppress(ValueError):
        row = await db.one(SQL.by_id, ctx.tenant, user_id_of(ctx.tenant, query))
        if row is not None:
            rows[row["user"]] = dict(row)
    form = search_form(query)
    if form:
        found = await db.all(SQL.by_name, ctx.tenant, form, form + LAST_CHARACTER, MAX_SCANNED, limit)
        rows |= {row["user"]: dict(row) for row in found}
    return list(rows.values())


class InspectUser(AdminCommand, tag="admin.user.details"):
    """Show the profile of a user, their logins, strikes and bans: the latest 200 of each."""

    user: Id


class UserLogin(Struct, kw_only=True, frozen=True):
    """A login. `address`: a network, an IPv4 /24 or an IPv6 /48. `is_external`: a session at an identity provider."""

    id: Id
    name: str | None
    platform: str | None
    created_at: Millis
    last_seen: Millis
    address: str | None
    ended_at: Millis | None
    is_external: bool


class Strike(Struct, kw_only=True, frozen=True):
    """A strike. After `expires_at` it does not count."""

    id: Id
    reason: str
    actor: str
    created_at: Millis
    expires_at: Millis | None
    EXAMPLE: ClassVar = Example(reason="spam")


class UserDetails(Result, tag="admin.user.detailed", kw_only=True):
    """What is known of a user besides the counts of `admin.user`."""

    handle: str | None
    status_text: str | None
    external_id: str | None
    avatar: Id | None
    picture_url: str | None
    locale: str | None
    time_zone: str | None
    roles: list[str]
    deactivated_at: Millis | None
    erased_at: Millis | None
    logins: list[UserLogin]
    strikes: list[Strike]
    bans: list[Ban]


@admin_command(InspectUser, result=UserDetails, role="viewer", refuses=("not_found",))
async def inspect_user(ctx: Ctx, cmd: InspectUser) -> Effects:
    """`not_found`: there is no such user."""
    db = ctx.node.db
    profile = await db.one(SQL.profile, ctx.tenant, cmd.user)
    if profile is None:
        raise Refused("not_found", "no such user")
    logins = await db.all(SQL.logins, ctx.tenant, cmd.user, MAX_LISTED)
    bans = await db.all(SQL.bans, ctx.tenant, cmd.user, MAX_LISTED)
    details = UserDetails(
        **dict(profile),
        logins=convert([dict(row) for row in logins], list[UserLogin]),
        strikes=convert(await strikes.of_user(db, ctx.tenant, cmd.user), list[Strike]),
        bans=convert([dict(row) for row in bans], list[Ban]),
    )
    return [Reply(details)]
