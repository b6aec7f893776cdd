"""The source of the reference documents: the declarations of all subsystems. `chatd.app.registry` builds it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from msgspec import Struct

from chatd.wire.base import Command, Event, Result


class Declared(Protocol):
    """A command of the registry. See `chatd.app.registry.Row`."""

    @property
    def tag(self) -> str: ...
    @property
    def command(self) -> type[Command]: ...
    @property
    def result(self) -> type[Result]: ...
    @property
    def refuses(self) -> tuple[str, ...]: ...
    @property
    def http(self) -> str: ...
    @property
    def socket(self) -> bool: ...
    @property
    def unanswered(self) -> bool: ...
    @property
    def cost(self) -> float: ...
    @property
    def scope(self) -> str: ...
    @property
    def role(self) -> str: ...
    @property
    def of_session(self) -> bool: ...
    @property
    def guard(self) -> Any: ...
    @property
    def handler(self) -> Any: ...


class Shape(NamedTuple):
    """The fields of a map: the map in `field` of `owner` has the fields of `shape`."""

    owner: type[Struct]
    field: str
    shape: type[Struct]


Schema = dict[str, Any]


class Condition(NamedTuple):
    """JSON Schema that the field types of `kind` cannot declare: for the whole type, and for fields by name."""

    kind: type[Struct]
    schema: Schema = {}  # noqa: RUF012
    fields: Mapping[str, Schema] = {}


class Outgoing(NamedTuple):
    """An event that is sent to the backend of an app, as a webhook. `name`: its type; `data`: its content."""

    name: str
    about: str
    data: type[Struct]


# OpenAPI operations of routes that are not commands, by path and method.
Routes = Mapping[str, Mapping[str, Mapping[str, Any]]]
Events = Mapping[str, type[Event]]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Description:
    """All commands, events by tag, and routes. `results`: types that only routes answer with. `outgoing`: webhooks."""

    rows: tuple[Declared, ...]
    events: Events = field(default_factory=dict)
    routes: Routes = field(default_factory=dict)
    results: tuple[type[Result], ...] = ()
    shapes: tuple[Shape, ...] = ()
    conditions: tuple[Condition, ...] = ()
    outgoing: tuple[Outgoing, ...] = ()
