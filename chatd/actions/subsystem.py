"""Actions: pressed buttons of messages, on their way to bots, and the answers."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from chatd.actions import answering, delivery, pressing
from chatd.actions.delivery import OUTCOMES, Counts
from chatd.actions.personal_data import PERSONAL_DATA
from chatd.actions.settings import SETTINGS
from chatd.actions.tables import TABLES
from chatd.app.context import Node
from chatd.app.jobs import Job
from chatd.app.metrics import numbers_by
from chatd.app.subsystem import Subsystem


@asynccontextmanager
async def open_actions(node: Node) -> AsyncIterator[None]:
    node.services.add(Counts())
    yield


def counts(node: Node) -> Mapping[str, float]:
    return node.services.find(Counts) or {}


ACTIONS = Subsystem(
    name="actions",
    about="presses of buttons in messages, on their way to bots, and the answers",
    settings=SETTINGS,
    tables=TABLES,
    commands=(pressing, delivery, answering),
    jobs=(Job("actions again", delivery.send_again, 2), Job("actions sweep", delivery.sweep, 60)),
    metrics=(
        numbers_by(
            "outcome",
            "chatd_actions_total",
            "Presses of buttons by what became of them. `pressed`: committed; `answered`: by the bot in time; "
            "`sent_again`: because the bot had not taken them; `expired`: the bot has never taken them.",
            OUTCOMES,
            counts,
        ),
    ),
    personal_data=PERSONAL_DATA,
    open=open_actions,
)
