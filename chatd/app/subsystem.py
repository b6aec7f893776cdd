"""What a subsystem adds to the daemon, as one value.

`chatd/subsystems.py` lists them all; nothing else names one. See docs/architecture.md.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import trio

from chatd.app.checks import Check, CheckSettings, no_settings_to_check, nothing_to_check
from chatd.app.context import Node
from chatd.app.jobs import Job
from chatd.app.metrics import Metric
from chatd.app.personal_data import NO_PERSONAL_DATA, PersonalData
from chatd.app.storage import RedisKey, Table
from chatd.core.config import Config, Declaration
from chatd.wire.base import Result
from chatd.wire.reference.description import Condition, Outgoing, Routes, Shape

# The argument is the Quart application, which this layer does not import.
AddRoutes = Callable[[Any, Node], None]
PageOrigins = Callable[[Config], Sequence[str]]


@asynccontextmanager
async def nothing_to_open(node: Node) -> AsyncIterator[None]:
    """The scope of a subsystem without services."""
    yield


def no_pages(config: Config) -> Sequence[str]:
    """The origins of a subsystem without pages."""
    return ()


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Subsystem:
    """One folder of `chatd/`, or a package outside of it.

    `about`: what it is, for docs/architecture.md. `package`: the Python package whose events and control messages are
    collected. `settings`: its sections of chatd.toml. `schema`: the folder with its tables and functions, see
    `db/migrations.py`; by default `sql/<name>/schema`, if there is one. `tables`, `redis_keys`: what it stores, see
    `app/storage.py`. `commands`: the modules whose `@command` functions are collected. `routes`: functions that add
    HTTP routes other than commands. `page_origins`: the origins of pages among them, which may open a WebSocket.
    `openapi` describes them, by path and method; `results` are the types of their answers. `metrics`: its metrics, see
    `app/metrics.py`. `shapes`: maps in results and events whose fields are described. `conditions`: conditions that
    types of fields cannot express. `outgoing`: webhooks, for the reference. `check_settings`: the checks of `chatd
    check` that need the settings only; a failure prevents the start. `check`: those that need the disk or the network.
    `personal_data`: its part of the export and the erasure of a user, see `app/personal_data.py`. `open`: the scope of
    its services. It adds them to `node.services`; what it starts ends with the scope.
    """

    name: str
    about: str = ""
    package: str = "chatd"
    settings: tuple[Declaration, ...] = ()
    schema: Path | None = None
    tables: tuple[Table, ...] = ()
    redis_keys: tuple[RedisKey, ...] = ()
    commands: tuple[ModuleType, ...] = ()
    jobs: tuple[Job, ...] = ()
    routes: tuple[AddRoutes, ...] = ()
    page_origins: PageOrigins = no_pages
    openapi: Routes = field(default_factory=dict)
    results: tuple[type[Result], ...] = ()
    shapes: tuple[Shape, ...] = ()
    conditions: tuple[Condition, ...] = ()
    outgoing: tuple[Outgoing, ...] = ()
    metrics: tuple[Metric, ...] = ()
    check_settings: CheckSettings = no_settings_to_check
    check: Check = nothing_to_check
    personal_data: PersonalData = NO_PERSONAL_DATA
    open: Callable[[Node], AbstractAsyncContextManager[None]] = nothing_to_open


def packages_of(subsystems: Iterable[Subsystem]) -> tuple[str, ...]:
    """Where events and control messages are declared: in chatd, and in the subsystems outside of it."""
    return tuple(dict.fromkeys(("chatd", *(subsystem.package for subsystem in subsystems))))


class Start(Protocol):
    """Starts a background service; see `Health.start`."""

    def __call__(self, name: str, run: Callable[..., Awaitable[None]], *args: Any) -> None: ...


@asynccontextmanager
async def background(node: Node) -> AsyncIterator[Start]:
    """A function that starts services in the background, each under the guard of `Health.keep`, until the block
    ends.
    """
    async with trio.open_nursery() as nursery:

        def start(name: str, run: Callable[..., Awaitable[None]], *args: Any) -> None:
            node.health.start(nursery, name, run, *args)

        yield start
        nursery.cancel_scope.cancel()
