"""The table of imports: what bounds its rows."""

from chatd.app.storage import Kept, Table, UserData

TABLES = (
    Table(
        "imports",
        (Kept("one row for each imported file, so that no file is imported twice"),),
        UserData(what="`actor`: who ran the import", kept="forever", erased="stays"),
        impersonal=("digest",),
    ),
)
