"""Bans and strikes, by the functions that admins use."""

from typing import Annotated, ClassVar

from msgspec import Meta, convert

from chatd.accounts import bans
from chatd.accounts.ban_commands import Ban, BanAdded
from chatd.app.context import Ctx
from chatd.app.effects import CloseSessions, Effects, Reply
from chatd.app.registry import server_command
from chatd.core.errors import Refused
from chatd.db.batches import page_of
from chatd.moderation import strikes
from chatd.moderation.settings import ModerationSettings
from chatd.moderation.user_admin_commands import Struck
from chatd.wire.admin import Lasts
from chatd.wire.base import Id, Limit, Ok, Result
from chatd.wire.reference.examples import Example
from chatd.wire.server import ServerCommand
from chatd.wire.texts import PRIVATE

Reason = Annotated[str, Meta(min_length=1, max_length=500, extra=PRIVATE)]


class ServerBanUser(ServerCommand, tag="server.ban"):
    """Ban a user. Without `lasts` the ban is permanent. `devices`: also ban the devices on which the user has signed
    up.

    Connections of the user are closed on all nodes at once, and logins of the user are revoked.
    """

    user: Id
    reason: Reason
    devices: bool = False
    lasts: Lasts | None = None
    EXAMPLE: ClassVar = Example(shown=("lasts",), reason="spam")


@server_command(
    ServerBanUser,
    result=BanAdded,
    scope="moderation",
    refuses=("not_found",),
    http="POST /v1/server/users/{user}/bans",
    uncancellable=True,
)
async def ban_user(ctx: Ctx, cmd: ServerBanUser) -> Effects:
    """`not_found`: there is no such user."""
    until = None if cmd.lasts is None else ctx.now + cmd.lasts * 1000
    ban = await bans.ban_user(ctx.node.db, ctx.actor, cmd.user, cmd.reason, until, devices=cmd.devices)
    return [CloseSessions(cmd.user, "banned"), Reply(BanAdded(ban=ban, until=until))]


class ServerLiftBan(ServerCommand, tag="server.ban.lift"):
    """Revoke a ban, as admin.ban.lift does."""

    ban: Id


@server_command(
    ServerLiftBan, result=Ok, scope="moderation", refuses=("not_found",), http="DELETE /v1/server/bans/{ban}"
)
async def lift_ban(ctx: Ctx, cmd: ServerLiftBan) -> Effects:
    """`not_found`: the ban does not exist, or was revoked before."""
    if not await bans.revoke_ban(ctx.node.db, ctx.actor, cmd.ban):
        raise Refused("not_found", "no such ban")
    return [Reply(Ok())]


class ServerListBans(ServerCommand, tag="server.bans"):
    """List bans, newest first. `every`: also expired and revoked bans. `cursor`: from the page before."""

    every: bool = False
    cursor: Id | None = None
    limit: Limit = 50


class BanPage(Result, tag="server.ban.page"):
    """A page of bans. `cursor` is null on the last page."""

    items: list[Ban]
    cursor: Id | None


@server_command(ServerListBans, result=BanPage, scope="moderation", http="GET /v1/server/bans")
async def list_bans(ctx: Ctx, cmd: ServerListBans) -> Effects:
    rows = await bans.page(
        ctx.node.db, ctx.tenant, ctx.now, in_force=not cmd.every, before=cmd.cursor, limit=cmd.limit + 1
    )
    page, more = page_of(rows, cmd.limit)
    return [Reply(BanPage(items=convert(page, list[Ban]), cursor=page[-1]["id"] if more else None))]


class ServerStrikeUser(ServerCommand, tag="server.strike"):
    """Give a user a strike. From a configured number of strikes on, each strike bans the user."""

    user: Id
    reason: Reason
    EXAMPLE: ClassVar = Example(reason="spam")


@server_command(
    ServerStrikeUser,
    result=Struck,
    scope="moderation",
    refuses=("not_found",),
    http="POST /v1/server/users/{user}/strikes",
    uncancellable=True,
)
async def strike_user(ctx: Ctx, cmd: ServerStrikeUser) -> Effects:
    """`not_found`: there is no such user."""
    settings = ctx.node.config.get(ModerationSettings)
    done = await ctx.node.db.in_transaction(strikes.strike, settings, ctx.actor, cmd.user, cmd.reason)
    closes = [CloseSessions(cmd.user, "banned")] if done.ban is not None else []
    return [*closes, Reply(Struck(strike=done.id, count=done.count, ban=done.ban, until=done.until))]
