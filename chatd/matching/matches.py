"""Matches in the database, and the events that announce them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from chatd.cluster.cluster import Cluster
from chatd.cluster.control_messages import SubscribeUsers, UnsubscribeUsers
from chatd.conversations.signals import VisibilityChanged
from chatd.core.identity import UserKey
from chatd.db import queries
from chatd.db.batches import to_unnest_arrays
from chatd.db.postgres import Postgres, Row
from chatd.matching.announcements import Announcements, announcement
from chatd.matching.control_messages import MatchOver
from chatd.matching.criteria import Ticket, encode_criteria
from chatd.matching.event_log import PoolEventLog
from chatd.matching.events import MatchEnded, MatchFound, MatchKept, Partner
from chatd.matching.pool_events import Paired
from chatd.matching.signals import MatchClosed, MatchMade
from chatd.wire.base import Event

SQL = queries.load("matching/matches")
# Users per look-up.
PAGE_SIZE = 500
# Alias and name.
Person = tuple[str, str | None]
# By user.
People = Mapping[str, Person]


class Matches:
    """Creates, announces and ends matches."""

    def __init__(
        self, db: Postgres, cluster: Cluster, announcements: Announcements, log: PoolEventLog, clock: Callable[[], int]
    ) -> None:
        self._db = db
        self._cluster = cluster
        self._announcements = announcements
        self._log = log
        self._clock = clock

    async def page(self, after: UserKey, limit: int) -> list[UserKey]:
        """Users of the whole cluster who are in a match, ordered, after this one. Raises Refused."""
        return [(row["tenant"], row["user"]) for row in await self._db.all(SQL.page_users_in_matches, *after, limit)]

    async def active(self, tenant: str, user: str) -> Row | None:
        """The match that the user is in."""
        return await self._db.one(SQL.active_match, tenant, user)

    async def make(self, pair: Paired, tickets: Sequence[Ticket], conversation: str) -> People:
        """Commit a match, in which each user gets an alias. Returns its users.

        Raises UniqueViolation if one of them is in a match already, ForeignKeyViolation for an unknown user, Refused.
        """
        first, ordered = tickets[0], sorted(tickets, key=lambda ticket: ticket.user)
        users, criteria = [ticket.user for ticket in ordered], [encode_criteria(ticket) for ticket in ordered]
        now = self._clock()
        rows = await self._db.all(
            SQL.create_match, first.tenant, pair.match, first.queue, conversation, users, now, criteria
        )
        self._cluster.hub.signals.send_sync(MatchMade(first.tenant, pair.match, now))
        return {row["user"]: (row["alias"], row["name"]) for row in rows}

    async def announce_found(self, pair: Paired, tickets: Sequence[Ticket], conversation: str, people: People) -> None:
        """Send `match.found` to each user of a new match."""
        tenant = tickets[0].tenant
        users = [ticket.user for ticket in tickets]
        await self._cluster.broadcast(SubscribeUsers(tenant, conversation, users, len(users)))
        for ticket in tickets:
            partners = [partner_of(people[other.user], other.attributes) for other in tickets if other is not ticket]
            found = MatchFound(
                match=pair.match,
                conversation=conversation,
                alias=people[ticket.user][0],
                partner=partners[0],
                partners=partners,
                matched_on=pair.matched_on,
                # `recent` would show that the partner is one of the last ones.
                relaxed=[criterion for criterion in pair.relaxed.get(ticket.id, []) if criterion != "recent"],
                waited_ms=max(0, pair.at - ticket.since),
            )
            await self._announcements.announce(announcement(tenant, ticket.user, pair.match, found, began=True))

    async def announce_again(self, tenant: str, user: str, row: Row) -> None:
        """Send `match.found` to a user who may not have received it, unless the match has ended since. Raises Refused.

        A match whose other users were deleted from the database is ended.
        """
        aliases: dict[str, str] = row["aliases"]
        if list(aliases) == [user]:
            await self.end(tenant, row["match"], "left")
            return
        await self._cluster.broadcast(SubscribeUsers(tenant, row["conversation"], [user], row["rev"]))
        names = {found["user"]: found["name"] for found in await self._db.all(SQL.names, tenant, list(aliases))}
        others = sorted((alias, names.get(other)) for other, alias in aliases.items() if other != user)
        now = await self.active(tenant, user)
        if now is None or now["match"] != row["match"]:
            await self._cluster.broadcast(UnsubscribeUsers(tenant, row["conversation"], [user]))
            return
        partners = [partner_of(other, {}) for other in others]
        found = MatchFound(
            match=row["match"],
            conversation=row["conversation"],
            alias=aliases[user],
            partner=partners[0],
            partners=partners,
            matched_on=[],
            relaxed=[],
            waited_ms=0,
        )
        await self._announcements.announce(announcement(tenant, user, row["match"], found, began=True))

    async def was_announced(self, tenant: str, match: str, user: str) -> bool | None:
        """Whether the user has received `match.found`; None if the user is not in this match. Raises Refused."""
        announced: bool | None = await self._db.value(SQL.is_announced, tenant, match, user)
        return announced

    async def end(
        self,
        tenant: str,
        match: str,
        reason: str,
        *,
        exclude_user: str | None = None,
        session: str | None = None,
        silent: bool = False,
    ) -> bool:
        """End a match and announce it to its users; returns False if it had ended before. Raises Refused.

        The user `exclude_user` and the `session` of the request get no event; with `silent` no user does.
        """
        now = self._clock()
        row = await self._db.one(SQL.end_match, tenant, match, reason, now)
        if row is None:
            return False
        self._log_end(match, reason)
        self._cluster.hub.signals.send_sync(MatchClosed(tenant, match, now, is_kept=False))
        await self._cluster.broadcast(UnsubscribeUsers(tenant, row["conversation"], row["users"]))
        await self._end_presence(tenant, row["users"])
        for user in row["users"]:
            if user != exclude_user and not silent:
                ended = announcement(
                    tenant, user, match, MatchEnded(match=match, reason=reason), exclude_session=session
                )
                await self._announcements.announce(ended)
        return True

    async def keep(self, tenant: str, match: str, conversation: str, users: Sequence[str], rev: int) -> None:
        """Announce that a match has become an ordinary conversation. All nodes look up its members again."""
        self._log_end(match, "kept")
        self._cluster.hub.signals.send_sync(MatchClosed(tenant, match, self._clock(), is_kept=True))
        await self._cluster.broadcast(SubscribeUsers(tenant, conversation, list(users), rev))
        await self._end_presence(tenant, users)
        for user in users:
            kept = MatchKept(match=match, conversation=conversation)
            await self._announcements.announce(announcement(tenant, user, match, kept))

    async def _end_presence(self, tenant: str, users: Sequence[str]) -> None:
        """Show users as offline by their aliases at once.

        Later it would happen when they disconnect, at the same time as for watchers of the user id.
        """
        await self._cluster.hub.signals.send(VisibilityChanged(tenant, users))

    def _log_end(self, match: str, reason: str) -> None:
        """Log the end of a match, on the node that writes the event log."""
        if self._log.is_ours:
            self._log.append_end(match, reason)
        else:
            self._cluster.publish(MatchOver(match, reason))

    # --- lost announcements ---------------------------------------------------------------------------------------

    async def announce_missed(self, users: Sequence[UserKey]) -> None:
        """Send users connected here what they have missed about their matches. Raises Refused.

        It does no harm when nothing was missed, so it is called whenever an announcement may have been lost.
        """
        sent = self._announcements
        for at in range(0, len(users), PAGE_SIZE):
            page = [(*user, sent.announced.get(user), user in sent.unconfirmed) for user in users[at : at + PAGE_SIZE]]
            for row in await self._db.all(SQL.missed_announcements, *to_unnest_arrays(page, 4)):
                await self._announce_missed(row)

    async def _announce_missed(self, row: Row) -> None:
        tenant, user = row["tenant"], row["user"]
        if row["end_reason"] is not None:
            await self._announcements.announce(announcement(tenant, user, row["sent"], await self._end_of(tenant, row)))
        if row["new_match"] is not None:
            active = await self.active(tenant, user)
            if active is not None:
                await self.announce_again(tenant, user, active)

    async def _end_of(self, tenant: str, row: Row) -> Event:
        if row["end_reason"] == "kept":
            return MatchKept(match=row["sent"], conversation=row["conversation"])
        await self._cluster.broadcast(UnsubscribeUsers(tenant, row["conversation"], [row["user"]]))
        return MatchEnded(match=row["sent"], reason=row["end_reason"])


def partner_of(person: Person, attributes: Mapping[str, Any]) -> Partner:
    alias, name = person
    return Partner(id=alias, name=name, attributes=dict(attributes))
