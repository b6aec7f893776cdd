"""Commands that begin before the previous one is answered: messages and receipts of one conversation."""

import json
import random
from collections.abc import Callable
from typing import Any

import outcome
import pytest
import trio
from msgspec.structs import replace

from chatd.app.context import Ctx, Node
from chatd.app.dispatch import begin_command, pipeline_of
from chatd.app.effects import Effects, Reply, SettledEffect
from chatd.app.jobs import Job
from chatd.app.registry import Guard, Row, command
from chatd.conversations.log.writer import MessageLog
from chatd.conversations.settings import MessageLogSettings
from chatd.core.config import Config
from chatd.core.errors import Refused
from chatd.core.identity import Principal
from chatd.core.settlement import Settled
from chatd.db.postgres import Postgres, Tx
from chatd.gateway.commands_in_flight import MAX_PIPELINED
from chatd.subsystems import load_registry
from chatd.wire.base import Command, Ok, Result, error_of
from tests.admins import administered, order
from tests.faults.proxy import line_to_postgres
from tests.operations.test_metrics import scrape
from tests.support import NOBODY, PATIENCE, Daemon, only_jobs, running, shared
from tests.wire_client import Raw

daemon = shared
PIPELINED = {row.tag: row for row in load_registry().commands.values() if row.pipeline is not None}
LOCK = "select from conversations where id = $1 for update"


def test_messages_and_receipts_are_pipelined() -> None:
    assert set(PIPELINED) == {"message.send", "receipt.delivered", "receipt.read"}


def test_a_command_without_a_user_cannot_be_pipelined() -> None:
    class Act(Command, tag="act.in.a.pipeline"):
        """Do something."""

    with pytest.raises(ValueError, match="without a user"):
        command(Act, result=Ok, guard=Guard.NOTHING, pipeline=lambda ctx, cmd: "")


# What is sent, and whether it may be begun. The text limit is 16 KB.
PLAIN: dict[str, Any] = {"text": "hello", "client_id": "a", "conversation": NOBODY}
LINK = {"url": "https://a.test/b", "kind": "link"}
SENDS = [
    ({}, True),
    ({"everybody": True}, True),
    ({"text": "x" * 4096}, True),
    ({"text": "x" * 4097}, False),
    ({"text": " "}, False),
    ({"text": None}, False),
    ({"meta": {"a": 1}}, False),
    ({"mentions": [NOBODY]}, False),
    ({"reply_to": NOBODY}, False),
    ({"attachments": [LINK]}, False),
]


async def with_node(config: Config, use: Callable[[Node], Any]) -> Any:
    """What a function returns that is called in the daemon."""
    found, results = trio.open_memory_channel[outcome.Outcome[Any]](1)

    async def run(node: Node) -> bool:
        await found.send(await outcome.acapture(use, node))
        await trio.sleep_forever()
        return False

    async with running(config, only_jobs(Job("test", run, 0.0))):
        return (await results.receive()).unwrap()


def context(node: Node, answer: Callable[[Result], None]) -> Ctx:
    me = Principal("default", NOBODY, token_id="", login="", scope="", expires_at=0)
    return Ctx(node, me, "session", "", node.clock(), answer)


async def test_a_pipelined_command_begins_without_a_wait(config: Config) -> None:
    """It runs without an event loop: a wait of any kind fails the test."""

    async def use(node: Node) -> list[list[Result]]:
        row, answered = PIPELINED["message.send"], list[list[Result]]()
        commands = [(row, row.command(**PLAIN | fields), may) for fields, may in SENDS]
        for tag in ("receipt.delivered", "receipt.read"):
            commands.append((PIPELINED[tag], PIPELINED[tag].command(conversation=NOBODY, seq=1), True))
        for row, cmd, may in commands:
            answers = list[Result]()
            ctx = context(node, answers.append)
            assert pipeline_of(row, ctx, cmd) == (NOBODY if may else None)
            if may:
                done = trio.Event()
                with pytest.raises(StopIteration):
                    begin_command(row, ctx, cmd, done.set).send(None)
                assert not answers
                with trio.fail_after(PATIENCE):
                    await done.wait()
                answered.append(answers)
        return answered

    refusal = error_of(Refused("not_found", "no such conversation"))
    answered = await with_node(config, use)
    assert [answers[0].code for answers in answered] == [refusal.code] * 5
    assert {len(answers) for answers in answered} == {1}


class Late(SettledEffect, frozen=True):
    """An effect that settles when the test settles it."""

    settle: list[Settled]

    def begin(self, ctx: Ctx, settled: Settled) -> None:
        self.settle.append(settled)


class Unavailable(SettledEffect, frozen=True):
    def begin(self, ctx: Ctx, settled: Settled) -> None:
        raise Refused("unavailable")


class Broken(SettledEffect, frozen=True):
    def begin(self, ctx: Ctx, settled: Settled) -> None:
        raise KeyError("a bug")


async def test_every_end_is_answered_once(config: Config) -> None:
    async def use(node: Node) -> None:
        async def outcome_of(effect: SettledEffect | None, *errors: Exception | None) -> Any:
            async def handler(ctx: Ctx, cmd: Any) -> Effects:
                return [Reply(Ok())] if effect is None else [effect, Reply(Ok())]

            answers, done = list[Any](), list[None]()
            row = Row(**{**fields_of(PIPELINED["receipt.read"]), "handler": handler})
            cmd = row.command(conversation=NOBODY, seq=1)
            await begin_command(row, context(node, answers.append), cmd, lambda: done.append(None))
            for error in errors:
                assert (answers, done) == ([], [])
                settle.pop()(None, error)
            assert len(done) == len(answers) == 1
            return answers[0]

        settle = list[Settled]()
        late = Late(settle)
        assert isinstance(await outcome_of(late, None), Ok)
        # A receipt that another device has sent since it was received.
        assert isinstance(await outcome_of(None), Ok)
        assert (await outcome_of(late, Refused("blocked"))).code == "blocked"
        assert (await outcome_of(late, ZeroDivisionError())).code == "internal"
        assert (await outcome_of(late, trio.TooSlowError())).code == "timeout"
        assert (await outcome_of(Unavailable())).code == "unavailable"
        assert (await outcome_of(Broken())).code == "internal"

    await with_node(config, use)


def fields_of(row: Row) -> dict[str, Any]:
    return {name: getattr(row, name) for name in row.__slots__}


async def test_a_failing_listener_does_not_stop_the_log(config: Config) -> None:
    async def use(node: Node) -> None:
        def fail(*_: object) -> None:
            raise KeyError("a bug")

        row = PIPELINED["receipt.read"]
        cmd = row.command(conversation=NOBODY, seq=1)
        effect = (await row.handler(context(node, lambda _: None), cmd))[0]
        assert isinstance(effect, SettledEffect)
        for _ in range(2):
            effect.begin(context(node, lambda _: None), fail)
            with trio.fail_after(PATIENCE):
                await node.get(MessageLog).flush()
        with pytest.raises(Refused, match="not_found"):
            await effect.deliver(context(node, lambda _: None))

    await with_node(config, use)


def encoded(frame_id: int, tag: str, **fields: Any) -> bytes:
    return Raw.frame_of(json.dumps([frame_id, {"t": tag, **fields}]).encode())


def sends(room: str, count: int) -> list[bytes]:
    """Frames that send messages, with ids from 1 on."""
    return [
        encoded(number, "message.send", conversation=room, client_id=f"{number}", text="x")
        for number in range(1, count + 1)
    ]


async def answers(raw: Raw, count: int) -> list[tuple[int, dict[str, Any]]]:
    """The next answers, without events."""
    found: list[tuple[int, dict[str, Any]]] = []
    while len(found) < count:
        frame_id, body = json.loads((await raw.frame())[1])
        if frame_id:
            found.append((frame_id, body))
    return found


async def test_messages_that_arrive_together_share_batches(config: Config) -> None:
    count = 5 * MAX_PIPELINED
    async with running(config) as daemon, daemon.pair() as (alice, bob, room):
        async with Raw.session(daemon, "json", alice.user) as raw:
            frames = [
                encoded(number, "message.send", conversation=room, client_id=f"c{number}", text=str(number))
                for number in range(1, count + 1)
            ]
            await raw.send(b"".join(frames))
            acks = await answers(raw, count)
        assert [frame_id for frame_id, _ in acks] == list(range(1, count + 1))
        assert [ack["seq"] for _, ack in acks] == list(range(1, count + 1))
        assert [(await bob.event("message.new")).message.text for _ in range(count)] == [
            str(number) for number in range(1, count + 1)
        ]
        samples = await scrape(daemon)
        assert samples["chatd_message_log_batches_total", ()] <= count / 2


@pytest.mark.parametrize("seed", range(6))
async def test_answers_arrive_in_the_order_of_the_commands(daemon: Daemon, seed: int) -> None:
    """Whatever waits, is begun, runs at once or is refused."""
    rng = random.Random(seed)
    async with daemon.people(2) as (alice, bob):
        rooms = [
            (await alice.call("conversation.create", members=[bob.user], title=title)).conversation.id
            for title in ("one", "two")
        ]
        kinds: list[Callable[[int], bytes]] = [
            lambda number: encoded(
                number, "message.send", conversation=rng.choice(rooms), client_id=f"{seed}-{number}", text="x"
            ),
            lambda number: encoded(number, "message.send", conversation=NOBODY, client_id=f"{number}", text="x"),
            lambda number: encoded(number, "message.send", conversation=rooms[0], client_id=f"{number}", text=" "),
            lambda number: encoded(
                number, "message.send", conversation=rooms[0], client_id=f"m{number}", text="x", meta={"a": 1}
            ),
            lambda number: encoded(number, "receipt.read", conversation=rng.choice(rooms), seq=rng.randint(1, 3)),
            lambda number: encoded(number, "message.history", conversation=rooms[1]),
            lambda number: encoded(number, "typing.start", conversation=rooms[0]),
            lambda number: encoded(number, "ping", ts=1),
            lambda number: encoded(number, "no.such"),
            lambda number: encoded(number, "message.send", text=5),
        ]
        weights = [10, 1, 1, 1, 3, 1, 1, 1, 1, 1]
        async with Raw.session(daemon, "json", alice.user) as raw:
            frames = [kind(number) for number, kind in enumerate(rng.choices(kinds, weights, k=150), 1)]
            while frames:
                size = rng.randint(1, 40)
                await raw.send(b"".join(frames[:size]))
                frames = frames[size:]
            assert [frame_id for frame_id, _ in await answers(raw, 150)] == list(range(1, 151))


async def hold(store: Postgres, room: str, locked: trio.Event, seconds: float) -> None:
    """Lock a conversation for a while."""

    async def work(tx: Tx) -> None:
        await tx.run(LOCK, room)
        locked.set()
        await tx.run(f"select pg_sleep({seconds})")

    await store.in_transaction(work)


ENDS = {
    "the peer shuts its side down": b"",
    "a close frame": Raw.frame_of(b"\x03\xe8", 8),
    "an invalid frame": b"\xff\xff",
    "a fragment": Raw.frame_of(b"[", final=False),
}


@pytest.mark.parametrize("end", ENDS)
async def test_begun_commands_are_answered_before_the_close(config: Config, store: Postgres, end: str) -> None:
    async with running(config) as daemon, daemon.pair() as (alice, _, room), trio.open_nursery() as nursery:
        locked = trio.Event()
        nursery.start_soon(hold, store, room, locked, 0.3)
        await locked.wait()
        async with Raw.session(daemon, "json", alice.user) as raw:
            frames = sends(room, 3)
            await raw.send(b"".join(frames) + ENDS[end])
            await raw.stream.send_eof()
            assert [body["t"] for _, body in await answers(raw, 3)] == ["message.ack"] * 3


async def test_begun_commands_are_answered_before_a_drain_closes_the_session(config: Config, store: Postgres) -> None:
    """As at a drain: the client gets the close once its commands are answered."""
    async with (
        running(administered(config)) as daemon,
        daemon.pair() as (alice, _, room),
        trio.open_nursery() as nursery,
    ):
        locked = trio.Event()
        nursery.start_soon(hold, store, room, locked, 0.5)
        await locked.wait()
        async with Raw.session(daemon, "json", alice.user) as raw:
            frames = sends(room, 3)
            await raw.send(b"".join([encoded(9, "ping", ts=1), *frames]))
            await answers(raw, 1)
            assert (await order(daemon, "kick", user=alice.user)).status == 200
            assert [body["t"] for _, body in await answers(raw, 3)] == ["message.ack"] * 3
            assert await raw.close_code() == 1001


async def test_a_repeated_message_in_the_pipeline_is_the_same_message(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, room), Raw.session(daemon, "json", alice.user) as raw:
        frames = [
            encoded(number, "message.send", conversation=room, client_id="same", text="x") for number in range(1, 6)
        ]
        await raw.send(b"".join(frames))
        acks = [body for _, body in await answers(raw, 5)]
        assert {ack["message"] for ack in acks} == {acks[0]["message"]}
        assert [ack["duplicate"] for ack in acks] == [False, True, True, True, True]
        await bob.event("message.new")
        await alice.send(room, "last")
        assert (await bob.event("message.new")).message.text == "last"


async def test_slow_mode_counts_pipelined_messages(daemon: Daemon) -> None:
    async with daemon.people(2) as (alice, bob):
        room = (await alice.call("conversation.create", members=[bob.user], title="slow")).conversation.id
        await alice.call("conversation.edit", conversation=room, slow_seconds=60)
        async with Raw.session(daemon, "json", bob.user) as raw:
            frames = sends(room, 3)
            await raw.send(b"".join(frames))
            codes = [body.get("code", body["t"]) for _, body in await answers(raw, 3)]
        assert codes == ["message.ack", "rate_limited", "rate_limited"]


@pytest.mark.parametrize("seed", range(3))
async def test_answers_of_a_batch_are_in_the_order_of_its_messages(daemon: Daemon, seed: int) -> None:
    """New messages, repeated ones, and those that the database refuses."""
    rng = random.Random(seed)
    async with daemon.people(2) as (alice, bob):
        rooms = [
            (await alice.call("conversation.create", members=[bob.user], title=title)).conversation.id
            for title in ("one", "two")
        ]
        await alice.call("message.send", conversation=rooms[1], client_id="there", text="x")
        async with Raw.session(daemon, "json", alice.user) as raw:
            for _ in range(10):
                ids = [rng.choice([f"a{rng.random()}", "there", "again", f"b{rng.random()}"]) for _ in range(8)]
                frames = [
                    encoded(number, "message.send", conversation=rooms[0], client_id=id_, text="x")
                    for number, id_ in enumerate(ids, 1)
                ]
                await raw.send(b"".join(frames))
                found = await answers(raw, 8)
                assert [frame_id for frame_id, _ in found] == list(range(1, 9))
                for id_, (_, body) in zip(ids, found, strict=True):
                    assert body.get("code", body.get("client_id")) == ("conflict" if id_ == "there" else id_)


async def test_refusals_at_the_deadline_are_in_the_order_of_the_commands(config: Config, dsn: str) -> None:
    """The first message is being committed, the others wait for the next batch."""
    async with line_to_postgres(dsn) as (line, address):
        settings = replace(config.get(MessageLogSettings), deadline=1.0)
        config = replace(config, postgres=replace(config.postgres, dsn=address)).using(settings)
        async with (
            running(config) as daemon,
            daemon.pair() as (alice, _, room),
            Raw.session(daemon, "json", alice.user) as raw,
        ):
            await alice.send(room)
            line.down.timeout = True
            frames = sends(room, 8)
            await raw.send(frames[0])
            await trio.sleep(0.02)
            await raw.send(b"".join(frames[1:]))
            found = await answers(raw, 8)
            line.heal()
            line.cut()
        assert [(frame_id, body["code"]) for frame_id, body in found] == [(n, "unavailable") for n in range(1, 9)]
