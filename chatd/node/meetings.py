"""Matches as they stand in the database, and what is told of them."""

from collections.abc import Callable, Mapping, Sequence

from chatd.domain.criteria import Ticket, asked_with
from chatd.domain.match_steps import Paired
from chatd.node.cluster import Cluster
from chatd.node.veils import NOBODY, Hidden
from chatd.store import queries
from chatd.store.columns import columns_of
from chatd.store.postgres import Postgres, Row
from chatd.wire.matches import MatchEnded, MatchFound, Partner

SQL = queries.load("matching")
User = tuple[str, str]


class Meetings:
    """Made, told, ended. `among` are those connected here who are in one, and perhaps some whose match has ended elsewhere."""

    def __init__(self, db: Postgres, cluster: Cluster, clock: Callable[[], int], note_end: Callable[[str, str], None]) -> None:
        self.among: set[User] = set()
        self._db = db
        self._cluster = cluster
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
        hidden = await self._hidden(tenant, conversation, users)
        self._cluster.join(tenant, conversation, users, len(users), hidden=hidden)
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
            await self._cluster.tell_user(tenant, ticket.user, found, match=conversation, hidden=hidden)

    async def _hidden(self, tenant: str, conversation: str, users: Sequence[str]) -> Hidden:
        """Whom each of a match must not see but under a pseudonym, before any of them hears of it."""
        veils = self._cluster.veils
        return NOBODY if veils is None else await veils.strangers_or_all(tenant, conversation, users)

    async def tell_found_again(self, tenant: str, user: str, row: Row) -> None:
        """To somebody who is in a match and may not have heard of it: nobody knew whether it had been committed.

        It may end in this moment; then they hear that too, after it, and of the one that they are in by then.
        """
        hidden = await self._hidden(tenant, row["conversation"], row["users"])
        self._cluster.join(tenant, row["conversation"], [user], row["rev"], hidden=hidden)
        names = {found["user"]: found["name"] for found in await self._db.all(SQL.people, tenant, row["users"])}
        partners = [Partner(id=other, name=names.get(other), attributes={}) for other in row["users"] if other != user]
        if await self._left(tenant, user, row):
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
        await self._cluster.tell_user(tenant, user, found, match=row["conversation"], hidden=hidden)
        if await self._left(tenant, user, row):
            await self._cluster.tell_user(tenant, user, MatchEnded(match=row["match"], reason="left"))
            now = await self.active(tenant, user)
            if now is not None:
                await self.tell_found_again(tenant, user, now)

    async def tell_missed(self, waiting: Sequence[User]) -> list[User]:
        """Who of these is in a match, after telling them; and tell those in `among` whose match has ended. Raises Refused."""
        matched = await self._db.all(SQL.active_of, *columns_of(waiting, 2))
        for row in matched:
            await self.tell_found_again(row["tenant"], row["user"], row)
        for row in await self._db.all(SQL.ended_of, *columns_of(list(self.among), 2)):
            await self._cluster.tell_user(row["tenant"], row["user"], MatchEnded(match=row["match"], reason=row["reason"]))
            self.among.discard((row["tenant"], row["user"]))
        return [(row["tenant"], row["user"]) for row in matched]

    async def _left(self, tenant: str, user: str, row: Row) -> bool:
        """Whether they are in this match no more; then they do not hear it either."""
        now = await self.active(tenant, user)
        if now is not None and now["match"] == row["match"]:
            return False
        self._cluster.part(tenant, row["conversation"], [user])
        return True

    async def end(
        self, tenant: str, match: str, reason: str, *, but: str | None = None, session: str | None = None, silent: bool = False
    ) -> bool:
        """End a match and tell everybody but the user `but`, or but the `session` that asked. False when it had ended already."""
        row = await self._db.one(SQL.end, tenant, match, reason, self._clock())
        if row is None:
            return False
        self._note_end(match, reason)
        self._cluster.part(tenant, row["conversation"], row["users"])
        for user in row["users"]:
            self.among.discard((tenant, user))
            if user != but and not silent:
                await self._cluster.tell_user(tenant, user, MatchEnded(match=match, reason=reason), but=session)
        return True

    def keep(self, tenant: str, match: str, users: Sequence[str]) -> None:
        """A match has become an ordinary conversation."""
        self._note_end(match, "kept")
        self.among -= {(tenant, user) for user in users}
