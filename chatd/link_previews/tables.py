"""The table of link previews: what bounds its rows, and what it contains about users."""

from chatd.app.storage import Deleted, Limited, Table
from chatd.db import queries

SQL = queries.load("link_previews/link_previews")

TABLES = (
    Table(
        "link_previews",
        (Deleted(SQL, "sweep"), Limited("link_previews.keep"), Limited("link_previews.per_user_per_minute")),
        impersonal=("url_hash", "preview"),
    ),
)
