"""The criteria of a ticket: conditions on the attributes of a partner, evaluated in both directions. Pure.

A condition is a value (equal), a list of values (one of them) or {"min", "max"} (a number in an inclusive range). A
missing attribute satisfies no condition. Criteria are relaxed with waiting time, in this order: `should`, common tags,
the exclusion of recent partners. `must`, `must_not`, blocks and shadow bans are never relaxed.
"""

from collections.abc import Mapping
from typing import Any

from msgspec import DecodeError, Struct, json
from msgspec.structs import replace

from chatd.core.identity import UserKey

Value = str | int | float | bool
Condition = Any

# Criteria that waiting relaxes, in this order: one for each period of `Queue.relax`.
RELAXED = ("should", "tags", "recent")


class Accept(Struct, frozen=True):
    """Conditions that a partner must, should and must not satisfy."""

    must: Mapping[str, Condition] = {}
    should: Mapping[str, Condition] = {}
    must_not: Mapping[str, Condition] = {}


class Ticket(Struct, frozen=True):
    """A user's place in a queue. It belongs to the user, not to a connection.

    `since`: start of the wait in milliseconds; a dissolved pair does not change it. `avoid`: users who are never
    matched with this one. `recent`: the last partners. `shadow`: the user is shadow-banned, and is matched only with
    shadow-banned users.
    """

    id: str
    tenant: str
    user: str
    queue: str
    since: int
    tags: tuple[str, ...] = ()
    attributes: Mapping[str, Value] = {}
    accept: Accept = Accept()
    avoid: frozenset[str] = frozenset()
    recent: tuple[str, ...] = ()
    shadow: bool = False

    @property
    def user_key(self) -> UserKey:
        return self.tenant, self.user


class Criteria(Struct, frozen=True):
    """The criteria that led a user to a match, and the ticket. `match.skip` searches with them again."""

    ticket: str = ""
    tags: tuple[str, ...] = ()
    attributes: Mapping[str, Value] = {}
    accept: Accept = Accept()


def encode_criteria(ticket: Ticket) -> str:
    return json.encode(Criteria(ticket.id, ticket.tags, ticket.attributes, ticket.accept)).decode()


def decode_criteria(text: str | None) -> Criteria:
    """Decode stored criteria. JSON of another form, written by another program, is read as no criteria."""
    try:
        return json.decode(text, type=Criteria) if text else Criteria()
    except DecodeError:
        return Criteria()


def rebase_clock(ticket: Ticket, theirs: int, ours: int) -> Ticket:
    """Convert `since` to the clock of this node.

    `theirs` and `ours` are the same moment on the two clocks; with `theirs` 0 nothing is converted.
    """
    return replace(ticket, since=ours - max(0, theirs - ticket.since)) if theirs else ticket


def fits(condition: Condition, value: Value | None) -> bool:
    """Whether a value of an attribute satisfies a condition."""
    if value is None:
        return False
    if isinstance(condition, Mapping):
        return is_within(condition, value)
    if isinstance(condition, list | tuple):
        return any(is_same(wanted, value) for wanted in condition)
    return is_same(condition, value)


def is_same(wanted: Any, value: Value) -> bool:
    """Equality that distinguishes True from 1."""
    return bool(wanted == value) and isinstance(wanted, bool) == isinstance(value, bool)


def is_within(limits: Mapping[str, Any], value: Value) -> bool:
    if isinstance(value, bool | str):
        return False
    minimum, maximum = limits.get("min"), limits.get("max")
    return (minimum is None or value >= minimum) and (maximum is None or value <= maximum)


def accepts(one: Ticket, other: Ticket, level: int) -> bool:
    """Whether `one` accepts `other` when the first `level` criteria of RELAXED are dropped."""
    return is_compatible(one, other) and all(name in RELAXED[:level] for name in objections(one, other))


def is_compatible(one: Ticket, other: Ticket) -> bool:
    """Whether `other` satisfies the criteria of `one` that are never relaxed."""
    has, wants = other.attributes, one.accept
    return (
        other.user != one.user
        and other.shadow == one.shadow
        and other.user not in one.avoid
        and all(fits(condition, has.get(name)) for name, condition in wants.must.items())
        and not any(fits(condition, has.get(name)) for name, condition in wants.must_not.items())
    )


def objections(one: Ticket, other: Ticket) -> list[str]:
    """The criteria of RELAXED that `one` has to drop to accept `other`."""
    satisfied = {
        "should": all(fits(condition, other.attributes.get(name)) for name, condition in one.accept.should.items()),
        "tags": not one.tags or any(tag in other.tags for tag in one.tags),
        "recent": other.user not in one.recent,
    }
    return [name for name, is_satisfied in satisfied.items() if not is_satisfied]


def in_common(tickets: list[Ticket]) -> list[str]:
    """Tags that all tickets have, and attributes that are equal in all tickets and occur in a condition of one."""
    tags = set.intersection(*(set(ticket.tags) for ticket in tickets))
    requested = {name for ticket in tickets for name in (*ticket.accept.must, *ticket.accept.should)}
    first = tickets[0].attributes
    same = {
        name
        for name in requested
        if name in first and all(first[name] == other.attributes.get(name) for other in tickets)
    }
    return sorted(tags) + sorted(same)
