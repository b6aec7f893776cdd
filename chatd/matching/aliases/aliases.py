"""What somebody is called towards the people they were matched with: another id in each match, so that nobody is recognised.

A pseudonym is computed from the secret of the installation (RFC 2104) and never stored: all nodes say the same. Inside there are
real ids only. What goes out to one user passes that user's mask as bytes, which may be done because a pseudonym is as long as the
id it stands for. What comes in is understood field by field, where a command says so, and never in what people write: it would be
kept, and shown to others, with the real id in it.
"""

import hmac
import re
from collections.abc import Callable, Iterable

from chatd.core.ids import UUID, text_of

# Overlapping finds, so that nothing that stands before an id can hide it.
IDS = re.compile(f"(?=({UUID}))".encode())
# A user, and the pseudonym.
Pair = tuple[str, str]


def pseudonym(key: bytes, tenant: str, conversation: str, user: str) -> str:
    """Of a user in the match that has this conversation. It has the form of an id."""
    return text_of(hmac.digest(key, "\x00".join((tenant, conversation, user)).encode(), "sha256")[:16])


def ids_in(data: bytes) -> list[str]:
    """Whatever has the form of an id, each once."""
    return [id_.decode() for id_ in dict.fromkeys(IDS.findall(data))]


class Mask:
    """Whom one user sees under a pseudonym. `on_change` is called when that changes, and `version` counts it.

    Somebody who was met more than once is shown under the last pseudonym, and understood by all of them.
    """

    __slots__ = ("_real", "_shown", "on_change", "version")

    def __init__(self) -> None:
        self._shown: dict[bytes, bytes] = {}
        self._real: dict[str, str] = {}
        self.on_change: Callable[[], None] = lambda: None
        self.version = 0

    def __bool__(self) -> bool:
        """Whether anybody is hidden."""
        return bool(self._shown)

    def __len__(self) -> int:
        """How many pseudonyms are understood: the size of it."""
        return len(self._real)

    def hide(self, pairs: Iterable[Pair]) -> None:
        """From now on; of two pseudonyms of the same user the later one is shown."""
        for user, alias in pairs:
            self._shown[user.encode()] = alias.encode()
            self._real[alias] = user
        self._changed()

    def reveal(self, users: Iterable[str]) -> None:
        """They are known by their ids. Their pseudonyms are still understood."""
        for user in users:
            self._shown.pop(user.encode(), None)
        self._changed()

    def _changed(self) -> None:
        self.version += 1
        self.on_change()

    def outward(self, data: bytes) -> bytes:
        """What this user may see of it: whole frames, or other bytes in which ids stand as text. The length stays."""
        for id_ in {*IDS.findall(data)} & self._shown.keys():
            data = data.replace(id_, self._shown[id_])
        return data

    def understands(self, id_: str) -> bool:
        return id_ in self._real

    def inward(self, id_: str) -> str:
        """Who is meant."""
        return self._real.get(id_, id_)
