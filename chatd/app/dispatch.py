"""Runs one command: limits, guard, handler, effects, answer. The only place where errors become answers.

Commands from WebSocket and REST both pass through here, so their behaviour is the same.
"""

import uuid
from collections.abc import Callable
from logging import DEBUG
from math import inf
from time import perf_counter
from typing import Any

import trio

from chatd.app.command_metrics import CommandMetrics
from chatd.app.command_texts import normalized
from chatd.app.context import Ctx
from chatd.app.effects import Reply, SettledEffect, deliver
from chatd.app.rate_limits import ServiceLimits, UserLimits
from chatd.app.registry import Guard, GuardChecks, Row
from chatd.core import log
from chatd.core.errors import Refused
from chatd.db.deadline import limit_statements
from chatd.db.fair_share import ACCOUNT, charge_to
from chatd.wire.base import Command, Error, error_of
from chatd.wire.times import check_times

LOG = log.get(__name__)
# The database and the log refuse at the deadline themselves, with a better message; this covers all other waits.
GRACE_S = 0.5


def is_at_once(row: Row, ctx: Ctx, command: Command) -> bool:
    """Whether the guard of the command is met, and the command can run now without waiting."""
    return (
        row.at_once is not None
        and not is_of_bot(ctx)
        and ctx.node.get(GuardChecks).is_met[row.guard](ctx, command)
        and row.at_once(ctx, command)
    )


def is_of_bot(ctx: Ctx) -> bool:
    """Whether a bot has sent the command. What it may do is checked with the guard, so no command of a bot skips it."""
    return ctx.principal is not None and ctx.principal.is_bot


def pipeline_of(row: Row, ctx: Ctx, command: Command) -> str | None:
    """The pipeline key of a command, or None. A command has one if its guard is met and it waits for its first effect
    only.

    Such a command begins where it was received, without a task. So do the next ones of its type with the same key
    before it is settled; they are answered in order.
    """
    if row.pipeline is None or is_of_bot(ctx) or not ctx.node.get(GuardChecks).is_met[row.guard](ctx, command):
        return None
    return row.pipeline(ctx, command)


async def run_command(row: Row, ctx: Ctx, command: Command, *, at_once: bool = False) -> None:
    """Run a command and answer through `ctx.answer`: with a result, or with the error for what went wrong.

    `at_once`: `is_at_once` returned True.
    """
    began = perf_counter()
    try:
        if at_once:
            ctx.charge(row.cost)
            check_times(command)
            await deliver(ctx, await row.handler(ctx, command))
        else:
            await run_waiting(row, ctx, command)
    except Exception as error:
        refuse(ctx, error_of(refusal_of(error, row, ctx)))
    ctx.node.get(CommandMetrics).commands[row.command].observe(perf_counter() - began)


async def begin_command(row: Row, ctx: Ctx, command: Command, done: Callable[[], None]) -> None:
    """Begin a command that has a pipeline, without a wait. Calls `done` once it is answered, as by `run_command`."""
    began = perf_counter()
    replies: list[Reply] = []

    def settled(_: Any, error: Exception | None) -> None:
        try:
            if error is not None:
                refuse(ctx, error_of(refusal_of(error, row, ctx)))
            elif ctx.wants_answer:
                for reply in replies:
                    ctx.answer(reply.result)
            ctx.node.get(CommandMetrics).commands[row.command].observe(perf_counter() - began)
        finally:
            done()

    try:
        ctx.charge(row.cost)
        check_times(command)
        effect, *rest = await row.handler(ctx, command)
        replies += (reply for reply in rest if isinstance(reply, Reply))
        if isinstance(effect, SettledEffect):
            effect.begin(ctx, settled)
            return
        # What it would wait for has been done since it was received.
        await effect.deliver(ctx)
    except Exception as error:
        settled(None, error)
    else:
        settled(None, None)


async def run_waiting(row: Row, ctx: Ctx, command: Command) -> None:
    """Run a command within its deadline. Its time in the database is charged to the user."""
    limit = limit_statements(answer_by(ctx))
    try:
        if row.is_bounded:
            await run_guarded(row, ctx, command)
            return
        with trio.CancelScope(
            shield=row.uncancellable, deadline=inf if row.uncancellable else limit.at + GRACE_S
        ) as scope:
            await run_guarded(row, ctx, command)
        if scope.cancelled_caught:
            raise Refused("timeout")
    finally:
        limit.over()
        account = ACCOUNT.get()
        if account is not None and account.used_s:
            limits = ctx.node.get(UserLimits if ctx.service is None else ServiceLimits)
            limits.charge_database_time(account.tenant, account.user, account.used_s)
            account.used_s = 0.0


async def run_guarded(row: Row, ctx: Ctx, command: Command) -> None:
    await check_guard(row, ctx, command)
    check_times(command)
    command = await normalized(ctx, command)
    await deliver(ctx, await row.handler(ctx, command))


class CommandTimeout:
    """Seconds that a command may take. A subsystem whose commands wait for more than one statement increases it."""

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s

    def raise_to(self, timeout_s: float) -> None:
        self.timeout_s = max(self.timeout_s, timeout_s)


def answer_by(ctx: Ctx) -> float:
    """The deadline of the command for all its statements together, counted from when it was read."""
    return ctx.began + ctx.node.get(CommandTimeout).timeout_s


def refuse(ctx: Ctx, error: Error) -> None:
    ctx.node.get(CommandMetrics).refusals[error.code] += 1
    if LOG.isEnabledFor(DEBUG):
        LOG.debug("refused", extra={"code": error.code, "why": error.message, "session": ctx.session})
    ctx.answer(error)


async def check_guard(row: Row, ctx: Ctx, command: Command) -> None:
    """Check the guard of the row. Raises Refused if it is not met."""
    if row.guard is Guard.NOTHING:
        return
    if row.guard is Guard.ADMIN:
        check_admin(row, ctx)
        return
    if row.guard is Guard.SERVER:
        check_scope(ctx, row.scope)
        ctx.charge(row.cost)
        charge_to(ctx.tenant, ctx.service_identity.token)
        return
    ctx.charge(row.cost)
    charge_to(ctx.tenant, ctx.user)
    if is_of_bot(ctx):
        ctx.node.get(GuardChecks).check_bot(ctx, row, command)
    if row.guard is not Guard.USER:
        # A guard without a check is a bug: the command is not run.
        await ctx.node.get(GuardChecks).by_guard[row.guard](ctx, command)


def check_admin(row: Row, ctx: Ctx) -> None:
    """Refuse commands of others, and of admins without the role. Raises Refused: `unauthenticated`, `forbidden`."""
    ctx.admin_scope.require(row.role)


def check_scope(ctx: Ctx, scope: str) -> None:
    """Refuse server commands of other clients, and of tokens without the scope. Raises Refused: `unauthenticated`,
    `forbidden`.
    """
    if scope not in ctx.service_identity.scopes:
        raise Refused("forbidden", f"this service token does not have the scope {scope}")


def refusal_of(error: BaseException, row: Row, ctx: Ctx) -> Refused:
    """The refusal of a command that raised this error."""
    if isinstance(error, Refused):
        return error
    return Refused("timeout") if isinstance(error, trio.TooSlowError) else internal_error(error, row, ctx)


def internal_error(error: BaseException, row: Row, ctx: Ctx) -> Refused:
    """Log a bug once, with what is needed to find it and without any content of users."""
    incident = str(uuid.uuid4())
    LOG.error(
        "a handler failed",
        exc_info=error,
        extra={"incident": incident, "command": row.tag, "session": ctx.session, "user": ctx.user_or_empty},
    )
    return Refused("internal", details={"incident": incident})
