"""Metrics of bots."""

from chatd.app.metrics import number
from chatd.bots.events import CommandEvents
from chatd.bots.rules import BotRules
from chatd.bots.streams import BotStreams

METRICS = (
    number(
        "chatd_bot_commands_total",
        "Commands for bots that were sent on this node.",
        lambda node: node.get(CommandEvents).sent,
    ),
    number(
        "chatd_bot_commands_dropped_total",
        "Commands whose event was not sent, because too many waited; the bot finds them by a sync.",
        lambda node: node.get(CommandEvents).dropped,
    ),
    number(
        "chatd_bot_messages_concealed_total",
        "Events of which a connected bot got only the place, because they do not concern it.",
        lambda node: node.get(BotStreams).concealed,
    ),
    number(
        "chatd_bot_rate_limited_total",
        "Commands of bots beyond their pace, in all conversations or in one ([bots]).",
        lambda node: node.get(BotRules).refused,
    ),
)
