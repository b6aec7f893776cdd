"""Erasing a user, by admins."""

from chatd.app.context import Ctx
from chatd.app.effects import CloseSessions, Effects, Reply
from chatd.app.personal_data import AllPersonalData
from chatd.app.registry import admin_command
from chatd.core.errors import Refused
from chatd.privacy import erasure
from chatd.wire.admin import AdminCommand
from chatd.wire.base import Id, Result


class EraseUser(AdminCommand, tag="admin.erase"):
    """Erase a user permanently, with all messages, uploads and settings. `confirm` must be true.

    All logins end at once, and connections are closed with 4404. The data is removed within minutes.
    """

    user: Id
    confirm: bool


class EraseStarted(Result, tag="admin.erased"):
    """The erasure has started. `started`: false if the user had been erased before."""

    started: bool


@admin_command(EraseUser, result=EraseStarted, role="operator", refuses=("not_found",), uncancellable=True)
async def erase_user(ctx: Ctx, cmd: EraseUser) -> Effects:
    """`not_found`: there is no such user."""
    if not cmd.confirm:
        raise Refused("bad_request", "$.confirm: must be true")
    data, actor = ctx.node.get(AllPersonalData), ctx.actor
    started = await ctx.node.db.in_transaction(erasure.begin, data, actor.tenant, cmd.user, actor.name, ctx.now)
    return [Reply(EraseStarted(started=started)), CloseSessions(cmd.user, "logged_out")]
