"""Search: an index of messages in Postgres, and queries of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from msgspec.structs import replace

from chatd.app.context import Node
from chatd.app.subsystem import Subsystem, background
from chatd.cluster.signals import EventSent
from chatd.realtime.drain import Drain
from chatd.search import commands, openapi
from chatd.search.child_process import IndexChild
from chatd.search.index_process import Start
from chatd.search.index_watch import IndexWatch
from chatd.search.indexer import TUNABLES, Indexer, IndexerTunables
from chatd.search.metrics import METRICS
from chatd.search.notices import Notices
from chatd.search.settings import SETTINGS, SearchSettings
from chatd.search.tables import TABLES


@asynccontextmanager
async def open_search(node: Node, tunables: IndexerTunables = TUNABLES) -> AsyncIterator[None]:
    notices, watch = Notices(node.db), node.services.add(IndexWatch(node.db))
    node.health.add(watch.condition)
    node.signals.on_sync(EventSent, notices.note)
    async with background(node) as start:
        start("search notices", notices.run)
        start("search index watch", watch.run)
        match node.config.get(SearchSettings).indexer:
            case "child":
                child = node.services.add(child_of(node))
                node.health.add(child.condition)
                start("search index child", child.run)
            case "inline":
                indexer = Indexer(node.db, tunables)
                node.health.add(indexer.condition)
                start("search indexer", indexer.run)
            case "off":
                pass
        yield


def child_of(node: Node) -> IndexChild:
    """The dsn is the one that this node uses: of the embedded Postgres it is not in the configuration."""
    postgres = replace(node.config.postgres, dsn=node.db.dsn)
    drain = node.get(Drain)
    return IndexChild(Start(postgres, node.config.log, is_child=True), lambda: drain.announced)


SEARCH = Subsystem(
    name="search",
    about="the index and its queries",
    settings=SETTINGS,
    tables=TABLES,
    commands=(commands,),
    conditions=openapi.CONDITIONS,
    metrics=METRICS,
    open=open_search,
)
