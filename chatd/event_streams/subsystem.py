"""Event streams: sessions over HTTP, for clients whose WebSockets are blocked."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from chatd.app.context import Node
from chatd.app.storage import RedisKey
from chatd.app.subsystem import Subsystem
from chatd.event_streams import openapi, routes
from chatd.event_streams.relay import MAX_QUESTIONS, SessionRelay
from chatd.event_streams.service import EventSessions
from chatd.event_streams.settings import SETTINGS
from chatd.http.session_header import RemoteSessions


@asynccontextmanager
async def open_event_streams(node: Node, max_questions: int = MAX_QUESTIONS) -> AsyncIterator[None]:
    """The sessions of this node, and the way to those of others. `max_questions`: see `SessionRelay`."""
    async with trio.open_nursery() as nursery:
        sessions = node.services.add(EventSessions(node, nursery))
        relay = node.services.add(SessionRelay(node, nursery, max_questions))
        node.services.add(relay, RemoteSessions)
        yield
        sessions.close()
        nursery.cancel_scope.cancel()


EVENT_STREAMS = Subsystem(
    name="event_streams",
    about="sessions over HTTP: Server-Sent Events and long polling",
    settings=SETTINGS,
    redis_keys=(
        RedisKey(
            "relay:*",
            "events for clients of /v1/events whose requests reach several nodes, and commands of their sessions",
            "until they are read, ten seconds at most",
        ),
    ),
    routes=(routes.add_routes,),
    openapi=openapi.ROUTES,
    open=open_event_streams,
)
