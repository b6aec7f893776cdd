"""What the reference documents are made of, as one value: what subsystems declare. `chatd.app.registry` builds it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from msgspec import Struct

from chatd.wire.base import Command, Event, Result


class Declared(Protocol):
    """A command as the registry has it. See `chatd.app.registry.Row`."""

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
    def cost(self) -> float: ...
    @property
    def guard(self) -> Any: ...
    @property
    def handler(self) -> Any: ...


class Shape(NamedTuple):
    """The map in a field of `owner` has the fields of `shape`."""

    owner: type[Struct]
    field: str
    shape: type[Struct]


Schema = dict[str, Any]


class Condition(NamedTuple):
    """What the types of the fields of `kind` cannot say, as JSON Schema: of the whole, and of fields by their names."""

    kind: type[Struct]
    schema: Schema = {}  # noqa: RUF012
    fields: Mapping[str, Schema] = {}


# OpenAPI operations by path and method, of routes that are no commands.
Routes = Mapping[str, Mapping[str, Mapping[str, Any]]]
Events = Mapping[str, type[Event]]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Description:
    """All commands, events by tag, and routes. `results`: what routes answer with that is the result of no command."""

    rows: tuple[Declared, ...]
    events: Events = field(default_factory=dict)
    routes: Routes = field(default_factory=dict)
    results: tuple[type[Result], ...] = ()
    shapes: tuple[Shape, ...] = ()
    conditions: tuple[Condition, ...] = ()
