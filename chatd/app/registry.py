"""The commands, as plain rows. The decorators only mark a function; `load()` collects the marks.

The same rows feed the WebSocket dispatcher, the REST routes, the reference and the tests. Nothing else lists commands.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from types import ModuleType
from typing import Any, TypeVar

from chatd.app.context import Ctx
from chatd.app.effects import Effects
from chatd.app.subsystem import Subsystem, packages_of
from chatd.core.errors import REFUSALS, Refused
from chatd.core.identity import Role
from chatd.wire.admin import AdminCommand
from chatd.wire.base import Command, Event, Result, declared_below
from chatd.wire.codec import tag_of
from chatd.wire.reference.description import Description, Events, Routes
from chatd.wire.server import ROOT, SCOPES, Scope, ServerCommand

Handler = Callable[[Ctx, Any], Awaitable[Effects]]
Condition = Callable[[Ctx, Any], bool]
BotCheck = Callable[[Ctx, "Row", Any], None]
PipelineKey = Callable[[Ctx, Any], str | None]
Marked = TypeVar("Marked", bound=Callable[..., Any])
MARK = "__chatd_command__"

# Any command may be refused with these; a row declares further ones.
COMMON_REFUSALS = ("bad_request", "rate_limited", "unavailable", "timeout", "maintenance", "banned", "internal")


class Guard(Enum):
    """What dispatch checks before it calls the handler."""

    NOTHING = "nothing"
    USER = "a signed-in user"
    MEMBER = "a member of `conversation`"
    ADMIN = "an admin of `tenant`"
    SERVER = "a service token"


def always(ctx: Ctx, command: Any) -> bool:
    """The condition that every command meets."""
    return True


def refuse_bots(ctx: Ctx, row: "Row", command: Any) -> None:
    """Raises Refused: `forbidden`."""
    raise Refused("forbidden", "bots cannot use this command")


class GuardChecks:
    """The checks of guards; subsystems add theirs.

    `is_met`: whether a guard is met as far as this node knows, without a wait. `check_bot`: what a bot may do; raises
    Refused. Without bots, nothing.
    """

    def __init__(self) -> None:
        self.check_bot: BotCheck = refuse_bots
        self.by_guard: dict[Guard, Callable[[Ctx, Any], Awaitable[None]]] = {}
        self.is_met: dict[Guard, Condition] = {Guard.USER: always}

    def restrict_bots(self, check: BotCheck) -> None:
        """Let this decide what a bot may do."""
        self.check_bot = check


@dataclass(frozen=True, slots=True)
class Row:
    """One command: its type, its guard, its cost in tokens of the rate limit, and its REST route ("" for none).

    `scope`: of a server command, the scope that the service token needs. `role`: of an admin command, the role that the
    admin needs. `of_session`: whether it changes the session that sends it.
    """

    command: type[Command]
    result: type[Result]
    handler: Handler
    guard: Guard
    cost: float
    refuses: tuple[str, ...]
    http: str
    socket: bool
    uncancellable: bool
    at_once: Condition | None = None
    is_bounded: bool = False
    unanswered: bool = False
    pipeline: PipelineKey | None = None
    scope: str = ""
    role: Role = "operator"
    of_session: bool = False

    @property
    def tag(self) -> str:
        return tag_of(self.command)


@dataclass(frozen=True, slots=True)
class Registry:
    """All commands by type, and what the reference documents are made of."""

    commands: dict[type[Command], Row]
    description: Description

    @property
    def events(self) -> Events:
        """All events by tag."""
        return self.description.events

    @property
    def on_socket(self) -> tuple[type[Command], ...]:
        return tuple(kind for kind, row in self.commands.items() if row.socket)


def command(
    kind: type[Command],
    *,
    result: type[Result],
    guard: Guard = Guard.USER,
    cost: float = 1,
    refuses: tuple[str, ...] = (),
    http: str = "",
    socket: bool = True,
    uncancellable: bool = False,
    at_once: Condition | None = None,
    is_bounded: bool = False,
    unanswered: bool = False,
    pipeline: PipelineKey | None = None,
    of_session: bool = False,
) -> Callable[[Marked], Marked]:
    """Mark a handler. `http` is "METHOD /path/{field}"; fields of the path are fields of the command.

    `uncancellable`: once started, the command is completed and its effects delivered, even if the client disconnects.
    It waits only for the databases, whose statements end at the deadline of the command.
    `at_once`: whether this command waits for nothing once its guard is met. It then runs where it was received, without
    a task and without a deadline. It has no texts that are normalized.
    `is_bounded`: it waits only for statements and the message log, which end at the deadline of the command, and for a
    hook with a timeout of its own. It needs no scope then, which costs as much as a small command.
    `pipeline`: see `dispatch.pipeline_of`. Its first effect is a SettledEffect, and only replies follow.
    `unanswered`: clients may send it under id 0, and then get no answer except a refusal.
    `of_session`: it changes the session that sends it. Over REST it needs the header `Chatd-Session`.
    """
    check_is_for_users(kind, guard, http)
    if guard is Guard.NOTHING and (at_once or pipeline):
        raise ValueError(f"{tag_of(kind)}: a command without a user cannot run at once")
    check_refusals(kind, refuses)

    def mark(handler: Marked) -> Marked:
        row = Row(kind, result, handler, guard, cost, refuses, http, socket, uncancellable, at_once, is_bounded)
        setattr(handler, MARK, replace(row, unanswered=unanswered, pipeline=pipeline, of_session=of_session))
        return handler

    return mark


def admin_command(
    kind: type[Command],
    *,
    result: type[Result],
    role: Role = "operator",
    refuses: tuple[str, ...] = (),
    uncancellable: bool = False,
) -> Callable[[Marked], Marked]:
    """Mark a handler of admins who have this role. `admin.ban.lift` is `POST /admin/ban/lift`, and is never accepted
    from a socket.
    """
    if not (issubclass(kind, AdminCommand) and tag_of(kind).startswith("admin.")):
        raise ValueError(f"{tag_of(kind)}: expected an AdminCommand with a tag that begins with `admin.`")
    check_refusals(kind, refuses)
    http = f"POST /{tag_of(kind).replace('.', '/')}"

    def mark(handler: Marked) -> Marked:
        row = Row(kind, result, handler, Guard.ADMIN, 1, refuses, http, False, uncancellable=uncancellable, role=role)
        setattr(handler, MARK, row)
        return handler

    return mark


def server_command(
    kind: type[Command],
    *,
    result: type[Result],
    scope: Scope,
    http: str,
    cost: float = 1,
    refuses: tuple[str, ...] = (),
    uncancellable: bool = False,
) -> Callable[[Marked], Marked]:
    """Mark a handler of the server API. Its route is below `/v1/server`, and needs a service token with this scope. It
    is never accepted from a socket. The other parameters are those of `command`.
    """
    if not (issubclass(kind, ServerCommand) and tag_of(kind).startswith("server.")):
        raise ValueError(f"{tag_of(kind)}: expected a ServerCommand with a tag that begins with `server.`")
    if scope not in SCOPES or f" {ROOT}/" not in http:
        raise ValueError(f"{tag_of(kind)}: expected a known scope and a route below {ROOT}")
    check_refusals(kind, refuses)

    def mark(handler: Marked) -> Marked:
        row = Row(
            kind, result, handler, Guard.SERVER, cost, refuses, http, False, uncancellable=uncancellable, scope=scope
        )
        setattr(handler, MARK, row)
        return handler

    return mark


def check_is_for_users(kind: type[Command], guard: Guard, http: str) -> None:
    """Check that a command is neither for admins nor for backends. Raises ValueError."""
    if guard is Guard.ADMIN or " /admin/" in http or issubclass(kind, AdminCommand):
        raise ValueError(f"{tag_of(kind)}: declare an admin command with @admin_command")
    if guard is Guard.SERVER or f" {ROOT}/" in http or issubclass(kind, ServerCommand):
        raise ValueError(f"{tag_of(kind)}: declare a server command with @server_command")


def check_refusals(kind: type[Command], refuses: Iterable[str]) -> None:
    """Check the declared refusal codes. Raises ValueError for an unknown code."""
    unknown = [code for code in refuses if code not in REFUSALS]
    if unknown:
        raise ValueError(f"{tag_of(kind)}: no such refusal: {unknown}")


def load(subsystems: Iterable[Subsystem], routes: Routes) -> Registry:
    """Collect the declarations of these subsystems; `routes` describe further HTTP routes."""
    subsystems = tuple(subsystems)
    rows = unique_rows(module for subsystem in subsystems for module in subsystem.commands)
    description = Description(
        rows=tuple(rows.values()),
        events=declared_events(packages_of(subsystems)),
        routes=unique_routes([routes, *(subsystem.openapi for subsystem in subsystems)]),
        results=tuple(result for subsystem in subsystems for result in subsystem.results),
        conditions=tuple(condition for subsystem in subsystems for condition in subsystem.conditions),
        shapes=tuple(shape for subsystem in subsystems for shape in subsystem.shapes),
        outgoing=tuple(event for subsystem in subsystems for event in subsystem.outgoing),
    )
    return Registry(rows, description)


def unique_rows(modules: Iterable[ModuleType]) -> dict[type[Command], Row]:
    rows: dict[type[Command], Row] = {}
    for row in (mark for module in modules for mark in marks(module)):
        if row.tag in {other.tag for other in rows.values()}:
            raise ValueError(f"{row.tag} is declared twice")
        rows[row.command] = row
    return rows


def marks(module: ModuleType) -> Iterable[Row]:
    for value in vars(module).values():
        row = getattr(value, MARK, None)
        if isinstance(row, Row) and row.handler.__module__ == module.__name__:
            yield row


def declared_events(packages: Iterable[str]) -> Events:
    """All events that are declared in these packages."""
    events: dict[str, type[Event]] = {}
    for kind in sorted(declared_below(Event, packages), key=tag_of):
        if tag_of(kind) in events:
            raise ValueError(f"the event {tag_of(kind)} is declared twice")
        events[tag_of(kind)] = kind
    return events


def unique_routes(declared: Iterable[Routes]) -> Routes:
    routes: dict[str, Mapping[str, Any]] = {}
    for path, operations in (item for described in declared for item in described.items()):
        if path in routes:
            raise ValueError(f"{path} is described twice")
        routes[path] = operations
    return routes
