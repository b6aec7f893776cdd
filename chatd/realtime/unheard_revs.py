"""How far conversations were told of which nobody was known to hear them here.

That somebody does may become known late: their conversations are being looked up, or another node's order to let them hear it is
still on its way. Then they have missed something, and are told so.
"""

# Conversations that are remembered, the last ones.
MOST = 10_000
Key = tuple[str, str]


class Passed:
    """Revs by tenant and conversation."""

    def __init__(self) -> None:
        self._revs: dict[Key, int] = {}

    def note(self, key: Key, rev: int, *, keep: bool) -> None:
        """`keep`: forget none for it, because somebody's conversations are being looked up."""
        self._revs[key] = max(rev, self._revs.pop(key, 0))
        if not keep:
            self.trim()

    def trim(self) -> None:
        while len(self._revs) > MOST:
            del self._revs[next(iter(self._revs))]

    def rev(self, key: Key) -> int:
        """0 when nothing passed that is remembered."""
        return self._revs.get(key, 0)
