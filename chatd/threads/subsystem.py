"""Threads: replies to a message, which users follow and read apart from the conversation.

Replies are messages: `conversations` commits them and counts them at their root. This subsystem has the tables of
replies and followers, the functions that the log of messages calls for a reply, and what one user does with threads.
"""

from chatd.app.metrics import number
from chatd.app.subsystem import Subsystem
from chatd.conversations.log.effects import KindCounts
from chatd.threads import commands, listing
from chatd.threads.listing import CURSOR, ListThreads
from chatd.threads.personal_data import PERSONAL_DATA
from chatd.threads.tables import TABLES
from chatd.wire.reference.description import Condition

THREADS = Subsystem(
    name="threads",
    about="threads that users follow, and their unread replies",
    tables=TABLES,
    commands=(commands, listing),
    conditions=(Condition(ListThreads, fields={"cursor": {"pattern": f"^{CURSOR.pattern}$"}}),),
    personal_data=PERSONAL_DATA,
    metrics=(
        number(
            "chatd_thread_replies_total",
            "Replies in threads, among the messages that this node has committed.",
            lambda node: node.get(KindCounts).replies,
        ),
    ),
)
