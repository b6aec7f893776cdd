"""The window of entries that a Redis stream keeps: bounded in number, bytes and age.

Redis trims by number or id only, while the sizes of entries differ by a factor of ten thousand. So a reader or writer
of all entries notes their sizes here, and trims by the resulting id (`MINID`).
"""

from collections import deque
from math import inf


def order_of(id_: bytes) -> tuple[int, int]:
    """The sort key of a stream id."""
    milliseconds, _, number = id_.partition(b"-")
    return int(milliseconds), int(number or 0)


class StreamWindow:
    """The window of one stream. `note` each entry."""

    def __init__(self, max_entries: int, max_bytes: int, max_age_s: float = inf) -> None:
        self.bytes = 0
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._max_age_ms = max_age_s * 1000
        # Time in milliseconds, id and size.
        self._entries: deque[tuple[int, bytes, int]] = deque()
        # By number and bytes; by age, entries before the first noted one are removed too.
        self._first: bytes | None = None
        self._since = 0.0

    @property
    def cut(self) -> bytes | None:
        """Entries before this id can be removed; None: none yet."""
        if self._since <= 0:
            return self._first
        by_age = b"%d-0" % int(self._since)
        return by_age if self._first is None else max(self._first, by_age, key=order_of)

    def note(self, id_: bytes, size: int) -> None:
        """Note the newest entry, which is kept whatever its size."""
        entries = self._entries
        at = int(id_[: id_.index(b"-")])
        entries.append((at, id_, size))
        self.bytes += size
        while len(entries) > 1 and (len(entries) > self._max_entries or self.bytes > self._max_bytes):
            self.bytes -= entries.popleft()[2]
            self._first = entries[0][1]
        self._since = since = at - self._max_age_ms
        while entries[0][0] < since:
            self.bytes -= entries.popleft()[2]

    def clear(self) -> None:
        """Start over with a new stream."""
        self._entries.clear()
        self.bytes, self._first, self._since = 0, None, 0.0
