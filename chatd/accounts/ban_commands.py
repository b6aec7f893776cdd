"""Admin commands for bans."""

from typing import Annotated, ClassVar, Literal

from msgspec import Meta, Struct, convert

from chatd.accounts import bans
from chatd.accounts.bans import BadRange
from chatd.accounts.range_ban_sweep import CloseRange
from chatd.app.context import Ctx
from chatd.app.effects import Broadcast, CloseSessions, Effects, Reply
from chatd.app.registry import admin_command
from chatd.core.errors import Refused
from chatd.db.batches import page_of
from chatd.wire.admin import AdminCommand, Lasts, Why
from chatd.wire.base import Id, Limit, Millis, Ok, Result
from chatd.wire.reference.examples import Example


class AddBan(AdminCommand, tag="admin.ban"):
    """Ban a user, or an address or range of addresses. `devices`: also ban the devices on which the user has signed up.

    Without `lasts` the ban is permanent. Connections of the user or from the range are closed on all nodes at once, and
    logins of the user are revoked.
    """

    reason: Why
    user: Id | None = None
    devices: bool = False
    address: Annotated[str, Meta(min_length=2, max_length=64)] | None = None
    lasts: Lasts | None = None
    EXAMPLE: ClassVar = Example(shown=("user", "lasts"), reason="spam")


class BanAdded(Result, tag="admin.banned"):
    """The ban, and when it ends (null: never)."""

    ban: Id
    until: Millis | None


@admin_command(AddBan, result=BanAdded, role="moderator", refuses=("not_found",), uncancellable=True)
async def add_ban(ctx: Ctx, cmd: AddBan) -> Effects:
    """`not_found`: there is no such user."""
    until = None if cmd.lasts is None else ctx.now + cmd.lasts * 1000
    db = ctx.node.db
    if cmd.user is not None and cmd.address is None:
        ban = await bans.ban_user(db, ctx.actor, cmd.user, cmd.reason, until, devices=cmd.devices)
        return [CloseSessions(cmd.user, "banned"), Reply(BanAdded(ban=ban, until=until))]
    if cmd.address is not None and cmd.user is None and not cmd.devices:
        hash_ = hash_of(ctx, cmd.address)
        ban = await bans.ban_range(db, ctx.actor, hash_, cmd.reason, until)
        return [Broadcast(CloseRange(ctx.tenant, hash_, ctx.node.clock())), Reply(BanAdded(ban=ban, until=until))]
    raise Refused("bad_request", "$: expected a user, optionally with devices, or an address")


def hash_of(ctx: Ctx, address: str) -> bytes:
    try:
        return bans.range_hash(ctx.node.config, address)
    except BadRange as error:
        raise Refused("bad_request", f"$.address: {error}") from None


class LiftBan(AdminCommand, tag="admin.ban.lift"):
    """Revoke a ban. That of a user takes with it the bans of devices that were added by the same command."""

    ban: Id


@admin_command(LiftBan, result=Ok, role="moderator", refuses=("not_found",))
async def lift_ban(ctx: Ctx, cmd: LiftBan) -> Effects:
    """`not_found`: the ban does not exist, or was revoked before."""
    if not await bans.revoke_ban(ctx.node.db, ctx.actor, cmd.ban):
        raise Refused("not_found", "no such ban")
    return [Reply(Ok())]


class ListBans(AdminCommand, tag="admin.bans"):
    """List bans, newest first. `every`: also expired and revoked bans. `before`: the last id of the previous page."""

    every: bool = False
    before: Id | None = None
    limit: Limit = 50


class Ban(Struct, kw_only=True, frozen=True):
    """A ban. `user` is null in bans of devices and addresses, which are stored as hashes."""

    id: Id
    kind: Literal["user", "device", "address"]
    user: Id | None
    reason: str
    actor: str
    created_at: Millis
    expires_at: Millis | None
    lifted_at: Millis | None
    EXAMPLE: ClassVar = Example(reason="spam")


class Bans(Result, tag="admin.ban.list"):
    """A page of bans. `more`: there are older ones."""

    items: list[Ban]
    more: bool


@admin_command(ListBans, result=Bans, role="viewer")
async def list_bans(ctx: Ctx, cmd: ListBans) -> Effects:
    rows = await bans.page(
        ctx.node.db, ctx.tenant, ctx.now, in_force=not cmd.every, before=cmd.before, limit=cmd.limit + 1
    )
    page, more = page_of(rows, cmd.limit)
    return [Reply(Bans(items=convert(page, list[Ban]), more=more))]
