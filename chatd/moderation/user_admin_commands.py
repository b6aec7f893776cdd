"""Admin commands on one user, besides bans."""

from typing import ClassVar

from chatd.app.context import Ctx
from chatd.app.effects import CloseSessions, Effects, Reply
from chatd.app.registry import admin_command
from chatd.moderation import actions, strikes
from chatd.moderation.settings import ModerationSettings
from chatd.wire.admin import AdminCommand, Why
from chatd.wire.base import Id, Millis, Ok, Result
from chatd.wire.reference.examples import Example


class KickUser(AdminCommand, tag="admin.kick"):
    """Close all connections of a user with 1001. The user may reconnect at once."""

    user: Id


@admin_command(KickUser, result=Ok, role="moderator", refuses=("not_found",), uncancellable=True)
async def kick_user(ctx: Ctx, cmd: KickUser) -> Effects:
    """`not_found`: there is no such user."""
    await ctx.node.db.in_transaction(actions.audit_kick, ctx.actor, cmd.user)
    return [CloseSessions(cmd.user, "going_away"), Reply(Ok())]


class RevokeUser(AdminCommand, tag="admin.revoke"):
    """Revoke all logins of a user, and close their connections with 4404. The user may sign in again.

    An access token of an identity provider that belongs to no login remains valid until it expires.
    """

    user: Id


@admin_command(RevokeUser, result=Ok, role="moderator", refuses=("not_found",), uncancellable=True)
async def revoke_user(ctx: Ctx, cmd: RevokeUser) -> Effects:
    """`not_found`: there is no such user."""
    await ctx.node.db.in_transaction(actions.revoke_logins, ctx.actor, cmd.user)
    return [CloseSessions(cmd.user, "logged_out"), Reply(Ok())]


class StrikeUser(AdminCommand, tag="admin.strike"):
    """Give a user a strike. From a configured number of strikes on, each strike bans the user."""

    user: Id
    reason: Why
    EXAMPLE: ClassVar = Example(reason="spam")


class Struck(Result, tag="admin.struck"):
    """The strike was added. `count`: strikes in force. `ban`: the ban that followed, if any; `until` is null if it is
    permanent.
    """

    strike: Id
    count: int
    ban: Id | None
    until: Millis | None


@admin_command(StrikeUser, result=Struck, role="moderator", refuses=("not_found",), uncancellable=True)
async def strike_user(ctx: Ctx, cmd: StrikeUser) -> Effects:
    """`not_found`: there is no such user."""
    done = await ctx.node.db.in_transaction(
        strikes.strike, ctx.node.config.get(ModerationSettings), ctx.actor, cmd.user, cmd.reason
    )
    closes = [CloseSessions(cmd.user, "banned")] if done.ban is not None else []
    return [*closes, Reply(Struck(strike=done.id, count=done.count, ban=done.ban, until=done.until))]


class ShadowUser(AdminCommand, tag="admin.shadow"):
    """Shadow-ban a user, or end it.

    From their next search on, shadow-banned users are matched only with each other. The user is not notified.
    """

    user: Id
    on: bool = True


@admin_command(ShadowUser, result=Ok, role="moderator", refuses=("not_found",))
async def shadow_user(ctx: Ctx, cmd: ShadowUser) -> Effects:
    """`not_found`: there is no such user."""
    await ctx.node.db.in_transaction(actions.set_shadow, ctx.actor, cmd.user, cmd.on)
    return [Reply(Ok())]


class ShowUser(AdminCommand, tag="admin.user"):
    """Show a user."""

    user: Id


class KnownUser(Result, tag="admin.user.known", kw_only=True):
    """A user.

    `strikes` and `bans`: those in force. `reported`: reports about the user, by `reporters` users; `reports`: reports
    by the user.
    """

    user: Id
    name: str | None
    anonymous: bool
    bot: bool
    shadow: bool
    created_at: Millis
    conversations: int
    logins: int
    devices: int
    matches: int
    strikes: int
    bans: int
    reported: int
    reporters: int
    reports: int
    EXAMPLE: ClassVar = Example(bot=False, conversations=12)


@admin_command(ShowUser, result=KnownUser, role="viewer", refuses=("not_found",))
async def show_user(ctx: Ctx, cmd: ShowUser) -> Effects:
    """`not_found`: there is no such user."""
    row = await actions.user_summary(ctx.node.db, ctx.tenant, cmd.user, ctx.now)
    return [Reply(KnownUser(**row))]
