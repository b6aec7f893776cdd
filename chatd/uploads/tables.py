"""The tables of uploads: what bounds their rows, and what they contain about users."""

from chatd.app.storage import Deleted, Limited, Table, UserData, Within
from chatd.db import queries

SWEEP = queries.load("uploads/sweep")

TABLES = (
    Table(
        "uploads",
        (Within("users"), Limited("uploads.user_quota_bytes"), Deleted(SWEEP, "delete_old_rows")),
        UserData(
            what="`owner`; `name`, `mime`, `sha256`, `placeholder`, `waveform`; `key`: where the bytes are",
            kept="30 days after the file is removed",
            exported=("upload",),
            erased="`name`, `placeholder` and `waveform` become null, the bytes are deleted",
            id_stays=("owner",),
        ),
    ),
    Table(
        "address_uploads",
        (Deleted(SWEEP, "sweep_addresses"),),
        UserData(
            what="`address_hash`: anonymous accounts of an address, as a keyed hash", kept="25 hours", erased="stays"
        ),
    ),
)
