"""Running a command: its guard, and the effects of its handler."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from chatd.app.command_metrics import CommandMetrics
from chatd.app.context import Ctx
from chatd.app.dispatch import CommandTimeout, run_command
from chatd.app.effects import Effect, Effects, Refuse, Reply
from chatd.app.rate_limits import UserLimits
from chatd.app.registry import Guard, GuardChecks, Row
from chatd.core.config import Config
from chatd.core.errors import Refused
from chatd.core.identity import Principal
from chatd.core.services import Services
from chatd.wire.base import Command, Error, Ok, Result


class Act(Command, tag="act"):
    """Something."""


class Items(Result, tag="items"):
    """A long result."""

    items: list[Any]


async def answers_of(effects: Effects, guard: Guard = Guard.USER, *, wants_answer: bool = True) -> Sequence[str]:
    """The answers to a command whose handler returns these effects, on a node without subsystems."""

    async def act(ctx: Ctx, cmd: Act) -> Effects:
        return effects

    services, answers = Services(), list[Result]()
    for service in (CommandMetrics(), GuardChecks(), CommandTimeout(5.0), UserLimits.of_commands(Config().limits)):
        services.add(service)
    node: Any = SimpleNamespace(config=Config(), services=services, get=services.get, cluster=None)
    who = Principal("t", "u", token_id="", login="", scope="", expires_at=0)
    ctx = Ctx(node, who, "", "", 0, answers.append, wants_answer=wants_answer)
    await run_command(Row(Act, Ok, act, guard, 1, (), "", True, False), ctx, Act())
    return [one.code if isinstance(one, Error) else "ok" for one in answers]


@pytest.mark.parametrize(
    ("guard", "answer"),
    [(Guard.NOTHING, "ok"), (Guard.USER, "ok"), (Guard.MEMBER, "internal"), (Guard.ADMIN, "unauthenticated")],
)
async def test_guard_without_a_check_refuses_everything(guard: Guard, answer: str) -> None:
    """No subsystem is open that checks memberships."""
    assert await answers_of([Reply(Ok())], guard) == [answer]


async def test_effects_are_delivered_in_their_order_up_to_a_refusal() -> None:
    """A handler closes the sessions of a stolen login, and refuses the command: the one does not keep it from the
    other.
    """
    delivered = list[int]()

    class Note(Effect, frozen=True):
        number: int

        async def deliver(self, ctx: Ctx) -> None:
            delivered.append(self.number)

    notes = [Note(number) for number in range(50)]
    assert await answers_of([*notes, Refuse(Refused("conflict")), Note(50), Reply(Ok())]) == ["conflict"]
    assert delivered == list(range(50))


async def test_a_result_without_a_receiver_is_not_encoded() -> None:
    """Its encoding would fail. A refusal is an answer all the same."""
    unencodable = Reply(Items([object()] * 20))
    assert await answers_of([unencodable]) == ["internal"]
    assert await answers_of([unencodable], wants_answer=False) == []
    assert await answers_of([unencodable, Refuse(Refused("conflict"))], wants_answer=False) == ["conflict"]
