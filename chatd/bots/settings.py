"""Settings of bots."""

from typing import Annotated

from chatd.core.config import Count, Declaration, Section, Settings, doc


class BotSettings(Section, frozen=True):
    max_bots: Annotated[Count, doc("Maximum bots of a tenant.")] = 100
    max_commands: Annotated[Count, doc("Maximum commands of a bot.")] = 100
    messages_per_second: Annotated[
        Count, doc("Maximum messages and reactions per second of a bot, on each node, in all conversations.")
    ] = 30
    messages_per_minute: Annotated[
        Count, doc("Maximum messages and reactions per minute of a bot in one conversation, on each node.")
    ] = 60


SETTINGS: tuple[Declaration, ...] = (Settings("bots", BotSettings),)
