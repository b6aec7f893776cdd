"""One deadline for a command, counted from when it was read, regardless of the queue and the statements."""

import json
from typing import Any

import pytest
import trio

from chatd.client import Refused
from chatd.core.config import Config
from chatd.db.deadline import limit_statements
from chatd.db.postgres import Postgres
from tests.faults.test_slow_postgres import slow_nodes
from tests.support import PATIENCE, Daemon, Person

DEADLINE_S = 3.0
# A frame that arrives during another command is read when that one is answered: two deadlines at most, with room for a
# busy machine. One after the other they would take 36 seconds.
MOST_S = 25.0


def uncancellable(conversation: str, message: str, user: str) -> list[tuple[str, dict[str, Any]]]:
    here = {"conversation": conversation}
    return [
        # Commands that complete even if the caller disconnects.
        ("message.edit", {**here, "message": message, "text": "y"}),
        ("message.delete", {**here, "message": message}),
        ("reaction.add", {**here, "message": message, "emoji": "👍"}),
        ("message.pin", {**here, "message": message}),
        ("conversation.edit", {**here, "title": "other"}),
        ("member.role", {**here, "user": user, "role": "admin"}),
        ("member.remove", {**here, "user": user}),
        ("conversation.leave", here),
        ("user.block", {"user": user}),
        ("auth.logout", {}),
    ]


def others(conversation: str) -> list[tuple[str, dict[str, Any]]]:
    here = {"conversation": conversation}
    return [
        ("conversation.list", {}),
        ("message.send", {**here, "client_id": "late", "text": "x"}),
        ("session.sync", {}),
        ("message.history", here),
        ("unread.total", {}),
    ]


async def scene(alice: Person, bob: Person) -> list[tuple[str, dict[str, Any]]]:
    made = await alice.call("conversation.create", members=[bob.user], title="us")
    conversation = made["conversation"]["id"]
    first = await alice.send(conversation, "first")
    return uncancellable(conversation, first["message"], bob.user)


async def refused(person: Person, command: str, fields: dict[str, Any], answers: list[str]) -> None:
    with pytest.raises(Refused) as caught:
        await person.call(command, **fields)
    assert caught.value.row.retryable, command
    answers.append(command)


async def test_pipelined_commands_have_one_deadline_when_postgres_is_silent(config: Config) -> None:
    async with (
        slow_nodes(config, 1, DEADLINE_S) as ((daemon,), (line,)),
        daemon.person() as alice,
        daemon.person() as bob,
    ):
        pipeline = await scene(alice, bob)
        pipeline += others(pipeline[0][1]["conversation"])
        line.down.timeout = True
        answers: list[str] = []
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            for command, fields in pipeline:
                nursery.start_soon(refused, alice, command, fields, answers)
        assert trio.current_time() - began < MOST_S
        assert len(answers) == len(pipeline)
        line.heal()
        with trio.fail_after(PATIENCE):
            while not await is_served(alice):
                await trio.sleep(0.1)


async def is_served(person: Person) -> bool:
    try:
        return bool(await person.call("conversation.list"))
    except Refused:
        return False


async def test_pipelined_requests_have_one_deadline_when_postgres_is_silent(config: Config) -> None:
    async with (
        slow_nodes(config, 1, DEADLINE_S) as ((daemon,), (line,)),
        daemon.person() as alice,
        daemon.person() as bob,
    ):
        await scene(alice, bob)
        line.down.timeout = True
        began = trio.current_time()
        answers = await pipelined(
            daemon, alice.account.access_token, ["/v1/unread", "/v1/sync", "/v1/conversations"] * 4
        )
        assert len(answers) == 12
        assert {status for status, _ in answers} <= {503, 504}
        assert trio.current_time() - began < MOST_S


async def pipelined(daemon: Daemon, token: str, paths: list[str]) -> list[tuple[int, Any]]:
    """All requests in one write, on one connection."""
    host, _, port = daemon.addresses.http.removeprefix("http://").partition(":")
    head = f"HTTP/1.1\r\nHost: chatd.test\r\nAuthorization: Bearer {token}\r\n\r\n"
    answers: list[tuple[int, Any]] = []
    data = b""
    async with await trio.open_tcp_stream(host, int(port)) as stream:
        await stream.send_all("".join(f"GET {path} {head}" for path in paths).encode())
        with trio.fail_after(PATIENCE):
            while len(answers) < len(paths):
                data += await stream.receive_some()
                while b"\r\n\r\n" in data:
                    head_bytes, _, rest = data.partition(b"\r\n\r\n")
                    lines = head_bytes.lower().split(b"\r\n")
                    size = next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))
                    if len(rest) < size:
                        break
                    answers.append((int(lines[0].split()[1]), json.loads(rest[:size])))
                    data = rest[size:]
    return answers


async def test_the_statements_of_a_command_end_at_its_deadline(store: Postgres) -> None:
    """Each statement is below its own limit, all together are not; work beside the command has no deadline."""
    limit = limit_statements(trio.current_time() + 1.0)
    done: list[float] = []
    with pytest.raises(Refused, match="timeout"):
        await ask_again(store, done)
    assert len(done) <= 3
    with pytest.raises(Refused, match="timeout"):
        await store.value("select 1")
    assert not store.faults.open
    limit.over()
    assert await store.value("select 1") == 1


async def ask_again(store: Postgres, done: list[float]) -> None:
    while len(done) < 20:
        await store.value("select pg_sleep(0.3)")
        done.append(trio.current_time())
