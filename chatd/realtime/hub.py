"""The hub: the sessions of this node, what they are subscribed to, and how events reach them.

A frame is encoded once per codec, and all sessions get the same bytes. No sender waits for a slow reader: events that
its send queue does not take are dropped, and their conversations get `behind` instead.
"""

from collections.abc import Callable, Iterable

from chatd.core.clock import now_ms
from chatd.core.signals import Signals
from chatd.core.turns import each_in_turns
from chatd.realtime.connections import Connections
from chatd.realtime.disconnect_latency import CloseRequest, DisconnectLatency
from chatd.realtime.memberships import Memberships
from chatd.realtime.message_trace import Traces
from chatd.realtime.pending_session import PendingSession
from chatd.realtime.sessions import WRITES_PER_TURN, Broadcaster, Delivery, EncodedEvent, Session, credential_of
from chatd.realtime.signals import SessionClosed, SessionEnding, SessionRemoved
from chatd.realtime.subscriptions import TOPICS_PER_TURN, Subscriptions
from chatd.wire.base import Event

# Time after which clients reconnect when the database was restored.
RECONNECT_MS = 1000


class Hub:
    """The sessions of this node: `connections`, `subscriptions`, and the subscriptions of users (`memberships`)."""

    def __init__(
        self,
        clock: Callable[[], int] = now_ms,
        signals: Signals | None = None,
        *,
        writes_per_turn: int = WRITES_PER_TURN,
        topics_per_turn: int = TOPICS_PER_TURN,
    ) -> None:
        self.signals = signals or Signals()
        self.traces = Traces()
        self.disconnect_latency = DisconnectLatency(clock)
        self.broadcaster = Broadcaster(writes_per_turn)
        self.connections = Connections(self.signals)
        self.subscriptions = Subscriptions(self.connections, self.broadcaster, self.traces, topics_per_turn)
        self.memberships = Memberships(self.connections, self.subscriptions)

    def register(self, session: Session, pending: PendingSession) -> None:
        """Deliver to the session from now on. What was delivered before, the client gets by session.sync."""
        self.connections.pending.end(pending)
        self.connections.add(session)
        self.subscriptions.subscribe_pending(session, pending)
        for close, credential, request in pending.close_requests:
            if credential in (None, credential_of(session)):
                self._close(session, close, request)

    def unregister(self, session: Session) -> None:
        known = self.connections.remove(session)
        self.subscriptions.unsubscribe_all(session)
        self.disconnect_latency.note_closed(session)
        if known:
            self.signals.send_sync(SessionRemoved(session))

    async def end(self, session: Session) -> None:
        """Unregister a session that may have many subscriptions, and send the signals of its end."""
        self.signals.send_sync(SessionEnding(session))
        await self.subscriptions.unsubscribe_in_batches(session)
        self.unregister(session)
        await self.signals.send(SessionClosed(session))

    async def deliver_to_user(self, tenant: str, user: str, delivery: Delivery) -> None:
        sessions = self.connections.of_user(tenant, user)
        if sessions:
            await self.broadcaster.send(sessions, delivery)

    async def deliver_to_all(self, event: Event) -> None:
        await self.broadcaster.send(self.connections.by_id.values(), Delivery(EncodedEvent(event)))

    def close_sessions(self, tenant: str, user: str, close: str, *, credential: str | None = None, at: int = 0) -> None:
        """Close all sessions of a user, or those of one credential, pending ones too.

        `at`: when the reason was committed, in milliseconds; 0 if unknown.
        """
        request = CloseRequest(at)
        for pending in self.connections.pending.of_user(tenant, user):
            pending.close_requests.append((close, credential, request))
        for session in tuple(self.connections.of_user(tenant, user)):
            if credential in (None, credential_of(session)):
                self._close(session, close, request)

    def close_some(self, sessions: Iterable[Session], close: str, *, at: int) -> None:
        """Close these sessions, unless they have ended. `at` as above."""
        request = CloseRequest(at)
        for session in sessions:
            if session.id in self.connections.by_id:
                self._close(session, close, request)

    def _close(self, session: Session, close: str, request: CloseRequest) -> None:
        self.disconnect_latency.expect(session, request)
        session.request_close(close)

    async def reset(self) -> None:
        """Close all sessions, because the database is another one. The clients reconnect with their cursors."""
        self.subscriptions.reset()
        for pending in self.connections.pending:
            pending.close_requests.append(("going_away", None, CloseRequest(0)))
        async for session in each_in_turns(tuple(self.connections.by_id.values())):
            session.request_close("going_away", f"retry_in_ms={RECONNECT_MS}")

    def statistics(self) -> dict[str, int]:
        return {
            "sessions": len(self.connections.by_id),
            "users": self.connections.user_count(),
            "conversations": len(self.subscriptions),
            "delivered": self.broadcaster.delivered,
            "dropped": self.broadcaster.dropped,
        }
