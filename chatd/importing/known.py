"""What the lines so far have named, and what of it is in the database: in a temporary file, so that the memory does not
grow with the import.
"""

import sqlite3
from collections.abc import Iterable
from enum import Enum
from uuid import UUID, uuid5

from msgspec import Struct

# SQLite keeps this much of the file in memory; in KiB.
CACHE_KIB = 65_536
SCHEMA = """
    create table seen (key blob primary key) without rowid;
    create table conversations (
        external_id text primary key, id text not null, kind text not null, last_at integer not null,
        owner text, members integer not null
    ) without rowid;
"""


class Kind(Enum):
    """What a key is of; its first byte in the file."""

    USER = b"u"
    ERASED_USER = b"e"
    MESSAGE = b"m"
    MEMBER = b"b"
    PAIR = b"p"


class KnownConversation(Struct):
    """A conversation. `last_at`: the time of its last message; `members`: their number."""

    id: str
    kind: str
    last_at: int = 0
    owner: str | None = None
    members: int = 0


class Known:
    """See the module. Conversations in use are in `conversations`, and are written back by `flush`."""

    def __init__(self) -> None:
        # A private file, which is deleted when it is closed.
        self._file = sqlite3.connect("", isolation_level=None)
        self._file.executescript(f"pragma cache_size = -{CACHE_KIB}; pragma journal_mode = off; {SCHEMA} begin;")
        self.conversations: dict[str, KnownConversation] = {}

    def close(self) -> None:
        self._file.close()

    def add(self, kind: Kind, keys: Iterable[bytes]) -> None:
        """Note keys of one kind."""
        self._file.executemany("insert or ignore into seen values (?)", ((kind.value + key,) for key in keys))

    def has(self, kind: Kind, key: bytes) -> bool:
        return self._file.execute("select 1 from seen where key = ?", (kind.value + key,)).fetchone() is not None

    def missing(self, kind: Kind, keys: Iterable[bytes]) -> list[bytes]:
        """Those of these keys that are not noted."""
        return [key for key in dict.fromkeys(keys) if not self.has(kind, key)]

    def load(self, external_ids: Iterable[str]) -> list[str]:
        """Put conversations into `conversations`. Returns the unknown ones."""
        unknown = []
        for external_id in dict.fromkeys(external_ids):
            if external_id in self.conversations:
                continue
            row = self._file.execute(
                "select id, kind, last_at, owner, members from conversations where external_id = ?", (external_id,)
            ).fetchone()
            if row is None:
                unknown.append(external_id)
            else:
                self.conversations[external_id] = KnownConversation(*row)
        return unknown

    def flush(self) -> None:
        """Write the conversations in use to the file."""
        self._file.executemany(
            "insert or replace into conversations values (?, ?, ?, ?, ?, ?)",
            (
                (external_id, one.id, one.kind, one.last_at, one.owner, one.members)
                for external_id, one in self.conversations.items()
            ),
        )
        self.conversations.clear()


def key_of(id_: str) -> bytes:
    return UUID(id_).bytes


def message_id_of(conversation: str, external_id: str) -> str:
    """The id of an imported message: a UUIDv5 of its external id, in the namespace of its conversation."""
    return str(uuid5(UUID(conversation), external_id))


def member_key(conversation: str, user: str) -> bytes:
    """The key of a membership: that of both ids."""
    return uuid5(UUID(conversation), user).bytes


def pair_key(low: str, high: str) -> bytes:
    """The key of the direct conversation of two users."""
    return uuid5(UUID(low), high).bytes
