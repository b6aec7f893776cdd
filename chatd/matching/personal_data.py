"""What matching stores about a user, except the matches themselves, which belong to other users as well."""

from chatd.app.personal_data import Erasing, PersonalData, Remains
from chatd.db import queries
from chatd.matching.matches import Matches
from chatd.matching.service import MatchingService

SQL = queries.load("matching/personal_data")


async def erase(erasing: Erasing) -> None:
    """End the open match, and remove the user's criteria from the pool and its event log."""
    match = await erasing.node.db.value(SQL.open_match, *erasing.key)
    if match is not None:
        await erasing.node.get(Matches).end(erasing.key[0], match, "left")
    await erasing.node.get(MatchingService).forget(erasing.key)


PERSONAL_DATA = PersonalData(
    erase=erase,
    remains=(
        Remains("the id, in matches", "`match_members`", "forever"),
        Remains(
            "ids of users, tickets and matches, and the queues",
            "the event log of the match pool (`match`) in Redis",
            "until newer entries displace them (50,000, or its bytes)",
        ),
    ),
)
