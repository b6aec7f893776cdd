"""What uploads store about a user."""

from chatd.app.personal_data import Erasing, Part, PersonalData, Remains
from chatd.db import queries

SQL = queries.load("uploads/personal_data")


async def erase(erasing: Erasing) -> None:
    """Mark the files as removed. The sweep of the uploads deletes their bytes."""
    await erasing.in_batches(SQL.end_unfinished)
    await erasing.in_batches(SQL.release, erasing.node.clock())


PERSONAL_DATA = PersonalData(
    export=(
        Part(
            "upload",
            "files: name, type, size, SHA-256, duration, waveform; the bytes come from `GET /v1/uploads/ID`",
            SQL.export,
            ("upload",),
        ),
        Part("unfinished_upload", "files that were not received completely", SQL.export_unfinished, ("upload",)),
    ),
    erase=erase,
    remains=(
        Remains(
            "the id, as owner of the rows of their files, without name and bytes",
            "`uploads`",
            "30 days after the file was removed, or as long as a report needs it",
        ),
        Remains("the id, as owner of unfinished uploads", "`resumable_uploads`", "a day after they began"),
        Remains(
            "bytes that anonymous accounts uploaded from an address, by hour: a keyed hash of the address, no user",
            "`address_uploads`",
            "25 hours",
        ),
    ),
)
