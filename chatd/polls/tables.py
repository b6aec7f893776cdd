"""The tables of polls: what bounds their rows, and what they contain about users."""

from chatd.app.storage import Deleted, Kept, Table, UserData, Within
from chatd.db import queries

SQL = queries.load("polls/polls")
DELETION = queries.load("conversations/deletion")

TABLES = (
    Table(
        "poll_votes",
        (
            Within("messages"),
            Deleted(SQL, "replace_votes"),
            Deleted(DELETION, "delete_messages"),
            Kept("a user has one for each option of a poll"),
        ),
        UserData(
            what="`user_id`: who has voted for what, also in anonymous polls",
            kept="until it is taken back, or as long as the message",
            exported=("poll_vote",),
            erased="deleted",
            rows_of="user_id",
        ),
    ),
    Table(
        "poll_deadlines",
        (Within("messages"), Deleted(SQL, "remove_deadline"), Deleted(DELETION, "delete_messages")),
    ),
)
