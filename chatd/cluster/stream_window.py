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
    """The window of one stream. `note` each entry. Entries before `cut` can be removed; None: none yet."""

    def __init__(self, max_entries: int, max_bytes: int, max_age_s: float = inf) -> None:
        self.cut: bytes | None = None
        self.bytes = 0
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._max_age_ms = max_age_s * 1000
        self._entries: deque[tuple[bytes, int]] = deque()

    def note(self, id_: bytes, size: int) -> None:
        """Note the newest entry, which is kept whatever its size."""
        self._entries.append((id_, size))
        self.bytes += size
        while len(self._entries) > 1 and (len(self._entries) > self._max_entries or self.bytes > self._max_bytes):
            self.bytes -= self._entries.popleft()[1]
            self.cut = self._entries[0][0]
        # By age, entries before the first noted one are removed too.
        since = order_of(id_)[0] - self._max_age_ms
        if since > 0:
            while order_of(self._entries[0][0])[0] < since:
                self.bytes -= self._entries.popleft()[1]
            self.cut = max(self.cut or b"0-0", b"%d-0" % int(since), key=order_of)

    def clear(self) -> None:
        """Start over with a new stream."""
        self._entries.clear()
        self.bytes, self.cut = 0, None
