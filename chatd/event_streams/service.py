"""The sessions of this node that are read by requests: made, found, and ended."""

import trio

from chatd.app.command_metrics import BY_PEER, CommandMetrics
from chatd.app.context import Node
from chatd.app.maintenance import Maintenance
from chatd.core import log
from chatd.core.errors import Refused
from chatd.core.identity import Principal
from chatd.event_streams.session import EventSession
from chatd.event_streams.settings import EventSettings
from chatd.gateway.admission import Admission, Overloaded, Slot
from chatd.gateway.session import connected
from chatd.gateway.sign_in import enter
from chatd.realtime.drain import Drain
from chatd.realtime.pending_session import PendingSession
from chatd.realtime.signals import SessionOpened
from chatd.realtime.timer_wheel import Timer, TimerWheel

LOG = log.get(__name__)


class EventSessions:
    """Those that have not ended, and for a grace period those whose last frames are not read yet."""

    def __init__(self, node: Node, nursery: trio.Nursery) -> None:
        self._node = node
        self._nursery = nursery
        self._grace_s = node.config.get(EventSettings).grace
        self._sessions: dict[str, EventSession] = {}
        self._open: dict[str, tuple[Slot, Timer]] = {}

    def find(self, session: str, who: Principal, after: int) -> EventSession | None:
        """The session of this user, whose credential was checked, if the frames after this one are here. Otherwise the
        client begins another one, and this one ends.

        A newer token renews the session, and so does one of another login: it ends with the login that reads it.
        """
        found = self._sessions.get(session)
        if found is None or (found.tenant, found.user) != (who.tenant, who.user):
            return None
        if not found.can_continue(after):
            found.abandon()
            return None
        known = found.principal
        if who.expires_at > known.expires_at or who.credential != known.credential:
            found.renew(who)
        return found

    async def open(self, principal: Principal, address: str, transport: str) -> EventSession:
        """Make a session; its first frame is `connected`. Raises Refused: `forbidden` for a bot, of which every event
        and command has to be checked.
        """
        if principal.is_bot:
            raise Refused("forbidden", "a bot connects by WebSocket, or has a webhook")
        node, drain, admission = self._node, self._node.get(Drain), self._node.get(Admission)
        if drain.under_way:
            raise Refused("maintenance", "the server is about to stop", retry_after=drain.retry_after)
        await self._make_room(principal)
        try:
            admission.check_rate(address)
            async with admission.auth_slot():
                pending = await enter(node, principal, address)
            slot = admission.connected(address)
        except Overloaded as overloaded:
            raise Refused("unavailable", str(overloaded), retry_after=overloaded.retry_after) from None
        session = EventSession(node, self._nursery, principal, address, transport, self._on_ended)
        try:
            await self._register(session, pending)
        except BaseException:
            slot.release()
            raise
        timer = node.get(TimerWheel).schedule(0, session.on_timer)
        self._sessions[session.id] = session
        self._open[session.id] = slot, timer
        LOG.debug("connected", extra={"session": session.id, "tenant": session.tenant, "user": session.user})
        return session

    async def _make_room(self, principal: Principal) -> None:
        """A user with too many sessions loses the one that no request has read for the longest time."""
        sessions = self._node.hub.connections.of_user(principal.tenant, principal.user)
        if len(sessions) < self._node.config.limits.sessions_per_user:
            return
        unread = [one for one in sessions if isinstance(one, EventSession) and not one.is_read]
        if unread:
            oldest = min(unread, key=lambda one: one.unread_since)
            oldest.abandon()
            await self._end(oldest)

    async def _register(self, session: EventSession, pending: PendingSession) -> None:
        node = self._node
        with session.silent():
            await node.hub.subscriptions.subscribe_in_batches(session, pending)
        maintenance = node.get(Drain).under_way or node.get(Maintenance).enabled
        session.send_event(connected(node, session.id, session.principal, maintenance=maintenance))
        node.hub.register(session, pending)
        node.signals.send_sync(SessionOpened(pending))

    def _on_ended(self, session: EventSession) -> None:
        """Leave the hub soon. What is left to read stays for a grace period."""
        self._nursery.start_soon(self._end, session)

    async def _end(self, session: EventSession) -> None:
        slot, timer = self._open.pop(session.id, (None, None))
        if slot is None or timer is None:
            return
        timer.cancel()
        ending = session.ending[0].name if session.ending else BY_PEER
        LOG.debug("closed", extra={"session": session.id, "user": session.user, "close": ending})
        self._node.get(CommandMetrics).closes[ending] += 1
        try:
            await self._node.hub.end(session)
        except Exception:
            LOG.exception("an event session was not ended properly")
        finally:
            slot.release()
        if session.is_abandoned:
            self._sessions.pop(session.id, None)
        else:
            self._node.get(TimerWheel).schedule(self._grace_s, lambda: self._forget(session))

    def close(self) -> None:
        """End all sessions, because the node stops."""
        for session_id, (slot, timer) in self._open.items():
            timer.cancel()
            slot.release()
            self._node.hub.unregister(self._sessions[session_id])

    def _forget(self, session: EventSession) -> None:
        session.abandon()
        self._sessions.pop(session.id, None)
