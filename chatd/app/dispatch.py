"""One command on its way through: limits, guard, handler, effects, answer. The one place where errors become answers.

Both doors come through here, so REST and socket cannot disagree.
"""

import uuid
from logging import DEBUG
from math import inf
from time import perf_counter

import trio

from chatd.app.command_metrics import Meters
from chatd.app.command_texts import prepared
from chatd.app.context import Ctx
from chatd.app.effects import deliver
from chatd.app.rate_limits import UserLimits
from chatd.app.registry import Guards, Needs, Row
from chatd.core import log
from chatd.core.errors import Refused
from chatd.db.deadline import limit_statements
from chatd.db.fair_share import ACCOUNT, charge_to
from chatd.wire.base import Command, error_of
from chatd.wire.times import check_times

LOG = log.get(__name__)
# The database and the log refuse at the deadline, with their own words; this is for whatever else a command waits for.
GRACE_S = 0.5


async def run_command(row: Row, ctx: Ctx, command: Command) -> None:
    """Run it and answer through `ctx.answer`: a result, or the error that stands for what went wrong."""
    began = perf_counter()
    limit = limit_statements(answer_by(ctx))
    try:
        with trio.CancelScope(shield=row.lasting, deadline=inf if row.lasting else limit.at + GRACE_S) as scope:
            await check_guard(row, ctx, command)
            check_times(command)
            command = await prepared(ctx, command)
            await deliver(ctx, await row.handler(ctx, command))
        if scope.cancelled_caught:
            refuse(ctx, Refused("timeout"))
    except Refused as refused:
        refuse(ctx, refused)
    except trio.TooSlowError:
        refuse(ctx, Refused("timeout"))
    except Exception:
        refuse(ctx, internal_error(row, ctx))
    finally:
        limit.over()
    account = ACCOUNT.get()
    if account is not None and account.used_s:
        ctx.node.get(UserLimits).charge(account.tenant, account.user, account.used_s)
        account.used_s = 0.0
    ctx.node.get(Meters).commands[row.command].observe(perf_counter() - began)


class CommandTimeout:
    """Seconds that a command may take. A subsystem whose commands wait for more than one statement raises it."""

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s

    def raise_to(self, timeout_s: float) -> None:
        self.timeout_s = max(self.timeout_s, timeout_s)


def answer_by(ctx: Ctx) -> float:
    """The deadline of a command and all of its statements, counted from when it was read."""
    return ctx.began + ctx.node.get(CommandTimeout).timeout_s


def refuse(ctx: Ctx, refused: Refused) -> None:
    ctx.node.get(Meters).refusals[refused.code] += 1
    if LOG.isEnabledFor(DEBUG):
        LOG.debug("refused", extra={"code": refused.code, "why": refused.message, "session": ctx.session})
    ctx.answer(error_of(refused))


async def check_guard(row: Row, ctx: Ctx, command: Command) -> None:
    """What the row needs, as a refusal when it is not there."""
    if row.needs is Needs.NOTHING:
        return
    if row.needs is Needs.ADMIN:
        check_admin(ctx)
        return
    ctx.take(row.cost)
    charge_to(ctx.tenant, ctx.user)
    if row.needs is not Needs.USER:
        # A need without a guard is a bug: nothing is carried out.
        await ctx.node.get(Guards).by_need[row.needs](ctx, command)


def check_admin(ctx: Ctx) -> None:
    """Raises Refused: `unauthenticated` for a user, whoever they are."""
    if ctx.admin is None:
        raise Refused("unauthenticated")


def internal_error(row: Row, ctx: Ctx) -> Refused:
    """A bug: logged once with what is needed to find it, and with nothing that was said."""
    incident = str(uuid.uuid4())
    LOG.exception(
        "a handler failed",
        extra={"incident": incident, "command": row.tag, "session": ctx.session, "user": ctx.user_or_nobody},
    )
    return Refused("internal", details={"incident": incident})
