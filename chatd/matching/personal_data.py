"""What matching stores about a user, besides the matches, which concern others as well."""

from chatd.app.personal_data import Erasing, PersonalData
from chatd.db import queries
from chatd.matching.service import MatchingService

SQL = queries.load("matching/personal_data")


async def erase(erasing: Erasing) -> None:
    """End the open match, and remove what the user asked for from the pool and its event log."""
    matching = erasing.node.get(MatchingService)
    match = await erasing.node.db.value(SQL.open_match, *erasing.key)
    if match is not None:
        await matching.matches.end(erasing.key[0], match, "left")
    await matching.forget(erasing.key)


PERSONAL_DATA = PersonalData(erase=erase)
