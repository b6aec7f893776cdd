"""Commands under id 0: they have their effects, and get no frame but an error."""

import dataclasses
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from chatd.app.command_metrics import CommandMetrics
from chatd.app.context import Ctx
from chatd.app.dispatch import CommandTimeout
from chatd.app.effects import Effects, Reply
from chatd.app.rate_limits import UserLimits
from chatd.app.registry import Guard, GuardChecks, Row
from chatd.core.config import Config
from chatd.core.errors import REFUSALS, Refused
from chatd.core.services import Services
from chatd.gateway.session import Session
from chatd.subsystems import load_registry
from chatd.wire.base import Command
from chatd.wire.codec import Codec, codecs, tag_of
from chatd.wire.reference.examples import example, example_body
from tests.gateway.test_session import Written, session_on
from tests.support import NOBODY, Daemon, Person, running, shared
from tests.wire.strategies import anything
from tests.wire_client import Raw

daemon = shared

REGISTRY = load_registry()
ROWS = {row.tag: row for row in REGISTRY.commands.values() if row.socket}
UNANSWERED = {tag for tag, row in ROWS.items() if row.unanswered}
CODECS = {codec.name: codec for codec in codecs(REGISTRY.on_socket).values()}
both = pytest.mark.parametrize("codec", CODECS.values(), ids=lambda codec: codec.name)


def test_commands_of_typing_receipts_and_presence_may_be_unanswered() -> None:
    parts = ("typing.", "receipt.", "presence.")
    assert {tag for tag in ROWS if tag.startswith(parts)} == UNANSWERED
    assert len(UNANSWERED) == 8
    assert not [row.tag for row in REGISTRY.commands.values() if row.unanswered and not row.socket]


class Peer:
    """A raw connection that sends and reads frames of either codec."""

    def __init__(self, raw: Raw, codec: Codec) -> None:
        self._raw = raw
        self._codec = codec
        self._decode = msgspec.json.decode if codec.name == "json" else msgspec.msgpack.decode

    async def send(self, *frames: Any) -> None:
        """Send all frames in one piece."""
        await self.send_payloads(*(self._codec.encode(frame) for frame in frames))

    async def send_payloads(self, *payloads: bytes) -> None:
        await self._raw.send(b"".join(Raw.frame_of(payload, self._codec.opcode) for payload in payloads))

    async def frames_before_pong(self) -> list[Any]:
        """Send a ping under id 1, and return the frames before its answer."""
        await self.send([1, {"t": "ping", "ts": 1}])
        found: list[Any] = []
        while True:
            _, payload = await self._raw.frame()
            frame = self._decode(payload)
            if frame[0] == 1:
                assert frame[1]["t"] == "pong"
                return found
            found.append(frame)


def error(frame: Any) -> tuple[str, str | None]:
    """Check that the frame is an error under id 0, and return its code and command."""
    frame_id, body = frame
    assert (frame_id, body["t"]) == (0, "error")
    assert body["retryable"] is REFUSALS[body["code"]].retryable
    return body["code"], body.get("command")


def body_of(tag: str, person: Person, conversation: str) -> dict[str, Any]:
    values = {"conversation": conversation, "seq": 1, "users": [person.user], "status": "away"}
    return {"t": tag, **{name: values[name] for name in ROWS[tag].command.__struct_fields__}}


@both
@pytest.mark.parametrize("tag", sorted(UNANSWERED))
async def test_success_is_not_answered(daemon: Daemon, codec: Codec, tag: str) -> None:
    async with daemon.pair() as (alice, bob, conversation), Raw.session(daemon, codec.name, alice.user) as raw:
        await bob.send(conversation)
        peer, body = Peer(raw, codec), body_of(tag, bob, conversation)
        await peer.send([0, body])
        assert "error" not in [frame[1]["t"] for frame in await peer.frames_before_pong()]
        # The members of the conversation are known now: typing runs in the turn of the reactor.
        await peer.send([0, body], [0, body], [2, body])
        frames = await peer.frames_before_pong()
        assert [frame[1]["t"] for frame in frames if frame[0]] == [tag_of(ROWS[tag].result)]
        assert "error" not in [frame[1]["t"] for frame in frames]


@both
@pytest.mark.parametrize("tag", sorted(UNANSWERED))
async def test_refusal_is_an_event_with_the_command(daemon: Daemon, codec: Codec, tag: str) -> None:
    async with daemon.person() as alice, Raw.session(daemon, codec.name, alice.user) as raw:
        peer, body = Peer(raw, codec), body_of(tag, alice, NOBODY)
        await peer.send([0, {**body, "more": 1}])
        assert [error(frame) for frame in await peer.frames_before_pong()] == [("bad_request", tag)]
        if "conversation" in body:
            await peer.send([0, body])
            assert [error(frame) for frame in await peer.frames_before_pong()] == [("not_found", tag)]


@both
@pytest.mark.parametrize("tag", sorted(ROWS.keys() - UNANSWERED))
async def test_other_commands_are_refused(daemon: Daemon, codec: Codec, tag: str) -> None:
    async with daemon.person() as alice, Raw.session(daemon, codec.name, alice.user) as raw:
        peer = Peer(raw, codec)
        await peer.send([0, example_body(ROWS[tag].command)])
        [frame] = await peer.frames_before_pong()
        assert error(frame) == ("bad_request", tag)
        assert "always answered" in frame[1]["message"]


UNREADABLE = {
    "json": [b"[0,NaN]", rb'[0,{"t":"typing.start","conversation":"\ud83d"}]', b"[0,{" + b'"a":{' * 3000 + b"}" * 3001 + b"]"],
    "msgpack": [b"\x92\x00\xc1", b"\x92\x00\x81\xa1t\xc1", b"\x92\x00" + b"\x81\xa1a" * 3000 + b"\xc0"],
}  # fmt: skip


@both
async def test_an_unreadable_body_under_id_0_is_refused(daemon: Daemon, codec: Codec) -> None:
    async with daemon.person() as alice, Raw.session(daemon, codec.name, alice.user) as raw:
        peer = Peer(raw, codec)
        for payload in UNREADABLE[codec.name]:
            await peer.send_payloads(payload)
            assert [error(frame) for frame in await peer.frames_before_pong()] == [("bad_request", None)]
        for body in ({}, {"t": 1}, {"ts": 1}, [], "typing.start", None):
            await peer.send([0, body])
            assert [error(frame) for frame in await peer.frames_before_pong()] == [("bad_request", None)]


@both
async def test_an_unknown_command_under_id_0_is_refused(daemon: Daemon, codec: Codec) -> None:
    async with daemon.person() as alice, Raw.session(daemon, codec.name, alice.user) as raw:
        peer = Peer(raw, codec)
        await peer.send([0, {"t": "no.such"}], [0, {"t": "x" * 20_000}], [0, {"t": "admin.ban.add"}])
        assert [error(frame) for frame in await peer.frames_before_pong()] == [
            ("unknown_command", "no.such"),
            ("unknown_command", None),
            ("unknown_command", "admin.ban.add"),
        ]


async def test_effects_are_those_of_an_answered_command(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, conversation):
        await bob.call("presence.watch", users=[alice.user])
        await bob.send(conversation)
        await alice.notify("typing.start", conversation=conversation)
        assert (await bob.event("typing.start"))["user"] == alice.user
        await alice.notify("typing.stop", conversation=conversation)
        assert (await bob.event("typing.stop"))["user"] == alice.user
        await alice.notify("receipt.delivered", conversation=conversation, seq=1)
        assert (await bob.event("message.delivered"))["seq"] == 1
        await alice.notify("receipt.read", conversation=conversation, seq=1)
        assert (await bob.event("message.read"))["seq"] == 1
        await alice.notify("presence.set", status="away")
        assert (await bob.event("presence.update"))["status"] == "away"
        await alice.notify("presence.watch", users=[bob.user])
        await alice.call("ping", ts=1)
        await bob.notify("presence.set", status="away")
        assert (await alice.event("presence.update"))["user"] == bob.user


async def test_later_command_is_answered_after_the_effects(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, conversation), Raw.session(daemon, "json", alice.user) as raw:
        peer = Peer(raw, CODECS["json"])
        for seq in range(1, 11):
            await bob.send(conversation)
            await peer.frames_before_pong()
            read = {"t": "receipt.read", "conversation": conversation, "seq": seq}
            bad = {"t": "receipt.read", "conversation": NOBODY, "seq": seq}
            get = {"t": "conversation.get", "conversation": conversation}
            await peer.send([0, read], [2, get], [0, bad], [3, get])
            frames = await peer.frames_before_pong()
            answers = [(frame[0], frame[1]["t"]) for frame in frames if frame[0] or frame[1]["t"] == "error"]
            assert answers == [(2, "conversation"), (0, "error"), (3, "conversation")]
            assert [frame[1]["conversation"]["read_seq"] for frame in frames if frame[0]] == [seq, seq]


async def test_rate_limits_apply_to_unanswered_commands(config: Config) -> None:
    """They count like any other command. A refusal under id 0 that floods closes the session."""
    limits = replace(config.limits, commands_per_second=5.0, commands_burst=10)
    config = replace(config, limits=limits)
    async with running(config) as daemon, daemon.person() as alice, Raw.session(daemon, "json", alice.user) as raw:
        peer = Peer(raw, CODECS["json"])
        await peer.send(*[[0, body_of("presence.query", alice, NOBODY)]] * 8)
        frames = [msgspec.json.decode((await raw.frame())[1]) for _ in range(3)]
        assert [error(frame) for frame in frames] == [("rate_limited", "presence.query")] * 3
        assert all(frame[1]["retry_after"] > 0 for frame in frames)
        await peer.send(*[[0, {"t": "no.such"}]] * 1000)
        assert await raw.close_code() == 4029


async def test_rest_has_no_unanswered_commands(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, _, conversation):
        path = f"/v1/conversations/{conversation}/typing"
        answer = await daemon.rest("POST", path, {}, token=alice.account.access_token)
        assert (answer.status, answer.body) == (200, {"t": "ok"})
        answer = await daemon.rest("POST", f"/v1/conversations/{NOBODY}/typing", {}, token=alice.account.access_token)
        assert (answer.status, answer.body.keys()) == (404, {"t", "code", "message", "retryable"})


# --- any command -------------------------------------------------------------------------------------------------------

FAILURES = [Refused("not_found"), Refused("unavailable", retry_after=1.0), Refused("banned", details={"until": 1})]
OUTCOMES = [None, *FAILURES, ZeroDivisionError(), trio.TooSlowError()]
any_command = st.sampled_from(list(ROWS.values())).flatmap(lambda row: anything(row.command))


def session_of(written: Written, codec: Codec, outcome: Exception | None) -> Session:
    """A session without a connection or subsystems, whose commands have this outcome."""
    session = session_on(written)
    services, checks = Services(), GuardChecks()
    for service in (CommandMetrics(), checks, CommandTimeout(5.0), UserLimits.of_commands(Config().limits)):
        services.add(service)

    async def passed(ctx: Ctx, cmd: Command) -> None: ...

    def row_of(row: Row) -> Row:
        async def handler(ctx: Ctx, cmd: Command) -> Effects:
            if outcome is not None:
                raise outcome
            return [Reply(example(row.result))]

        return dataclasses.replace(row, handler=handler, at_once=None)

    checks.by_guard |= dict.fromkeys(Guard, passed)
    node: Any = SimpleNamespace(config=Config(), services=services, get=services.get, clock=lambda: 0)
    session._node = node
    deps: Any = SimpleNamespace(node=node, rows={kind: row_of(row) for kind, row in REGISTRY.commands.items()})
    session._deps = deps
    session.codec = codec
    return session


async def frames_for(command: Command, codec: Codec, outcome: Exception | None) -> list[Any]:
    """The frames that a session sends for a command under id 0."""
    written = Written()
    session = session_of(written, codec, outcome)
    call = session.decode(codec.opcode, codec.encode((0, command)))
    if call is not None:
        await call.run()
    decode = msgspec.json.decode if codec.name == "json" else msgspec.msgpack.decode
    return [decode(frame[4 if frame[1] == 126 else 2 :]) for frame in written]


@given(any_command, st.sampled_from(list(CODECS.values())), st.sampled_from(OUTCOMES))
def test_any_command_gets_no_frame_but_an_error(command: Command, codec: Codec, outcome: Exception | None) -> None:
    tag = tag_of(type(command))
    frames = trio.run(frames_for, command, codec, outcome)
    if tag in UNANSWERED and outcome is None:
        assert frames == []
    else:
        [frame] = frames
        assert error(frame)[1] == tag
