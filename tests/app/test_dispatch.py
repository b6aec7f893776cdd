"""What a command needs is checked before it is carried out, or it is not carried out."""

from types import SimpleNamespace
from typing import Any

import pytest

from chatd.app.command_metrics import CommandMetrics
from chatd.app.context import Ctx
from chatd.app.dispatch import CommandTimeout, run_command
from chatd.app.effects import Effects, Reply
from chatd.app.rate_limits import UserLimits
from chatd.app.registry import Guard, GuardChecks, Row
from chatd.core.config import Config
from chatd.core.identity import Principal
from chatd.core.services import Services
from chatd.wire.base import Command, Error, Ok, Result


class Act(Command, tag="act"):
    """Something."""


@pytest.mark.parametrize(
    ("guard", "answer"), [(Guard.NOTHING, "ok"), (Guard.USER, "ok"), (Guard.MEMBER, "internal"), (Guard.ADMIN, "unauthenticated")]
)
async def test_without_a_guard_a_need_is_not_met(guard: Guard, answer: str) -> None:
    """No subsystem is open that knows who is a member."""

    async def act(ctx: Ctx, cmd: Act) -> Effects:
        return [Reply(Ok())]

    services, answers = Services(), list[Result]()
    for service in (CommandMetrics(), GuardChecks(), CommandTimeout(5.0), UserLimits.of_commands(Config().limits)):
        services.add(service)
    node: Any = SimpleNamespace(config=Config(), services=services, get=services.get, cluster=None)
    who = Principal("t", "u", token_id="", login="", scope="", expires_at=0)
    await run_command(Row(Act, Ok, act, guard, 1, (), "", True, False), Ctx(node, who, "", "", 0, answers.append), Act())
    assert [one.code if isinstance(one, Error) else "ok" for one in answers] == [answer]
