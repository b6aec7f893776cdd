"""Analytics: figures of each tenant and day, from tables that a recorder and a job keep."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from chatd.analytics import commands
from chatd.analytics.recorder import FLUSH_S, LAST_FLUSH_TIMEOUT_S, Recorder
from chatd.analytics.rollup import roll_up
from chatd.analytics.settings import SETTINGS, AnalyticsSettings
from chatd.analytics.tables import PERSONAL_DATA, TABLES
from chatd.app.context import Node
from chatd.app.jobs import Job
from chatd.app.subsystem import Subsystem, background


@asynccontextmanager
async def open_analytics(node: Node, flush_s: float = FLUSH_S) -> AsyncIterator[None]:
    """Record what happens on this node; at the end, write the rest."""
    if not node.config.get(AnalyticsSettings).enabled:
        yield
        return
    recorder = node.services.add(Recorder(node, flush_s))
    try:
        async with background(node) as start:
            start("analytics", recorder.run)
            yield
    finally:
        with trio.move_on_after(LAST_FLUSH_TIMEOUT_S, shield=True):
            await recorder.flush()


ANALYTICS = Subsystem(
    name="analytics",
    about="figures of each tenant and day: active users, messages, matches, retention",
    settings=SETTINGS,
    tables=TABLES,
    commands=(commands,),
    jobs=(Job("analytics", roll_up, 60),),
    personal_data=PERSONAL_DATA,
    open=open_analytics,
)
