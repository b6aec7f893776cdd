"""Whom somebody in a queue would like to meet: conditions on the attributes of the other, judged in both directions. Pure.

A condition is a value (equal), a list of values (one of them) or {"min", "max"} (a number within, ends included). An attribute
that the other does not have fits no condition. What is asked for loosens with waiting, in this order: `should`, common tags,
the wish to meet nobody twice. `must`, `must_not`, blocks and shadow bans never do.
"""

from collections.abc import Mapping
from typing import Any

from msgspec import DecodeError, Struct, json
from msgspec.structs import replace

Value = str | int | float | bool
Condition = Any

# What is given up, in order: after so many periods of waiting the first so many of them.
RELAXED = ("should", "tags", "recent")


class Accept(Struct, frozen=True):
    """What the other must, should and must not be."""

    must: Mapping[str, Condition] = {}
    should: Mapping[str, Condition] = {}
    must_not: Mapping[str, Condition] = {}


class Ticket(Struct, frozen=True):
    """Somebody's place in a queue. It belongs to the user, not to a connection.

    `since` in milliseconds: it stays what it was when a pair falls through. `avoid`: users that are never met, `recent`: those
    met lately. `shadow`: whoever is shadow-banned meets only others who are, and is told nothing of it.
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


class Asked(Struct, frozen=True):
    """What somebody in a match had asked for, and with which ticket: kept with the match, for whoever skips."""

    ticket: str = ""
    tags: tuple[str, ...] = ()
    attributes: Mapping[str, Value] = {}
    accept: Accept = Accept()


def asked_with(ticket: Ticket) -> str:
    """As JSON."""
    return json.encode(Asked(ticket.id, ticket.tags, ticket.attributes, ticket.accept)).decode()


def read_asked(text: str | None) -> Asked:
    """From JSON. What other programs have stored in another form asks for nothing."""
    try:
        return json.decode(text, type=Asked) if text else Asked()
    except DecodeError:
        return Asked()


def rebase_clock(ticket: Ticket, theirs: int, ours: int) -> Ticket:
    """The same wait, told by another clock: `theirs` and `ours` is the same moment. With 0 nothing is known of theirs."""
    return replace(ticket, since=ours - max(0, theirs - ticket.since)) if theirs else ticket


def fits(condition: Condition, value: Value | None) -> bool:
    """Whether the attribute has a value that is asked for."""
    if value is None:
        return False
    if isinstance(condition, Mapping):
        return is_within(condition, value)
    if isinstance(condition, list | tuple):
        return any(is_same(wanted, value) for wanted in condition)
    return is_same(condition, value)


def is_same(wanted: Any, value: Value) -> bool:
    """True is not 1."""
    return bool(wanted == value) and isinstance(wanted, bool) == isinstance(value, bool)


def is_within(limits: Mapping[str, Any], value: Value) -> bool:
    if isinstance(value, bool | str):
        return False
    least, most = limits.get("min"), limits.get("max")
    return (least is None or value >= least) and (most is None or value <= most)


def accepts(one: Ticket, other: Ticket, level: int) -> bool:
    """Whether `one` would meet `other`, having given up the first `level` of RELAXED."""
    return could_meet(one, other) and all(name in RELAXED[:level] for name in objections(one, other))


def could_meet(one: Ticket, other: Ticket) -> bool:
    """What no waiting changes."""
    has, wants = other.attributes, one.accept
    return (
        other.user != one.user
        and other.shadow == one.shadow
        and other.user not in one.avoid
        and all(fits(condition, has.get(name)) for name, condition in wants.must.items())
        and not any(fits(condition, has.get(name)) for name, condition in wants.must_not.items())
    )


def objections(one: Ticket, other: Ticket) -> list[str]:
    """What `one` would have to give up for `other`, of RELAXED."""
    wishes = {
        "should": all(fits(condition, other.attributes.get(name)) for name, condition in one.accept.should.items()),
        "tags": not one.tags or any(tag in other.tags for tag in one.tags),
        "recent": other.user not in one.recent,
    }
    return [name for name, granted in wishes.items() if not granted]


def in_common(tickets: list[Ticket]) -> list[str]:
    """Tags that all have, and attributes that are equal for all and that somebody asked for."""
    tags = set.intersection(*(set(ticket.tags) for ticket in tickets))
    asked = {name for ticket in tickets for name in (*ticket.accept.must, *ticket.accept.should)}
    first = tickets[0].attributes
    same = {name for name in asked if name in first and all(first[name] == other.attributes.get(name) for other in tickets)}
    return sorted(tags) + sorted(same)
