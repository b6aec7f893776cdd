"""What admins do to one user besides banning, and what they can know of one."""

from chatd.app.context import Ctx
from chatd.app.effects import CloseSessions, Effects, Reply
from chatd.app.registry import admin_command
from chatd.moderation import actions, strikes
from chatd.moderation.settings import ModerationSettings
from chatd.wire.admin import AdminCommand, Why
from chatd.wire.base import Id, Millis, Ok, Result


class KickUser(AdminCommand, tag="admin.kick"):
    """Close all sockets of a user (1001). They may come back at once."""

    user: Id


@admin_command(KickUser, result=Ok, refuses=("not_found",), uncancellable=True)
async def kick_user(ctx: Ctx, cmd: KickUser) -> Effects:
    """Refused `not_found` for an unknown user."""
    await ctx.node.db.in_transaction(actions.audit_kick, ctx.actor, cmd.user)
    return [CloseSessions(cmd.user, "going_away"), Reply(Ok())]


class RevokeUser(AdminCommand, tag="admin.revoke"):
    """End all logins of a user and close their sockets (4404). It is no ban: they may sign in again.

    An access token that another service has signed belongs to no login here, and is good until it expires.
    """

    user: Id


@admin_command(RevokeUser, result=Ok, refuses=("not_found",), uncancellable=True)
async def revoke_user(ctx: Ctx, cmd: RevokeUser) -> Effects:
    """Refused `not_found` for an unknown user."""
    await ctx.node.db.in_transaction(actions.revoke_logins, ctx.actor, cmd.user)
    return [CloseSessions(cmd.user, "logged_out"), Reply(Ok())]


class StrikeUser(AdminCommand, tag="admin.strike"):
    """A strike. From as many on as the configuration says each one ends in a ban."""

    user: Id
    reason: Why


class Struck(Result, tag="admin.struck"):
    """`count`: the strikes that count now. `ban`: the one that followed; `until` is null where it is for ever."""

    strike: Id
    count: int
    ban: Id | None
    until: Millis | None


@admin_command(StrikeUser, result=Struck, refuses=("not_found",), uncancellable=True)
async def strike_user(ctx: Ctx, cmd: StrikeUser) -> Effects:
    """Refused `not_found` for an unknown user."""
    done = await ctx.node.db.in_transaction(
        strikes.strike, ctx.node.config.get(ModerationSettings), ctx.actor, cmd.user, cmd.reason
    )
    closes = [CloseSessions(cmd.user, "banned")] if done.ban is not None else []
    return [*closes, Reply(Struck(strike=done.id, count=done.count, ban=done.ban, until=done.until))]


class ShadowUser(AdminCommand, tag="admin.shadow"):
    """From their next search on match a user only with others of whom this was said. They are not told."""

    user: Id
    on: bool = True


@admin_command(ShadowUser, result=Ok, refuses=("not_found",))
async def shadow_user(ctx: Ctx, cmd: ShadowUser) -> Effects:
    """Refused `not_found` for an unknown user."""
    await ctx.node.db.in_transaction(actions.set_shadow, ctx.actor, cmd.user, cmd.on)
    return [Reply(Ok())]


class ShowUser(AdminCommand, tag="admin.user"):
    """What is known of a user."""

    user: Id


class KnownUser(Result, tag="admin.user.known", kw_only=True):
    """`strikes` and `bans` are those in force. `reported`: reports about them, by so many `reporters`; `reports`: their own."""

    user: Id
    name: str | None
    anonymous: bool
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


@admin_command(ShowUser, result=KnownUser, refuses=("not_found",))
async def show_user(ctx: Ctx, cmd: ShowUser) -> Effects:
    """Refused `not_found` for an unknown user."""
    row = await actions.user_summary(ctx.node.db, ctx.tenant, cmd.user, ctx.now)
    return [Reply(KnownUser(**row))]
