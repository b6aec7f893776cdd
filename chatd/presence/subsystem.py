"""Presence: who is online, away or offline, on all nodes together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chatd.app.context import Node
from chatd.app.subsystem import Subsystem, background
from chatd.conversations.settings import PresenceDefaults
from chatd.presence import commands
from chatd.presence.online_count import TUNABLES, CountTunables, OnlineCount
from chatd.presence.redis_keys import REDIS_KEYS
from chatd.presence.service import Presence
from chatd.presence.settings import SETTINGS, PresenceSettings


@asynccontextmanager
async def open_presence(node: Node, count_tunables: CountTunables = TUNABLES) -> AsyncIterator[None]:
    grace, shown_to = node.config.get(PresenceSettings).grace, node.config.get(PresenceDefaults).shown_to
    presence = node.services.add(Presence(grace, shown_to, node.db, node.redis, node.hub, node.cluster, node.clock))
    node.services.add(OnlineCount(node.db, presence, shown_to, count_tunables))
    async with background(node) as start:
        start("presence", presence.run, node.health)
        yield


PRESENCE = Subsystem(
    name="presence",
    about="online, away, offline",
    settings=SETTINGS,
    redis_keys=REDIS_KEYS,
    commands=(commands,),
    open=open_presence,
)
