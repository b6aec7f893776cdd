"""The agreed encoding of every type: one example each, in both codecs.

`python -m tests.golden.vectors` writes the file. A changed vector is a change of the protocol, which installed clients will
meet: add types and optional fields freely, and change nothing else without a reason.
"""

import json
from pathlib import Path

from msgspec import Struct

from chatd.subsystems import load_registry
from chatd.wire.base import Command, Error
from chatd.wire.codec import codecs, tag_of
from chatd.wire.reference.examples import example
from chatd.wire.reference.json_schema import all_events

FILE = Path(__file__).with_name("vectors.json")
REGISTRY = load_registry()
CODECS = codecs(REGISTRY.commands)
COMMANDS: tuple[type[Command], ...] = tuple(REGISTRY.commands)
RESULTS: tuple[type[Struct], ...] = tuple(dict.fromkeys([*(row.result for row in REGISTRY.commands.values()), Error]))
EVENTS = tuple(all_events(REGISTRY.events))
ID = 7


def vector_of(kind: type[Struct]) -> dict[str, str]:
    """The frame of the example: JSON as text, msgpack as hexadecimal digits."""
    return {name: readable(name, frame_of(kind, name)) for name in ("json", "msgpack")}


def frame_of(kind: type[Struct], codec: str) -> bytes:
    frame_id = 0 if kind in EVENTS else ID
    return CODECS[f"chatd.v1.{codec}"].encode((frame_id, example(kind)))


def readable(codec: str, payload: bytes) -> str:
    return payload.decode() if codec == "json" else payload.hex()


def vectors() -> dict[str, dict[str, dict[str, str]]]:
    groups: dict[str, tuple[type[Struct], ...]] = {"commands": COMMANDS, "results": RESULTS, "events": EVENTS}
    return {group: {tag_of(kind): vector_of(kind) for kind in sorted(kinds, key=tag_of)} for group, kinds in groups.items()}


def agreed() -> dict[str, dict[str, dict[str, str]]]:
    """The stored vectors."""
    return json.loads(FILE.read_text())  # type: ignore[no-any-return]


if __name__ == "__main__":
    FILE.write_text(json.dumps(vectors(), indent=1, ensure_ascii=False) + "\n")
