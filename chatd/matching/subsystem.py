"""Matching: queues in which users search for partners, and the matches that are made of them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chatd.app.context import Node
from chatd.app.maintenance import Maintenance
from chatd.app.subsystem import Subsystem, background
from chatd.matching import checks, commands, openapi
from chatd.matching.metrics import METRICS
from chatd.matching.personal_data import PERSONAL_DATA
from chatd.matching.service import MatchingService
from chatd.matching.settings import SETTINGS
from chatd.matching.tables import REDIS_KEYS, TABLES
from chatd.matching.tunables import TUNABLES, MatchTunables


@asynccontextmanager
async def open_matching(node: Node, tunables: MatchTunables = TUNABLES) -> AsyncIterator[None]:
    matching = MatchingService(node.config, node.db, node.redis, node.hub, node.cluster, node.clock, tunables)
    for service in (matching, matching.pool, matching.matches):
        node.services.add(service)
    # Before it runs: a node that starts during maintenance makes no pairs.
    matching.pool.pause(node.get(Maintenance).enabled)
    async with background(node) as start:
        start("matching", matching.run, node.health)
        yield


MATCHING = Subsystem(
    name="matching",
    about="queues of strangers, matches, aliases",
    settings=SETTINGS,
    tables=TABLES,
    redis_keys=REDIS_KEYS,
    check_settings=checks.check_settings,
    commands=(commands,),
    conditions=openapi.CONDITIONS,
    metrics=METRICS,
    personal_data=PERSONAL_DATA,
    open=open_matching,
)
