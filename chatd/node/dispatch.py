"""One command on its way through: limits, guard, handler, effects, answer. The one place where errors become answers.

Both doors come through here, so REST and socket cannot disagree.
"""

import uuid

import trio

from chatd import log
from chatd.errors import Refused
from chatd.node import members
from chatd.node.context import Ctx
from chatd.node.effects import deliver
from chatd.node.registry import Needs, Row
from chatd.wire.messages import Command, Result, error_of

LOG = log.get(__name__)


async def run_command(row: Row, ctx: Ctx, command: Command) -> None:
    """Run it and answer through `ctx.answer`: a result, or the error that stands for what went wrong."""
    try:
        await check_guard(row, ctx, command)
        await deliver(ctx, await row.handler(ctx, command))
    except Refused as refused:
        ctx.answer(error_of(refused))
    except trio.TooSlowError:
        ctx.answer(error_of(Refused("timeout")))
    except Exception:
        ctx.answer(internal_error(row, ctx))


async def check_guard(row: Row, ctx: Ctx, command: Command) -> None:
    """What the row needs, as a refusal when it is not there."""
    if row.needs is Needs.NOTHING:
        return
    if row.needs is Needs.ADMIN:
        check_admin(ctx)
        return
    ctx.take(row.cost)
    if row.needs is Needs.MEMBER:
        await members.check_member(ctx, getattr(command, "conversation"))  # noqa: B009


def check_admin(ctx: Ctx) -> None:
    """Raises Refused: `unauthenticated` for a user, whoever they are."""
    if ctx.admin is None:
        raise Refused("unauthenticated")


def internal_error(row: Row, ctx: Ctx) -> Result:
    """A bug: logged once with what is needed to find it, and with nothing that was said."""
    incident = str(uuid.uuid4())
    LOG.exception(
        "a handler failed",
        extra={"incident": incident, "command": row.tag, "session": ctx.session, "user": ctx.user_or_nobody},
    )
    return error_of(Refused("internal", details={"incident": incident}))
