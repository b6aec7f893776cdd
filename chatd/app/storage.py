"""What a subsystem stores: its tables in Postgres and its keys in Redis.

Each subsystem declares both beside the code that uses them. Tests compare the declarations with the database
(`tests/db/test_row_bounds.py`, `tests/privacy/`), and docs/privacy.md is made of them (`app/documents.py`).
"""

from dataclasses import dataclass
from typing import NamedTuple

from chatd.db.queries import Queries


@dataclass(frozen=True, slots=True)
class OneRow:
    """The primary key admits one row."""


@dataclass(frozen=True, slots=True)
class Within:
    """A foreign key removes the rows with the row of another table."""

    parent: str


@dataclass(frozen=True, slots=True)
class Deleted:
    """A statement of a file deletes rows, and a module runs it."""

    file: Queries
    statement: str


@dataclass(frozen=True, slots=True)
class Limited:
    """A setting limits the number, the size or the age of the rows."""

    setting: str


@dataclass(frozen=True, slots=True)
class OneFor:
    """At most one row for each of these, whose number is limited elsewhere."""

    what: str


@dataclass(frozen=True, slots=True)
class Kept:
    """The rows stay, for this reason."""

    reason: str


Bound = OneRow | Within | Deleted | Limited | OneFor | Kept


@dataclass(frozen=True, slots=True, kw_only=True)
class UserData:
    """What a table contains about users.

    `what`: the columns that identify a user, or contain what a user wrote or sent, in backticks. `kept`: until when,
    without an erasure. `exported`: the types of the lines of an export that contain it, see `Part`. `erased`: what an
    erasure does to it. `rows_of`: the column of the user whose rows an erasure deletes. `id_stays`: the columns that
    still have the id of an erased user.
    """

    what: str
    kept: str
    erased: str
    exported: tuple[str, ...] = ()
    rows_of: str = ""
    id_stays: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the schema of the subsystem.

    `bounds`: what limits or removes its rows; all of them hold. `users`: None if it contains nothing about users.
    `impersonal`: columns of ids, texts and bytes that contain nothing about users, in any case.
    """

    name: str
    bounds: tuple[Bound, ...]
    users: UserData | None = None
    impersonal: tuple[str, ...] = ()


class RedisKey(NamedTuple):
    """A key below `redis.prefix`, or several: `presence:*`."""

    pattern: str
    what: str
    kept: str
