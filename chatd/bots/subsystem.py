"""Bots: users that are programs. docs/bots.md is for their authors."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chatd.app.context import Node
from chatd.app.registry import GuardChecks
from chatd.app.subsystem import Subsystem, background
from chatd.bots import admin_commands, commands, server_commands
from chatd.bots.events import CommandEvents
from chatd.bots.metrics import METRICS
from chatd.bots.personal_data import PERSONAL_DATA
from chatd.bots.resolving import resolve
from chatd.bots.rules import BotRules
from chatd.bots.settings import SETTINGS, BotSettings
from chatd.bots.streams import BotStreams
from chatd.bots.tables import TABLES
from chatd.conversations.messages.text_commands import TextCommands
from chatd.conversations.signals import MessageSent
from chatd.realtime.event_filter import EventFilter


@asynccontextmanager
async def open_bots(node: Node) -> AsyncIterator[None]:
    rules = node.services.add(BotRules(node.config.get(BotSettings)))
    node.get(GuardChecks).restrict_bots(rules.check)
    node.services.add(TextCommands(resolve))
    streams = node.services.add(BotStreams(node.db))
    node.services.add(streams, EventFilter)
    events = node.services.add(CommandEvents(node))
    node.signals.on_sync(MessageSent, events.note)
    async with background(node) as start:
        start("bot streams", streams.run)
        start("bot commands", events.run)
        yield


BOTS = Subsystem(
    name="bots",
    about="bots: accounts of programs, their commands, and what they may see",
    settings=SETTINGS,
    tables=TABLES,
    commands=(commands, admin_commands, server_commands),
    metrics=METRICS,
    personal_data=PERSONAL_DATA,
    open=open_bots,
)
