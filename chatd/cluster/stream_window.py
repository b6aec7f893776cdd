"""Which entries a Redis stream should still hold: bounded in number, bytes and age.

Redis trims by number or by id only, and entries differ in size by a factor of ten thousand. So a reader or writer of all entries
notes their sizes here, and trims by the id that follows from them (`MINID`).
"""

from collections import deque
from math import inf


def order_of(id_: bytes) -> tuple[int, int]:
    """Ids of a stream as what they are compared by."""
    milliseconds, _, number = id_.partition(b"-")
    return int(milliseconds), int(number or 0)


class StreamWindow:
    """`note` each entry; entries before `cut` are to be removed (None: nothing yet)."""

    def __init__(self, max_entries: int, max_bytes: int, max_age_s: float = inf) -> None:
        self.cut: bytes | None = None
        self.bytes = 0
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._max_age_ms = max_age_s * 1000
        self._entries: deque[tuple[bytes, int]] = deque()

    def note(self, id_: bytes, size: int) -> None:
        """The newest entry. It is kept, whatever its size."""
        self._entries.append((id_, size))
        self.bytes += size
        while len(self._entries) > 1 and (len(self._entries) > self._max_entries or self.bytes > self._max_bytes):
            self.bytes -= self._entries.popleft()[1]
            self.cut = self._entries[0][0]
        # By age also what was written before the first entry that was noted.
        since = order_of(id_)[0] - self._max_age_ms
        if since > 0:
            while order_of(self._entries[0][0])[0] < since:
                self.bytes -= self._entries.popleft()[1]
            self.cut = max(self.cut or b"0-0", b"%d-0" % int(since), key=order_of)

    def clear(self) -> None:
        """The stream is another one."""
        self._entries.clear()
        self.bytes, self.cut = 0, None
