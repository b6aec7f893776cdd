"""The composition root: opens and closes all parts of the daemon. The order of the code is the order of the start; the
stop has the reverse order.
"""

import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass

import trio
from msgspec.structs import replace

from chatd.app import installation
from chatd.app.addresses import Addresses
from chatd.app.command_metrics import CommandMetrics
from chatd.app.context import Node
from chatd.app.dispatch import CommandTimeout
from chatd.app.jobs import run_job
from chatd.app.listening import open_listener
from chatd.app.maintenance import Maintenance
from chatd.app.metrics import Metrics
from chatd.app.rate_limits import ServiceLimits, UserLimits
from chatd.app.registry import GuardChecks, Registry
from chatd.app.subsystem import Subsystem, background, packages_of
from chatd.cluster.bus import Bus
from chatd.cluster.cluster import Cluster
from chatd.cluster.peer_watch import PeerWatch
from chatd.core import log
from chatd.core.clock import now_ms
from chatd.core.config import Config
from chatd.core.errors import OperatorError
from chatd.core.health import Health
from chatd.core.ids import uuid7
from chatd.core.services import Services
from chatd.core.settings import SettingSources, with_installation_secret
from chatd.core.signals import Signals
from chatd.db import migrations, server_checks, stale_statistics, write_probe
from chatd.db.driver_loop import open_driver_loop
from chatd.db.embedded.select import open_servers, uses_embedded_redis
from chatd.db.migrations import Schema
from chatd.db.postgres import Postgres, open_postgres
from chatd.db.postgres_faults import NO_POOLER
from chatd.db.redis import Redis, open_redis
from chatd.gateway.admission import Admission
from chatd.gateway.endpoint import AuthenticatedPeer, GatewayEndpoint
from chatd.gateway.listener import Listener
from chatd.gateway.penalties import Penalties
from chatd.gateway.session import SessionDeps
from chatd.http.admin_tokens import Admins
from chatd.http.app import build_app
from chatd.http.server import Server, open_http
from chatd.http.starting import starting_app
from chatd.operations import node_registry
from chatd.operations.snapshot import SnapshotSource
from chatd.realtime.drain import Drain, NodeLeaving, NodeLeft
from chatd.realtime.hub import Hub
from chatd.realtime.timer_wheel import TimerWheel
from chatd.subsystems import SUBSYSTEMS, all_personal_data, load_registry, schemas_of, setting_names
from chatd.wire.codec import codecs

LOG = log.get(__name__)
# Time for HTTP requests to finish after everything else has ended.
LAST_REQUESTS_S = 2.0
# Time to write the last messages at the end.
LEAVE_TIMEOUT_S = 2.0


class CannotServe(OperatorError):
    """The daemon cannot keep its guarantees with this Postgres; the text names the reason and the fix."""


@dataclass(frozen=True, slots=True)
class Listeners:
    """The listening sockets and their addresses."""

    gateway: socket.socket
    http: socket.socket
    addresses: Addresses


@contextmanager
def open_listeners(config: Config) -> Iterator[Listeners]:
    """Bind both ports before anything else is started, so that a port in use is reported at once. Raises OSError."""
    gateway, http = config.gateway, config.http
    with (
        open_listener(gateway.host, gateway.port, gateway.backlog, reuse_port=gateway.reuse_port) as one,
        open_listener(http.host, http.port, gateway.backlog, reuse_port=gateway.reuse_port) as two,
    ):
        yield Listeners(one, two, Addresses(f"ws://{host_and_port(one)}{gateway.path}", f"http://{host_and_port(two)}"))


def host_and_port(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def with_public_urls(config: Config, bound: Addresses) -> Config:
    """Set `http.public_url` and `gateway.public_url` to the bound addresses if they are not configured."""
    http = bound.socket.removesuffix(config.gateway.path).replace("ws:", "http:", 1)
    http = http if config.gateway.single_port else bound.http
    return replace(
        config,
        http=replace(config.http, public_url=(config.http.public_url or http).rstrip("/")),
        gateway=replace(config.gateway, public_url=config.gateway.public_url or bound.socket),
    )


def with_page_origins(config: Config, subsystems: Iterable[Subsystem]) -> Config:
    """Add the origins of pages that the daemon serves itself to `gateway.origins`."""
    origins = [origin for subsystem in subsystems for origin in subsystem.page_origins(config)]
    return replace(config, gateway=replace(config.gateway, origins=[*config.gateway.origins, *origins]))


@asynccontextmanager
async def open_kernel(
    config: Config, addresses: Addresses, health: Health, subsystems: Sequence[Subsystem]
) -> AsyncIterator[Node]:
    """Open what every subsystem uses: the databases, the hub and the connection to the other nodes."""
    name = uuid7(now_ms())
    async with open_databases(config, name) as (db, redis):
        await prepare(db, config, schemas_of(subsystems))
        services, signals = Services(), Signals()
        hub = Hub(signals=signals)
        # A node that has not answered by then is silent: it may be dead.
        join_timeout_s = 0 if uses_embedded_redis(config) else config.cluster.silence_s
        cluster = Cluster(hub, Bus(redis, name, times=config.cluster), db, packages_of(subsystems), services)
        async with open_cluster(cluster, db, health, join_timeout_s), trio.open_nursery() as nursery:
            wheel = services.add(TimerWheel())
            await services.add(Maintenance(db, hub)).refresh()
            services.add(UserLimits.of_commands(config.limits))
            services.add(ServiceLimits.of_commands(config.limits))
            services.add(CommandTimeout(config.postgres.timeout))
            services.add(CommandMetrics())
            services.add(GuardChecks())
            services.add(load_registry(tuple(subsystems)))
            services.add(addresses)
            services.add(Drain(config.drain))
            services.add(Admission(config.limits))
            services.add(Penalties())
            services.add(Admins(config))
            for task in (
                ("timers", wheel.run),
                ("write probe", write_probe.watch, db),
                ("stale statistics", stale_statistics.watch, db),
            ):
                health.start(nursery, *task)
            yield Node(config, health, db, redis, hub, cluster, services, signals, now_ms)
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def open_all(node: Node, subsystems: tuple[Subsystem, ...], sources: SettingSources) -> AsyncIterator[None]:
    """Open all subsystems, and start their periodic jobs."""
    node.services.add(Metrics(metric for subsystem in subsystems for metric in subsystem.metrics))
    node.services.add(all_personal_data(subsystems))
    node.services.add(setting_names(subsystems))
    node.services.add(sources)
    async with AsyncExitStack() as stack:
        for subsystem in subsystems:
            await stack.enter_async_context(subsystem.open(node))
        start = await stack.enter_async_context(background(node))
        for job in (job for subsystem in subsystems for job in subsystem.jobs):
            start(job.name, run_job, node, job)
        yield


@asynccontextmanager
async def open_databases(config: Config, name: str) -> AsyncIterator[tuple[Postgres, Redis]]:
    """Connect to Postgres and Redis; start the embedded servers."""
    async with (
        open_servers(config) as (dsn, url),
        open_postgres(dsn, config.postgres, name) as db,
        open_redis(config.redis, url) as redis,
    ):
        yield db, redis


@asynccontextmanager
async def open_cluster(cluster: Cluster, db: Postgres, health: Health, join_timeout_s: float) -> AsyncIterator[None]:
    """Join the cluster, and leave it at the end of the block."""
    bus = cluster.bus
    watch = PeerWatch(bus, db, cluster.reconciler)
    health.add(cluster.reconciler.condition)
    health.add(watch.condition)
    await cluster.reconciler.begin()
    async with trio.open_nursery() as nursery:
        health.start(nursery, "bus reader", bus.read, cluster.handle, cluster.resync)
        health.start(nursery, "bus writer", bus.write)
        health.start(nursery, "peer watch", watch.run)
        health.start(nursery, "gap repair", cluster.reconciler.repair_gaps)
        health.start(nursery, "reconciler", cluster.reconciler.sweep)
        await bus.join_cluster(join_timeout_s)
        LOG.info("joined the cluster", extra={"node": bus.name, "others": len(bus.peers())})
        yield
        with trio.move_on_after(LEAVE_TIMEOUT_S):
            await bus.leave()
        nursery.cancel_scope.cancel()


async def prepare(db: Postgres, config: Config, schemas: Sequence[Schema]) -> None:
    """Check the durability of Postgres, and apply the migrations. Raises CannotServe."""
    problems = await server_checks.server_problems(db)
    if not config.postgres.allow_unsafe_durability:
        problems += await server_checks.durability_problems(db)
    if pooling := await server_checks.pooling_problem(db):
        problems.append(f"{pooling}: {NO_POOLER}")
    if problems:
        raise CannotServe("; ".join(problems))
    if collation := await server_checks.collation_problem(db):
        LOG.warning("the collation of the database has changed: run `chatd doctor`", extra={"cause": collation})
    for script in await migrations.migrate(db, schemas):
        LOG.info("migrated", extra={"migration": str(script)})
    await installation.check_secret(db, config.data.secret)


async def run(
    config: Config,
    *,
    ready: Callable[[Addresses], None] | None = None,
    subsystems: tuple[Subsystem, ...] = SUBSYSTEMS,
    sources: Mapping[str, str] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT. The first signal drains the node, a second one ends the drain. `sources`: of the
    settings, for admins.

    Raises BadSecret, CannotServe, InvalidFilters, BlobsError, EmbeddedError, SchemaError, WeakKey, OSError, all with a
    text for the operator.
    """
    config = with_installation_secret(config, make=True)
    registry, health = load_registry(subsystems), Health()
    Admins(config)
    with (
        open_listeners(config) as listeners,
        # A signal that arrives during the start must not leave embedded servers behind.
        trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals,
    ):
        config = with_page_origins(with_public_urls(config, listeners.addresses), subsystems)
        async with (
            stoppable_start(signals) as has_started,
            # Before the server: the tasks of its connections use the database drivers.
            open_driver_loop(),
            open_http(starting_app(config.gateway.public_url), listeners.http, config, health) as http,
            open_kernel(config, listeners.addresses, health, subsystems) as node,
            open_all(node, subsystems, SettingSources(sources or {})),
        ):
            http.requests.app = build_app(node, registry, [add for subsystem in subsystems for add in subsystem.routes])
            await has_started()
            await serve_ports(listeners, http, node, registry, ready or (lambda _: None), signals)


@asynccontextmanager
async def stoppable_start(signals: AsyncIterator[int]) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Cancel the block at a signal, until the function that it gets is called."""
    watch, has_ended, failed = trio.CancelScope(), trio.Event(), list[BaseException]()

    async def stop() -> None:
        with watch:
            by = signal.Signals(await anext(signals)).name
            LOG.info("stopping before the start has finished", extra={"by": by})
            nursery.cancel_scope.cancel()
        has_ended.set()

    async def has_started() -> None:
        watch.cancel()
        await has_ended.wait()

    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stop)
            yield has_started
            watch.cancel()
    except BaseExceptionGroup as group:
        if len(group.exceptions) > 1:
            raise
        failed.append(group.exceptions[0])
    if failed:
        # Raised outside of the handler, so that it keeps its own cause.
        raise failed[0]


async def serve_ports(
    listeners: Listeners,
    http: Server,
    node: Node,
    registry: Registry,
    ready: Callable[[Addresses], None],
    signals: AsyncIterator[int],
) -> None:
    """Serve both ports until the last connection is closed. HTTP closes last, because it has the readiness probe."""
    drain = node.get(Drain)
    deps = SessionDeps(node, registry.commands, node.get(TimerWheel))
    endpoint = GatewayEndpoint(deps, codecs(registry.on_socket), drain)
    hand_over = http.serve if node.config.gateway.single_port else None
    listener = Listener(listeners.gateway, node.config.gateway, node.get(Admission), endpoint, node.health, hand_over)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(listener.run)
        ready(listeners.addresses)
        async with node_registry.listed(node.redis, node.cluster.name, node.get(SnapshotSource).snapshot, node.health):
            in_order = await wait_for_stop(drain, signals, lambda: drain_node(listener, http, drain, node))
        soon = trio.current_time() + LAST_REQUESTS_S
        deadline = max(soon, drain.deadline) if in_order else soon
        await http.finish(deadline)
        nursery.cancel_scope.deadline = deadline


async def drain_node(listener: Listener[AuthenticatedPeer], http: Server, drain: Drain, node: Node) -> None:
    """Announce the end to load balancers, stop accepting, close the sessions, and flush the log."""
    http.announce_end()
    await drain.announce()
    drain.begin()
    listener.stop_accepting(drain.retry_after)
    await node.signals.send(NodeLeaving())
    await drain.run(node.hub)
    await node.signals.send(NodeLeft())


async def wait_for_stop(
    drain: Drain, signals: AsyncIterator[int], drain_in_order: Callable[[], Awaitable[None]]
) -> bool:
    """Drain after the first signal or order. Returns False if a second signal ended the drain."""
    by = await stop_reason(drain, signals)
    LOG.info("draining; a second signal stops at once", extra={"by": by})
    began, in_order = trio.current_time(), False
    async with trio.open_nursery() as nursery:
        nursery.start_soon(cancel_on_second_signal, signals, nursery.cancel_scope)
        await drain_in_order()
        in_order = True
        nursery.cancel_scope.cancel()
    LOG.info("drained", extra={"by": by, "after_s": round(trio.current_time() - began, 1)})
    return in_order


async def stop_reason(drain: Drain, signals: AsyncIterator[int]) -> str:
    """Wait for a signal or an order; return the name of the signal, or of the operator."""
    received: list[int] = []

    async def receive() -> None:
        received.append(await anext(signals))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(cancel_after, nursery.cancel_scope, drain.requested.wait)
        nursery.start_soon(cancel_after, nursery.cancel_scope, receive)
    return signal.Signals(received[0]).name if received else drain.ordered_by


async def cancel_after(scope: trio.CancelScope, wait: Callable[[], Awaitable[object]]) -> None:
    await wait()
    scope.cancel()


async def cancel_on_second_signal(signals: AsyncIterator[int], scope: trio.CancelScope) -> None:
    await anext(signals)
    LOG.warning("second signal: stopping at once")
    scope.cancel()
