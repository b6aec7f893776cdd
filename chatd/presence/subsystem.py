"""Presence: who is online, away or offline, on all nodes together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chatd.app.context import Node
from chatd.app.subsystem import Subsystem, background
from chatd.presence import commands
from chatd.presence.online_count import Headcount
from chatd.presence.service import Presence


@asynccontextmanager
async def open_presence(node: Node) -> AsyncIterator[None]:
    settings = node.config.presence
    presence = node.services.add(Presence(settings, node.db, node.redis, node.hub, node.cluster, node.clock))
    node.services.add(Headcount(node.db, presence, settings.shown_to))
    async with background(node) as start:
        start("presence", presence.run, node.health)
        yield


PRESENCE = Subsystem(name="presence", commands=(commands,), open=open_presence)
