"""Operations: what operators ask of nodes, and order of them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chatd.app.context import Node
from chatd.app.subsystem import Subsystem, background
from chatd.gateway.admission import Admission
from chatd.operations import commands, health, metrics, openapi, ping
from chatd.operations.node_queries import Questions
from chatd.operations.snapshot import Watch


@asynccontextmanager
async def open_operations(node: Node) -> AsyncIterator[None]:
    node.services.add(Watch(node, node.get(Admission)))
    async with background(node) as start:
        start("node queries", Questions(node).run)
        yield


OPERATIONS = Subsystem(
    name="operations",
    commands=(commands, ping),
    routes=(health.add_routes, metrics.add_routes),
    openapi=openapi.ROUTES,
    open=open_operations,
)
