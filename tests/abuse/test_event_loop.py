"""No command, no refusal, and no sequence of them blocks the event loop."""

import gc
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import trio
from msgspec import inspect
from msgspec.structs import replace

from chatd.core.config import Config
from chatd.filters.settings import FilterSettings
from chatd.subsystems import load_registry
from chatd.wire.base import Command
from chatd.wire.codec import tag_of
from chatd.wire.reference.examples import example, example_body, fields_of
from tests.abuse.lag import Probe, probed
from tests.support import NOBODY, PATIENCE, Daemon, running
from tests.wire_client import Raw

LIMIT_S = 0.005
COMMANDS = load_registry().on_socket
LONGEST = 15_000
MOST_BYTES = 60_000
frame = Raw.frame_of


@pytest.fixture
def no_collections() -> Iterator[None]:
    """Disable garbage collection: it would traverse all objects of pytest."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def largest(form: inspect.Type, value: Any) -> Any:
    """The largest value of the type; fields with a fixed form keep their example."""
    match form:
        case inspect.Metadata():
            return largest(form.type, value)
        case inspect.UnionType():
            return largest(next(part for part in form.types if not isinstance(part, inspect.NoneType)), value)
        case inspect.StrType(pattern=None):
            return "Z\u0307" * (min(form.max_length or LONGEST, LONGEST) // 2)
        case inspect.ListType():
            return [largest(form.item_type, value[0] if value else None)] * min(form.max_length or 1000, 1000)
        case inspect.DictType() | inspect.AnyType():
            return {f"key {number}": [number, "x", {"y": number / 2}] for number in range(400)}
    return value


def worst_bodies(kind: type[Command]) -> Iterator[dict[str, Any]]:
    """The example, short and with every field; with each field at its largest; and with an unknown field."""
    body = example_body(kind)
    yield body
    yield msgspec.to_builtins(example(kind))
    yield {**body, "nonsense" * 7000: 1}
    for field in fields_of(kind):
        value = largest(field.type, body.get(field.encode_name))
        if value is not None and len(msgspec.json.encode(value)) < MOST_BYTES:
            yield {**body, field.encode_name: value}


async def answered(raw: Raw, frame_id: int) -> str:
    """The type of the answer, or the code of the refusal; None if the command closes the socket."""
    while True:
        try:
            first, payload = await raw.frame()
        except EOFError:
            return ""
        if first in (0x81, 0x82):
            answered_id, body = (msgspec.json if first == 0x81 else msgspec.msgpack).decode(payload)
            if answered_id == frame_id:
                return str(body.get("code", body["t"]))


async def lag_of(probe: Probe, raw: Raw, payload: bytes, frame_id: int, opcode: int = 1) -> float:
    """The longest step while the command is answered. The first attempt may fill caches: one good attempt suffices."""
    worst = float("inf")
    for _ in range(3):
        probe.reset()
        await raw.send(frame(payload, opcode))
        await answered(raw, frame_id)
        worst = min(worst, probe.worst_s)
        if worst < LIMIT_S:
            break
    return worst


FILTERS = FilterSettings(
    words=[f"badword{number}" for number in range(1000)],
    links="listed",
    link_hosts=["good.com"],
    links_denied=["evil.test"],
)
OPCODES = {"json": 1, "msgpack": 2}


@pytest.mark.usefixtures("no_collections")
@pytest.mark.parametrize(
    ("codec", "filters"), [("json", FilterSettings()), ("msgpack", FILTERS)], ids=["json", "msgpack, filters on"]
)
async def test_commands_do_not_hold_the_event_loop(config: Config, codec: str, filters: FilterSettings) -> None:
    encode = (msgspec.json if codec == "json" else msgspec.msgpack).encode
    async with running(config.using(filters)) as daemon, daemon.person() as bob:
        slow = []
        for kind in COMMANDS:
            async with Raw.session(daemon, codec) as raw:
                with probed() as probe:
                    for body in worst_bodies(kind):
                        text = encode([7, body]).replace(NOBODY.encode(), bob.user.encode())
                        took = await lag_of(probe, raw, text, 7, OPCODES[codec])
                        if took >= LIMIT_S:
                            slow.append((tag_of(kind), took, probe.task, text[:200]))
        assert slow == []


BAD = [
    b'[7,{"t":"message.send","text":"%s\\ud83d"}]' % (b"x" * 60_000),
    b'[7,{"t":"x","a":%s%s}]' % (b"[" * 30_000, b"]" * 30_000),
    b'[7,{"t":"x","a":[%s]}]' % (b'"",' * 15_000),
    b'[7,{"t":"%s"}]' % (b"x" * 60_000),
    b'[7,{"t":"ping","ts":%s}]' % (b"9" * 60_000),
    b'[7,{"t":"message.send","meta":{%s}}]' % b",".join(b'"%d":{}' % n for n in range(6000)),
    b'[7,{"t":"message.send","attachments":[%s]}]' % b",".join([b"{}"] * 20_000),
    b'[7,{"t":"user.settings","quiet":{"from":"22:00","to":"07:00","zone":"No/Where"}}]',
]


@pytest.mark.usefixtures("no_collections")
async def test_refusals_do_not_hold_the_event_loop(daemon: Daemon) -> None:
    """Each alone, then as many at once as one read can hold."""
    async with Raw.session(daemon) as raw:
        with probed() as probe:
            for payload in BAD:
                assert await lag_of(probe, raw, payload, 7) < LIMIT_S, (payload[:60], probe.task)
    rows = [b'[7,{"t":"ping","ts":1}]', b'[7,{"t":"ping"}]', b'[7,{"t":"x","x":%s}]' % (b"[" * 200 + b"]" * 200)]
    for payload in rows:
        async with Raw.session(daemon) as raw:
            with probed() as probe:
                count = 60_000 // len(payload)
                await raw.send(frame(payload) * (count - 1) + frame(payload.replace(b"[7,", b"[8,")))
                await answered(raw, 8)
                assert probe.worst_s < LIMIT_S, (payload[:60], probe.task)


@pytest.mark.usefixtures("no_collections")
async def test_pipelined_commands_let_other_tasks_run(config: Config) -> None:
    """Also commands refused by the rate limit, until the socket closes."""
    limits = replace(config.limits, commands_per_second=5.0, commands_burst=20)
    async with running(replace(config, limits=limits)) as daemon, Raw.session(daemon) as raw:
        with probed() as probe, trio.fail_after(PATIENCE):
            await raw.send(frame(b'[7,{"t":"ping","ts":1}]') * 3000)
            assert await raw.close_code() == 4029
            assert probe.worst_s < LIMIT_S, probe.task
