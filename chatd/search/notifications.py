"""The payloads of the notifications to the indexer: one line for each conversation, with the number of changes."""

import re
from collections.abc import Iterator, Mapping

from chatd.core.ids import is_uuid
from chatd.search.backlog import Place

CHANNEL = "chatd_search"
# Postgres allows 7999 bytes.
MAX_BYTES = 7900
NUMBER = re.compile("[0-9]{1,9}")


def payloads(noted: Mapping[Place, int]) -> Iterator[str]:
    lines: list[str] = []
    size = 0
    for (tenant, conversation), changes in noted.items():
        line = f"{conversation} {changes} {tenant}"
        size += len(line.encode()) + 1
        if size > MAX_BYTES:
            yield "\n".join(lines)
            lines, size = [], len(line.encode()) + 1
        lines.append(line)
    if lines:
        yield "\n".join(lines)


def parse(payload: str) -> Iterator[tuple[Place, int]]:
    """The conversations of a payload, and their changes. Lines of another form, from other programs, are skipped."""
    for line in payload.split("\n"):
        conversation, _, rest = line.partition(" ")
        changes, _, tenant = rest.partition(" ")
        if is_uuid(conversation) and tenant and NUMBER.fullmatch(changes):
            yield (tenant, conversation), int(changes)
