"""Who is shown to whom under a pseudonym, as the database has it: see `matching/aliases/aliases`, and `[match] pseudonyms`.

Somebody is hidden from the people of the match they are in, and of the last matches of a day, unless they share another
conversation, where they see each other's ids anyway. Masks are put on in two ways, and both are needed. Whoever is let hear a
match, or is told of one, is given the mask by the same order, before. And an answer may have seen a match that nobody here was
told of yet: so before it goes out, and after everything in it was read, the database is asked once more (`refresh`).
"""

from collections.abc import Iterable, Mapping, Sequence

from chatd.core.config import Config
from chatd.core.errors import Refused
from chatd.core.secrets import derived_key
from chatd.db import queries
from chatd.db.postgres import Postgres, Row
from chatd.matching.aliases.aliases import Mask, Pair, pseudonym

SQL = queries.load("matching/pseudonyms")
DAY = 86_400_000
# Matches of the last day whose people are still understood, and still hidden.
MATCHES = 20
# For users of a match, the others that they do not know.
Hidden = Mapping[str, Sequence[str]]
NOBODY: Hidden = {}


class Veils:
    """There is one when the option is on."""

    def __init__(self, config: Config, db: Postgres) -> None:
        self._key = derived_key(config.data.secret, "pseudonyms")
        self._db = db

    def pseudonym(self, tenant: str, conversation: str, user: str) -> str:
        """What a user is called in the match of this conversation."""
        return pseudonym(self._key, tenant, conversation, user)

    def pairs(self, tenant: str, conversation: str, users: Iterable[str]) -> list[Pair]:
        return [(user, self.pseudonym(tenant, conversation, user)) for user in users]

    async def strangers(self, tenant: str, conversation: str, users: Sequence[str]) -> Hidden:
        """From each of these users, who of the match does not know whom. Raises Refused."""
        hidden: dict[str, list[str]] = {}
        for row in await self._db.all(SQL.strangers, tenant, conversation, users):
            hidden.setdefault(row["viewer"], []).append(row["user"])
        return hidden

    async def strangers_or_all(self, tenant: str, conversation: str, users: Sequence[str]) -> Hidden:
        """As `strangers`, of all people of a match. While the database is away, all are: friends are shown again later."""
        try:
            return await self.strangers(tenant, conversation, users)
        except Refused:
            return {user: [other for other in users if other != user] for user in users}

    async def met_ever(self, tenant: str, user: str, users: Sequence[str] | None = None) -> dict[str, str]:
        """Of these users those whom this one has ever met as strangers, and by what they were called last. Raises Refused.

        None: of those whom this one has blocked, the last thousand.
        """
        return dict(self._pair(tenant, row) for row in await self._db.all(SQL.met_ever, tenant, user, users))

    async def refresh(self, tenant: str, user: str, mask: Mask, now: int) -> None:
        """Everything that was committed before is in the mask then. Raises Refused.

        What an order has changed while the database was asked may be newer than the answer: then it is asked again.
        """
        version = -1
        while version != mask.version:
            version = mask.version
            rows = await self._db.all(SQL.met, tenant, user, now - DAY, MATCHES)
        if rows:
            mask.hide(self._pair(tenant, row) for row in rows)
            mask.reveal(row["user"] for row in rows if row["known"])

    def _pair(self, tenant: str, row: Row) -> Pair:
        return row["user"], self.pseudonym(tenant, row["conversation"], row["user"])
