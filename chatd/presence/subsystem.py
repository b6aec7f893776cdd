"""Presence: who is online, away or offline, on all nodes together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chatd.app.context import Node
from chatd.app.subsystem import Subsystem, background
from chatd.conversations.settings import PresenceDefaults
from chatd.presence import commands, online_count, service
from chatd.presence.online_count import CountTunables, OnlineCount
from chatd.presence.redis_keys import REDIS_KEYS
from chatd.presence.service import Presence, PresenceTunables
from chatd.presence.settings import SETTINGS, PresenceSettings


@asynccontextmanager
async def open_presence(
    node: Node,
    tunables: PresenceTunables = service.TUNABLES,
    count_tunables: CountTunables = online_count.TUNABLES,
) -> AsyncIterator[None]:
    grace, shown_to = node.config.get(PresenceSettings).grace, node.config.get(PresenceDefaults).shown_to
    presence = node.services.add(
        Presence(grace, shown_to, node.db, node.redis, node.hub, node.cluster, node.clock, tunables)
    )
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
