"""Looks up changed conversations and their members after events may have been missed.

See `cluster/reconciler`.
"""

from collections.abc import Sequence

from chatd.core.identity import UserKey
from chatd.core.turns import each_in_turns
from chatd.db import queries
from chatd.db.batches import to_unnest_arrays
from chatd.db.postgres import Postgres, Row
from chatd.realtime.hub import Hub
from chatd.realtime.sessions import Delivery, EncodedEvent
from chatd.wire.connection_events import SessionBehind

SQL = queries.load("conversations/reconciliation")


class ConversationChecks:
    """The checks that this subsystem registers with the reconciler."""

    def __init__(self, hub: Hub, db: Postgres) -> None:
        self._hub = hub
        self._db = db

    async def check(self, users: Sequence[UserKey], horizon: str) -> None:
        """Subscribe these users to conversations that have changed, end what they have left, and send `behind` for
        both.
        """
        tenants, ids = to_unnest_arrays(users, 2)
        async for row in each_in_turns(await self._db.all(SQL.changed_conversations, tenants, ids, horizon)):
            await self._apply(row)
        async for row in each_in_turns(await self._db.all(SQL.ended_memberships, tenants, ids, horizon)):
            await self._hub.memberships.end_at(row["tenant"], row["conversation"], row["users"], row["rev"])
            await self._hub.subscriptions.report_gap(row["tenant"], row["conversation"], row["rev"])
        async for row in each_in_turns(await self._db.all(SQL.users_with_own_changes, tenants, ids, horizon)):
            await self._hub.deliver_to_user(row["tenant"], row["user"], Delivery(EncodedEvent(SessionBehind())))

    async def recheck(self, tenant: str, conversation: str) -> None:
        """Apply the members and the rev of a conversation. Raises Refused.

        A user who connects during the query is not in its answer, and stays subscribed.
        """
        online = [user for of, user in self._hub.connections.users() if of == tenant]
        audience = self._hub.subscriptions.users_of(tenant, conversation)
        row = await self._db.one(SQL.conversation_and_members, tenant, conversation, online)
        if row is not None:
            self._hub.memberships.remove(tenant, conversation, audience - set(row["users"]), row["rev"])
            await self._apply(row)

    async def close_gaps(self, keys: Sequence[tuple[str, str]]) -> None:
        """Advance the feeds of these conversations to their last rev.

        A missing event may be the end of a membership, after which the former member gets nothing.
        """
        known = [(*key, self._hub.subscriptions.rev_of(*key) or 0) for key in keys]
        async for row in each_in_turns(await self._db.all(SQL.revs_and_departures, *to_unnest_arrays(known, 3))):
            for rev, users in by_rev(row["departed"], row["departed_at"]).items():
                await self._hub.memberships.end_at(row["tenant"], row["id"], users, rev)
            await self._hub.subscriptions.report_gap(row["tenant"], row["id"], row["rev"])

    async def _apply(self, row: Row) -> None:
        """Subscribe the members of a changed conversation, and send `behind` to those that missed events.

        Raises Refused.
        """
        tenant, id_, rev = row["tenant"], row["id"], row["rev"]
        before = self._hub.subscriptions.rev_of(tenant, id_)
        self._hub.memberships.add(tenant, id_, row["users"], 0 if before is None else before, known_at=rev)
        self._hub.memberships.suppress_ephemeral(tenant, id_, row["blocked"])
        await self._hub.subscriptions.report_gap(tenant, id_, rev)


def by_rev(users: Sequence[str], revs: Sequence[int]) -> dict[int, list[str]]:
    """Users by the rev at which their membership ended; `revs` is parallel to `users`."""
    found: dict[int, list[str]] = {}
    for user, rev in zip(users, revs, strict=True):
        found.setdefault(rev, []).append(user)
    return found
