"""The tables of uploads: what bounds their rows, and what they contain about users."""

from chatd.app.storage import Deleted, Limited, Table, UserData, Within
from chatd.db import queries

SWEEP, RESUMABLE = queries.load("uploads/sweep"), queries.load("uploads/resumable")

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
        "resumable_uploads",
        (Within("users"), Limited("uploads.user_quota_bytes"), Deleted(RESUMABLE, "delete_old_rows")),
        UserData(
            what="`owner`; `metadata`: as the client gave it, with the name of the file; `state`",
            kept="a day after they began",
            exported=("unfinished_upload",),
            erased="`metadata` becomes empty, the parts are deleted",
            id_stays=("owner",),
        ),
    ),
    Table(
        "upload_parts",
        (Within("resumable_uploads"), Deleted(RESUMABLE, "release")),
        UserData(
            what="`upload`; `key`: where the bytes of an unfinished upload are",
            kept="a day after the upload began",
            erased="deleted, with the bytes",
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
