"""Commands that run in the turn of the reactor: they never wait, and have the same results as in a task."""

from typing import Any

import outcome
import pytest
import trio

from chatd.app.command_texts import formed_fields
from chatd.app.context import Ctx, Node
from chatd.app.dispatch import is_at_once, run_command
from chatd.app.jobs import Job
from chatd.app.registry import Guard, Row, command
from chatd.core.config import Config
from chatd.core.identity import Principal
from chatd.subsystems import load_registry
from chatd.wire.base import Command, Error, Ok, Result
from tests.support import Person, only_jobs, running

AT_ONCE = [row for row in load_registry().commands.values() if row.at_once is not None]
# What is sent before, so that the command is not dropped as one that changes nothing.
BEFORE = {"typing.start": "typing.stop", "typing.stop": "typing.start"}
rows = pytest.mark.parametrize("row", AT_ONCE, ids=lambda row: row.tag)


def test_frequent_commands_run_at_once() -> None:
    assert {"ping", "typing.start", "typing.stop", "receipt.read"} <= {row.tag for row in AT_ONCE}


@rows
def test_commands_that_run_at_once_have_no_normalized_texts(row: Row) -> None:
    assert formed_fields(row.command) == ()


def test_a_command_without_a_user_cannot_run_at_once() -> None:
    class Act(Command, tag="act.without.user"):
        """Do something."""

    with pytest.raises(ValueError, match="without a user"):
        command(Act, result=Ok, guard=Guard.NOTHING, at_once=lambda ctx, cmd: True)


async def run_by_hand(node: Node, row: Row, who: Person, fields: dict[str, Any]) -> list[Result]:
    """Run the command without an event loop: a wait of any kind fails the test."""
    session = node.hub.connections.of_user("default", who.user)
    me = Principal("default", who.user, token_id="", login="", scope="", expires_at=0)
    answers = list[Result]()
    ctx = Ctx(node, me, next(iter(session)).id, "", node.clock(), answers.append)
    cmd = row.command(**{name: fields[name] for name in row.command.__struct_fields__})
    assert is_at_once(row, ctx, cmd)
    with pytest.raises(StopIteration):
        run_command(row, ctx, cmd, at_once=True).send(None)
    return answers


@rows
async def test_commands_that_run_at_once_wait_for_nothing(config: Config, row: Row) -> None:
    found, nodes = trio.open_memory_channel[outcome.Value[list[Result]]](1)
    asked = trio.Event()
    made: list[Any] = []

    async def run(node: Node) -> bool:
        await asked.wait()
        await found.send(await outcome.acapture(run_by_hand, node, row, *made))
        await trio.sleep_forever()
        return False

    async with running(config, only_jobs(Job("test", run, 0.0))) as daemon, daemon.pair() as (alice, _, conversation):
        await alice.send(conversation)
        fields = {"conversation": conversation, "ts": 1, "seq": 1}
        for tag in (row.tag, BEFORE.get(row.tag, row.tag)):
            await alice.call(tag, **{name: fields[name] for name in row.command.__struct_fields__})
        made += [alice, fields]
        asked.set()
        answers = (await nodes.receive()).unwrap()
        assert len(answers) == 1
        assert not isinstance(answers[0], Error)
