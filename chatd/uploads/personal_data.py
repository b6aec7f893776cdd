"""What uploads store about a user."""

from chatd.app.personal_data import Erasing, Part, PersonalData
from chatd.db import queries

SQL = queries.load("uploads/personal_data")


async def erase(erasing: Erasing) -> None:
    """Mark the files as removed. The sweep of the uploads deletes their bytes."""
    await erasing.in_batches(SQL.release, erasing.node.clock())


PERSONAL_DATA = PersonalData(export=(Part("upload", SQL.export, ("upload",)),), erase=erase)
