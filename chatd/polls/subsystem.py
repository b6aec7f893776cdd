"""Polls: messages with options to vote for."""

from chatd.app.jobs import Job
from chatd.app.subsystem import Subsystem
from chatd.conversations.entities import Message
from chatd.polls import closing, creation, voting
from chatd.polls.personal_data import PERSONAL_DATA
from chatd.polls.state import Poll
from chatd.wire.reference.description import Shape

POLLS = Subsystem(
    name="polls",
    about="polls: messages with options, votes, and their end",
    commands=(creation, voting, closing),
    shapes=(Shape(Message, "poll", Poll),),
    jobs=(Job("polls", closing.close_due, 1),),
    personal_data=PERSONAL_DATA,
)
