"""The client has a type for every answer and event of the server, at every level."""

import inspect
from typing import Any

import msgspec
import pytest

from chatd.client.commands import KINDS as ANSWERS
from chatd.client.events import KINDS as EVENTS
from chatd.client.timeline import Timeline
from chatd.client.types import Calls
from chatd.client.wire_base import Unknown, typed
from chatd.subsystems import load_registry
from chatd.wire.base import Command
from chatd.wire.codec import tag_of
from chatd.wire.reference.examples import example
from chatd.wire.reference.json_schema import all_events, always_sent, is_for_admins
from tests.client.scripted import HELLO, message

REGISTRY = load_registry()
ROWS = [row for row in REGISTRY.commands.values() if row.socket and not is_for_admins(row)]
RESULTS = list(dict.fromkeys(row.result for row in ROWS))
TOLD = all_events(REGISTRY.events)


def same(read: Any, sent: Any) -> bool:
    """Whether a typed value equals what was sent; a field that may be absent is None then."""
    if isinstance(read, msgspec.Struct):
        names = {field.name: field.encode_name for field in msgspec.structs.fields(type(read))}
        return all(same(getattr(read, name), sent.get(wire)) for name, wire in names.items())
    if isinstance(read, list):
        return len(read) == len(sent) and all(map(same, read, sent))
    return bool(read == sent)


@pytest.mark.parametrize("kind", [*RESULTS, *TOLD], ids=lambda kind: str(tag_of(kind)))
def test_every_answer_and_event_has_a_type(kind: type[msgspec.Struct]) -> None:
    """With all its fields, and with only those that are always sent."""
    whole = msgspec.to_builtins(example(kind))
    bare = {name: whole[name] for name in always_sent(kind)}
    for body in (whole, bare):
        read = typed(body, ANSWERS if kind in RESULTS else EVENTS)
        assert not isinstance(read, Unknown)
        assert read.t == body["t"]
        assert same(read, body)


@pytest.mark.parametrize("codec", [msgspec.json, msgspec.msgpack])
def test_unknown_types_and_fields_are_kept(codec: Any) -> None:
    """New fields are ignored; a new type, or a field whose type has changed, is emitted unchanged."""
    ping = {"t": "pong", "ts": 1, "server_time": 2}
    assert typed(codec.decode(codec.encode(ping | {"new": [1]})), ANSWERS).server_time == 2
    for body in ({"t": "what.is.new", "x": {"y": 1}}, ping | {"ts": "1"}, {"t": "pong"}):
        read = typed(codec.decode(codec.encode(body)), ANSWERS)
        assert read == Unknown(t=body["t"], fields=body)


def test_sync_results_have_a_type() -> None:
    """Events that the client makes of states, with only the fields of states."""
    profile = {"name": None, "handle": None, "avatar": None, "picture_url": None, "profile_version": 0}
    member = profile | {"user": "u", "role": "member", "joined_at": 0, "read_seq": 2, "delivered_seq": 4, "rev": 4}
    info = {"title": None, "description": None, "picture": None, "announce": False, "disappear": 0, "keep_days": None}
    info |= {"slow_seconds": 0, "joining": "open", "history": "all", "member_count": 2, "requested": None}
    departure = {"user": "w", "rev": 5, "left_at": 0, "actor": None}
    lists = {"messages": [message(1), message(6)], "members": [member], "departures": [departure]}
    page = lists | {"info": info, "rev": 9, "more": False}
    timeline = Timeline({"cursor": "x", "conversations": {"c": [3, 3, True], "gone": [1, 1, False]}})
    timeline.connected()
    counters = {"id": "c", "kind": "group", "seq": 6, "rev": 9, "settings": {}} | info
    mark = {"conversation": "c", "message": "m", "seq": 1, "starred_at": None, "hidden": False}
    own = {"conversations": [], "marks": [mark], "own": True}
    timeline.remove_gone(["gone"])
    timeline.take_states([counters, {"id": "c", "seq": 1, "rev": 1}])
    events = [*timeline.states_end("y", own), *timeline.take_changes("c", page | {"rev": 9})]
    events += timeline.take_changes("c", page)
    assert {event["t"] for event in events} >= {"conversation.gone", "conversation.reset", "session.changed"}
    assert [event["t"] for event in events if isinstance(typed(event, EVENTS), Unknown)] == []


def test_the_first_frame_has_a_type() -> None:
    assert typed(HELLO, EVENTS).limits.max_message == 1000


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row.tag))
def test_every_command_has_a_signature(row: Any) -> None:
    """The overload that names a command takes its fields, no other, and returns the type of its answer."""
    signatures = {text.partition('"')[2].partition('"')[0]: text for text in OVERLOADS if 'Literal["' in text}
    text = signatures[row.tag]
    kind: type[Command] = row.command
    wanted = [field.encode_name for field in msgspec.structs.fields(kind)]
    taken = [part.partition(":")[0].strip("_ ") for part in split(text)[2:] if part.strip() != "*"]
    assert (taken, text.rpartition("-> ")[2].strip()) == (wanted, row.result.__name__)


def overloads() -> list[str]:
    source = inspect.getsource(Calls)
    return [line.removesuffix(": ...") for line in source.splitlines() if "async def call(" in line]


OVERLOADS = overloads()


def split(text: str) -> list[str]:
    """Split parameters, which may contain commas within brackets."""
    inside, depth, parts = text[text.index("(") + 1 : text.rindex(")")], 0, [""]
    for character in inside:
        depth += (character == "[") - (character == "]")
        if character == "," and not depth:
            parts.append("")
        else:
            parts[-1] += character
    return parts
