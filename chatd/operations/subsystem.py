"""Operations: probes, metrics, and queries and commands of the operator."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from chatd.app.context import Node
from chatd.app.subsystem import Subsystem, background
from chatd.operations import commands, health, metrics, node_metrics, openapi
from chatd.operations.node_queries import NodeQueries
from chatd.operations.process import ProcessCounts
from chatd.operations.redis_keys import REDIS_KEYS
from chatd.operations.session_statistics import SessionStatistics
from chatd.operations.settings import SETTINGS
from chatd.operations.snapshot import SnapshotSource


@asynccontextmanager
async def open_operations(node: Node, make_queries: Callable[[Node], NodeQueries] = NodeQueries) -> AsyncIterator[None]:
    node.services.add(SnapshotSource(node))
    node.services.add(ProcessCounts())
    node.services.add(SessionStatistics(node.signals, node.clock))
    async with background(node) as start:
        start("node queries", node.services.add(make_queries(node)).run)
        yield


OPERATIONS = Subsystem(
    name="operations",
    about="probes, metrics, queries of the command line to nodes",
    settings=SETTINGS,
    redis_keys=REDIS_KEYS,
    commands=(commands,),
    routes=(health.add_routes, metrics.add_routes),
    openapi=openapi.ROUTES,
    metrics=node_metrics.METRICS,
    open=open_operations,
)
