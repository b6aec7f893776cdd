"""What an entry of the mirror holds, and the way back from entries to steps. Pure.

Entries of one owner are numbered. Redis may carry out later what its owner has given up waiting for: an entry that stands after
one with a higher number is from before, and does not count; nor does what an owner writes after it has been replaced.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from chatd.matching.pool_events import PoolEvent, Reset

DECODE = msgspec.json.Decoder(list[PoolEvent]).decode


class Line(Struct):
    """One step, when it was taken, and under which lease."""

    at: int
    fence: int
    step: PoolEvent


class Page(Struct):
    """One entry: the number of the lease, the number of the entry, and its steps."""

    fence: int
    number: int
    lines: list[Line]

    @property
    def is_whole(self) -> bool:
        """Whether nothing before it is needed."""
        return isinstance(self.lines[0].step, Reset)


def page_of(fields: dict[bytes, Any]) -> Page | None:
    """An entry as Redis gives it; None for what cannot be read: foreign, damaged, or of a newer version.

    One without a number was written by an earlier version.
    """
    try:
        fence, at = int(fields[b"f"]), int(fields[b"at"])
        lines = [Line(at, fence, step) for step in DECODE(fields[b"s"])]
        return Page(fence, int(fields.get(b"n", 0)), lines) if lines else None
    except (KeyError, ValueError, RecursionError):
        return None


def is_enough(pages: Sequence[Page]) -> bool:
    """Whether these, the newest first, begin with the whole pool, and nothing of the same owner is missing after it."""
    first = pages[-1]
    since = {page.number for page in pages if page.fence == first.fence and page.number >= first.number}
    is_newest = all(page.fence <= first.fence for page in pages)
    return first.is_whole and is_newest and len(since) == max(since) - first.number + 1


def in_order(pages: Iterable[Page]) -> list[Line]:
    """The steps that count, of pages from the oldest to the newest."""
    found: list[Line] = []
    last = (0, 0)
    for page in pages:
        if (page.fence, page.number) >= last:
            last = (page.fence, page.number)
            found += page.lines
    return found


def since_reset(lines: list[Line]) -> list[Line]:
    """From the last reset on."""
    resets = [number for number, line in enumerate(lines) if isinstance(line.step, Reset)]
    return lines[resets[-1] :] if resets else []
