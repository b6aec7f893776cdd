"""The tables of people: what bounds their rows, and what they contain about users."""

from chatd.app.storage import Deleted, Limited, Table, UserData, Within
from chatd.db import queries

HANDLES = queries.load("people/handles")
NAME_INDEX = queries.load("people/name_index")

TABLES = (
    Table(
        "handle_changes",
        (Within("users"), Limited("people.handle_changes"), Deleted(HANDLES, "sweep")),
        UserData(
            what="`user_id`; `key_hash`: a handle that the user gave up, as a hash",
            kept="`people.handle_hold_days`, at least 30 days",
            exported=("handle_change",),
            erased="the user becomes null",
        ),
    ),
    Table(
        "user_names",
        (Within("users"), Deleted(NAME_INDEX, "write")),
        UserData(
            what="`user_id`; `text`: the handle, and parts of the name, for the search",
            kept="until it changes",
            exported=("profile",),
            erased="deleted",
            rows_of="user_id",
        ),
    ),
)
