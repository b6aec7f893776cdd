"""The agreed encoding of every type: one example each, in both codecs.

`python -m tests.golden.vectors` writes the file. A changed vector is a change of the protocol, which installed clients
will meet: add types and optional fields freely, and change nothing else without a reason.
"""

import json
from pathlib import Path

from msgspec import Struct

from chatd.app.registry import Registry
from chatd.subsystems import load_registry
from chatd.wire.base import Error, Event
from chatd.wire.codec import codecs, tag_of
from chatd.wire.reference.examples import example
from chatd.wire.reference.json_schema import all_events

FILE = Path(__file__).with_name("vectors.json")
REGISTRY = load_registry()
ID = 7


def groups_of(registry: Registry) -> dict[str, tuple[type[Struct], ...]]:
    results = dict.fromkeys([*(row.result for row in registry.commands.values()), Error])
    return {
        "commands": tuple(registry.commands),
        "results": tuple(results),
        "events": tuple(all_events(registry.events)),
    }


COMMANDS, RESULTS, EVENTS = groups_of(REGISTRY).values()
CODECS = codecs(COMMANDS)


def vector_of(kind: type[Struct]) -> dict[str, str]:
    """The frame of the example: JSON as text, msgpack as hexadecimal digits."""
    return {name: readable(name, frame_of(kind, name)) for name in ("json", "msgpack")}


def frame_of(kind: type[Struct], codec: str) -> bytes:
    frame_id = 0 if issubclass(kind, Event) else ID
    return CODECS[f"chatd.v1.{codec}"].encode((frame_id, example(kind)))


def readable(codec: str, payload: bytes) -> str:
    return payload.decode() if codec == "json" else payload.hex()


def vectors(registry: Registry = REGISTRY) -> dict[str, dict[str, dict[str, str]]]:
    groups = groups_of(registry).items()
    return {group: {tag_of(kind): vector_of(kind) for kind in sorted(kinds, key=tag_of)} for group, kinds in groups}


def agreed() -> dict[str, dict[str, dict[str, str]]]:
    """The stored vectors."""
    return json.loads(FILE.read_text())  # type: ignore[no-any-return]


if __name__ == "__main__":
    FILE.write_text(json.dumps(vectors(), indent=1, ensure_ascii=False) + "\n")
