"""Matches as they stand in the database, and what is told of them."""

from collections.abc import Callable, Mapping, Sequence

from chatd.cluster.cluster import Cluster
from chatd.cluster.control_messages import Joined, Parted
from chatd.db import queries
from chatd.db.postgres import Postgres, Row
from chatd.db.unnest import columns_of
from chatd.matching.announcements import Announcements, User, news
from chatd.matching.criteria import Ticket, asked_with
from chatd.matching.events import MatchEnded, MatchFound, MatchKept, Partner
from chatd.matching.pool_events import Paired
from chatd.wire.base import Event

SQL = queries.load("matching/matching")
# Users that are looked up in one statement.
PAGE = 500


class Meetings:
    """Made, told, ended. `note_end` is told of each match that is ended here."""

    def __init__(
        self,
        db: Postgres,
        cluster: Cluster,
        announcements: Announcements,
        clock: Callable[[], int],
        note_end: Callable[[str, str], None],
    ) -> None:
        self._db = db
        self._cluster = cluster
        self._announcements = announcements
        self._clock = clock
        self._note_end = note_end

    async def page(self, after: User, limit: int) -> list[User]:
        """Those who are in a match, of the whole cluster. Raises Refused."""
        return [(row["tenant"], row["user"]) for row in await self._db.all(SQL.in_matches, *after, limit)]

    async def active(self, tenant: str, user: str) -> Row | None:
        """The match somebody is in."""
        return await self._db.one(SQL.active, tenant, user)

    async def make(self, pair: Paired, tickets: Sequence[Ticket], conversation: str) -> dict[str, str | None]:
        """Commit a match; returns the names of its people.

        Raises UniqueViolation when one of them is in a match already, ForeignKeyViolation for an unknown user, Refused.
        """
        first, ordered = tickets[0], sorted(tickets, key=lambda ticket: ticket.user)
        users, asked = [ticket.user for ticket in ordered], [asked_with(ticket) for ticket in ordered]
        rows = await self._db.all(SQL.make, first.tenant, pair.match, first.queue, conversation, users, self._clock(), asked)
        return {row["user"]: row["name"] for row in rows}

    async def tell_found(
        self, pair: Paired, tickets: Sequence[Ticket], conversation: str, names: Mapping[str, str | None]
    ) -> None:
        """To each of them, who the others are."""
        tenant = tickets[0].tenant
        users = [ticket.user for ticket in tickets]
        self._cluster.broadcast(Joined(tenant, conversation, users, len(users)))
        for ticket in tickets:
            partners = [
                Partner(id=other.user, name=names.get(other.user), attributes=dict(other.attributes))
                for other in tickets
                if other is not ticket
            ]
            found = MatchFound(
                match=pair.match,
                conversation=conversation,
                partner=partners[0],
                partners=partners,
                matched_on=pair.matched_on,
                relaxed=pair.relaxed.get(ticket.id, []),
                waited_ms=max(0, pair.at - ticket.since),
            )
            await self._announcements.announce(news(tenant, ticket.user, pair.match, found, began=True))

    async def tell_found_again(self, tenant: str, user: str, row: Row) -> None:
        """To somebody who is in a match and may not have heard of it; not if it has ended meanwhile. Raises Refused.

        A match whose other people were deleted from the database is ended.
        """
        if row["users"] == [user]:
            await self.end(tenant, row["match"], "left")
            return
        self._cluster.broadcast(Joined(tenant, row["conversation"], [user], row["rev"]))
        names = {found["user"]: found["name"] for found in await self._db.all(SQL.people, tenant, row["users"])}
        partners = [Partner(id=other, name=names.get(other), attributes={}) for other in row["users"] if other != user]
        now = await self.active(tenant, user)
        if now is None or now["match"] != row["match"]:
            self._cluster.broadcast(Parted(tenant, row["conversation"], [user]))
            return
        found = MatchFound(
            match=row["match"],
            conversation=row["conversation"],
            partner=partners[0],
            partners=partners,
            matched_on=[],
            relaxed=[],
            waited_ms=0,
        )
        await self._announcements.announce(news(tenant, user, row["match"], found, began=True))

    async def heard(self, tenant: str, match: str, user: str) -> bool | None:
        """Whether somebody was told of a match; None when there is no such match of theirs. Raises Refused."""
        heard: bool | None = await self._db.value(SQL.heard, tenant, match, user)
        return heard

    async def end(
        self, tenant: str, match: str, reason: str, *, but: str | None = None, session: str | None = None, silent: bool = False
    ) -> bool:
        """End a match and tell everybody but the user `but`, or but the `session` that asked. False when it had ended already."""
        row = await self._db.one(SQL.end, tenant, match, reason, self._clock())
        if row is None:
            return False
        self._note_end(match, reason)
        self._cluster.broadcast(Parted(tenant, row["conversation"], row["users"]))
        for user in row["users"]:
            if user != but and not silent:
                ended = news(tenant, user, match, MatchEnded(match=match, reason=reason), but=session)
                await self._announcements.announce(ended)
        return True

    async def keep(self, tenant: str, match: str, conversation: str, users: Sequence[str]) -> None:
        """A match has become an ordinary conversation: everybody is told."""
        self._note_end(match, "kept")
        for user in users:
            await self._announcements.announce(news(tenant, user, match, MatchKept(match=match, conversation=conversation)))

    # --- who may have missed it -----------------------------------------------------------------------------------------

    async def tell_what_is_true(self, users: Sequence[User]) -> None:
        """Tell users who are connected here what they do not know of their matches. Raises Refused.

        It is repeated without harm, so it is called whenever an announcement may have been lost.
        """
        for at in range(0, len(users), PAGE):
            news_of = self._announcements
            part = [(*user, news_of.known.get(user), user in news_of.untold) for user in users[at : at + PAGE]]
            for row in await self._db.all(SQL.truth, *columns_of(part, 4)):
                await self._tell_truth(row)

    async def _tell_truth(self, row: Row) -> None:
        tenant, user = row["tenant"], row["user"]
        if row["ended"] is not None:
            await self._announcements.announce(news(tenant, user, row["known"], self._end_of(tenant, row)))
        if row["now"] is not None:
            active = await self.active(tenant, user)
            if active is not None:
                await self.tell_found_again(tenant, user, active)

    def _end_of(self, tenant: str, row: Row) -> Event:
        if row["ended"] == "kept":
            return MatchKept(match=row["known"], conversation=row["conversation"])
        self._cluster.broadcast(Parted(tenant, row["conversation"], [row["user"]]))
        return MatchEnded(match=row["known"], reason=row["ended"])
