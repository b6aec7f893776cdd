"""Erasing one's own account. See chatd/privacy/erasure.py."""

from chatd.app.context import Ctx
from chatd.app.effects import CloseSessions, Effects, Reply
from chatd.app.personal_data import AllPersonalData
from chatd.app.registry import command
from chatd.core.errors import Refused
from chatd.privacy import erasure
from chatd.wire.base import Command, Result


class EraseMe(Command, tag="me.erase"):
    """Erase your account permanently, with all messages, uploads and settings. `confirm` must be true.

    All logins end at once, and connections are closed with `logged_out`. The data is removed within minutes.
    """

    confirm: bool


class Erased(Result, tag="me.erased"):
    """The erasure has started. Signing in as this user is no longer possible."""


@command(EraseMe, result=Erased, cost=10, http="POST /v1/me/erase", uncancellable=True)
async def erase_me(ctx: Ctx, cmd: EraseMe) -> Effects:
    if not cmd.confirm:
        raise Refused("bad_request", "$.confirm: must be true")
    data, user = ctx.node.get(AllPersonalData), ctx.user
    await ctx.node.db.in_transaction(erasure.begin, data, ctx.tenant, user, user, ctx.now)
    return [Reply(Erased()), CloseSessions(ctx.user, "logged_out")]
