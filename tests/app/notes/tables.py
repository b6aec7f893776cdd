"""The table: what bounds its rows, and what it contains about users."""

from notes.board import SQL

from chatd.app.storage import Deleted, Limited, Table, UserData, Within

TABLES = (
    Table(
        "notes",
        (Within("users"), Limited("notes.max_notes"), Deleted(SQL, "forget")),
        UserData(
            what="`sender`, `recipient`; `text`",
            kept="as long as the accounts",
            exported=("note",),
            erased="deleted; notes by others stay",
            rows_of="sender",
            id_stays=("recipient",),
        ),
    ),
)
