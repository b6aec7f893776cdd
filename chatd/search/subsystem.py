"""Search: an index of messages in Postgres, and queries of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chatd.app.context import Node
from chatd.app.subsystem import Subsystem, background
from chatd.cluster.signals import EventSent
from chatd.search import commands, openapi
from chatd.search.indexer import TUNABLES, Indexer, IndexerTunables
from chatd.search.tables import TABLES


@asynccontextmanager
async def open_search(node: Node, tunables: IndexerTunables = TUNABLES) -> AsyncIterator[None]:
    indexer = Indexer(node.db, tunables)
    node.health.add(indexer.condition)
    node.signals.on_sync(EventSent, indexer.note)
    async with background(node) as start:
        start("search index", indexer.run)
        yield


SEARCH = Subsystem(
    name="search",
    about="the index and its queries",
    tables=TABLES,
    commands=(commands,),
    conditions=openapi.CONDITIONS,
    open=open_search,
)
