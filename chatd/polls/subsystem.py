"""Polls: messages with options to vote for."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chatd.app.context import Node
from chatd.app.jobs import Job
from chatd.app.subsystem import Subsystem
from chatd.conversations.entities import Message
from chatd.polls import closing, creation, voting
from chatd.polls.metrics import METRICS, PollCounts
from chatd.polls.personal_data import PERSONAL_DATA
from chatd.polls.state import Poll
from chatd.wire.reference.description import Shape


@asynccontextmanager
async def open_polls(node: Node) -> AsyncIterator[None]:
    node.services.add(PollCounts())
    yield


POLLS = Subsystem(
    name="polls",
    about="polls: messages with options, votes, and their end",
    commands=(creation, voting, closing),
    shapes=(Shape(Message, "poll", Poll),),
    jobs=(Job("polls", closing.close_due, 1),),
    personal_data=PERSONAL_DATA,
    metrics=METRICS,
    open=open_polls,
)
