"""The tables of uploads: what bounds their rows, and what they contain about users."""

from chatd.app.storage import Deleted, Limited, Table, UserData, Within
from chatd.db import queries

SQL = queries.load("uploads/uploads")

TABLES = (
    Table(
        "uploads",
        (Within("users"), Limited("uploads.user_quota_bytes"), Deleted(SQL, "delete_old_rows")),
        UserData(
            what="`owner`; `name`, `mime`, `sha256`, `key`: where the bytes are",
            kept="30 days after the file is removed",
            exported=("upload",),
            erased="the name becomes null, the bytes are deleted",
            id_stays=("owner",),
        ),
    ),
    Table(
        "address_uploads",
        (Deleted(SQL, "sweep_addresses"),),
        UserData(
            what="`address_hash`: anonymous accounts of an address, as a keyed hash", kept="25 hours", erased="stays"
        ),
    ),
)
