"""The table of actions: what bounds its rows, and what it contains about users."""

from chatd.app.storage import Deleted, Limited, Table, UserData, Within
from chatd.db import queries

SQL = queries.load("actions/actions")

TABLES = (
    Table(
        "actions",
        (
            Within("users"),
            Within("conversations"),
            Deleted(SQL, "sweep"),
            Limited("actions.keep"),
            Limited("actions.per_user_per_minute"),
        ),
        UserData(
            what="`user_id`: who has pressed which button of which `message`; `bot`, `client_id`, `data`",
            kept="`actions.keep`",
            exported=("action",),
            erased="deleted",
            rows_of="user_id",
        ),
    ),
)
