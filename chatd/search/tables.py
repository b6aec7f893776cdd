"""The tables of search: what bounds their rows, and what they contain about users."""

from chatd.app.storage import Deleted, OneFor, OneRow, Table, UserData, Within
from chatd.db import queries

SQL = queries.load("search/search_index")

TABLES = (
    Table(
        "search_index",
        (Deleted(SQL, "delete_entries"), OneFor("message")),
        UserData(what="`words` of a message", kept="as long as the message", erased="deleted with the message"),
    ),
    Table("search_positions", (Within("conversations"),)),
    Table("search_scan", (OneRow(),), impersonal=("after_conversation", "after_tenant")),
    Table("search_status", (OneRow(),), impersonal=("problem",)),
)
