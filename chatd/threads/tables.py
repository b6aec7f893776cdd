"""The tables of threads: what bounds their rows, and what they contain about users."""

from chatd.app.storage import Deleted, Table, UserData, Within
from chatd.db import queries

SQL = queries.load("threads/threads")

TABLES = (
    Table(
        "thread_replies",
        (Within("messages"),),
        UserData(
            what="`sender`: who has replied",
            kept="as long as the message",
            exported=("message",),
            erased="stays, marked as deleted, as the tombstone does",
            id_stays=("sender",),
        ),
    ),
    Table(
        "thread_followers",
        (Within("messages"), Within("users"), Deleted(SQL, "follow")),
        UserData(
            what="`user_id`: threads that the user follows or has unfollowed, and how far they have read them",
            kept="as long as the message; of a user, the latest 1000",
            exported=("thread",),
            erased="deleted",
            rows_of="user_id",
        ),
    ),
)
