"""A session whose events are read by requests: `realtime.sessions.Session` over a log of frames.

It outlives each request by a grace period, so that the next one continues where the last one ended.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import trio

from chatd.app.context import Node
from chatd.core import log
from chatd.core.errors import CLOSES, Close
from chatd.core.identity import Principal
from chatd.core.ids import made_at, uuid7
from chatd.event_streams.frame_log import FrameLog
from chatd.event_streams.settings import EventSettings
from chatd.gateway.send_queue import GapPosition, SendQueue
from chatd.gateway.session import shown_address
from chatd.gateway.token_expiry import ExpiryStep, expiry_of
from chatd.gateway.transport import MAX_WRITE_BYTES
from chatd.realtime.feeds import feed_class
from chatd.realtime.sessions import Delivery, SessionInfo
from chatd.wire.base import Event
from chatd.wire.codec import EVENTS, Codec
from chatd.wire.connection_events import Closed, SessionBehind, TokenExpiring

LOG = log.get(__name__)


class Reading:
    """One request that reads a session, from the frame after `number` on."""

    __slots__ = ("_log", "_session", "number", "was_replaced")

    def __init__(self, session: "EventSession", log: FrameLog, number: int) -> None:
        self._session = session
        self._log = log
        self.number = number
        # Another request reads the session now.
        self.was_replaced = False

    @property
    def is_over(self) -> bool:
        """Whether no more frames will come."""
        session = self._session
        return self.was_replaced or session.is_abandoned or not session.has_more(self.number)

    async def next(self, timeout_s: float) -> list[bytes]:
        """The next frames, none after the timeout or at the end. The client has those of the calls before."""
        if not self.was_replaced:
            self._log.seek(self.number)
        with trio.move_on_after(timeout_s):
            while self._log.last == self.number and not self.is_over:
                await self._log.changed()
        frames = [] if self.was_replaced else self._log.after(self.number)
        self.number += len(frames)
        return frames


class EventSession:
    """See `realtime.sessions.Session`. `ended(session)` is called once, when it has ended: the log remains."""

    __slots__ = (
        "_cut",
        "_ended",
        "_log",
        "_node",
        "_queue",
        "_reading",
        "_warned",
        "active_at",
        "address",
        "codec",
        "ending",
        "id",
        "is_abandoned",
        "login",
        "principal",
        "tenant",
        "token_id",
        "transport",
        "unread_since",
        "user",
    )

    def __init__(
        self,
        node: Node,
        nursery: trio.Nursery,
        principal: Principal,
        address: str,
        transport: str,
        ended: Callable[["EventSession"], None],
    ) -> None:
        gateway, settings = node.config.gateway, node.config.get(EventSettings)
        self.id = uuid7(node.clock())
        self.tenant, self.user = principal.tenant, principal.user
        self.login, self.token_id = principal.login, principal.token_id
        self.codec: Codec = EVENTS
        self.address = address
        self.transport = transport
        self.ending: tuple[Close, str] | None = None
        # The client has not come back in time.
        self.is_abandoned = False
        # In seconds of Trio's clock: since when no request reads the session.
        self.active_at = self.unread_since = trio.current_time()
        self._node = node
        self.principal = principal
        self._ended = ended
        self._warned = False
        self._reading: Reading | None = None
        self._cut: Callable[[], None] | None = None
        self._log = FrameLog(settings.replay_bytes, settings.replay_frames)
        limits = (gateway.outbox_bytes, gateway.outbox_frames, gateway.stall_timeout)
        self._queue = SendQueue(self._log, nursery, *limits)
        self._queue.behind = self._behind
        self._queue.on_drop = node.hub.broadcaster.note_dropped
        self._queue.on_stall = self._on_stall
        self._queue.on_error = self._on_error

    # --- reading --------------------------------------------------------------------------------------------------

    @property
    def is_read(self) -> bool:
        """Whether a request reads the session now."""
        return self._reading is not None

    def can_continue(self, after: int) -> bool:
        """Whether the frames after this one are here; none may be left at the end."""
        return not self.is_abandoned and self._log.has(after) and self.has_more(after)

    def has_more(self, after: int) -> bool:
        """Whether frames will come after this one, also such as wait for room in the log: `closed` at least."""
        return self.ending is None or after < self._log.last or self._queue.queued_frames > 0

    @contextmanager
    def read(self, after: int) -> Iterator[Reading]:
        """Read from the frame after this one. Requires `can_continue`. Another request that reads ends."""
        if self._reading is not None:
            self._reading.was_replaced = True
            self._log.wake()
        reading, self._cut = Reading(self, self._log, after), None
        self._reading = reading
        self._log.seek(after)
        self.active_at = trio.current_time()
        try:
            yield reading
        finally:
            self.active_at = trio.current_time()
            if self._reading is reading:
                self._reading, self._cut, self.unread_since = None, None, self.active_at

    def renew(self, principal: Principal) -> None:
        """Continue under a new token of the same user."""
        if principal.expires_at != self.principal.expires_at:
            self._warned = False
        self.principal = principal
        self.login, self.token_id = principal.login, principal.token_id

    # --- out ------------------------------------------------------------------------------------------------------

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Discard what is sent within the block, before the session is registered."""
        self._queue.close()
        yield
        self._queue.open()

    def send_nowait(self, frame: bytes, delivery: Delivery | None = None, /) -> bool:
        """See `SendQueue.send_nowait`. `behind` takes the place of an event that is too large for the log."""
        if len(frame) <= MAX_WRITE_BYTES:
            return self._queue.send_nowait(frame, delivery)
        gap = GapPosition(delivery.topic, delivery.rev) if delivery is not None and delivery.rev else GapPosition("", 0)
        return self._queue.send_nowait(self._behind(*gap[:2]), gap)

    def send_event(self, event: Event) -> None:
        """Send an event to this session alone. It is never dropped."""
        self._queue.send_nowait(self.codec.frame_of(event))

    def _behind(self, topic: str, rev: int) -> bytes:
        return self.codec.frame_of(feed_class(topic).gap_event(topic, rev) if topic else SessionBehind())

    def info(self) -> SessionInfo:
        """What operators may see: no content and no address."""
        idle_s = 0.0 if self.is_read else trio.current_time() - self.active_at
        return SessionInfo(
            id=self.id,
            tenant=self.tenant,
            user=self.user,
            codec=self.codec.name,
            login=self.login,
            connected_at=made_at(self.id),
            active_at=self._node.clock() - round(idle_s * 1000),
            queued_bytes=self._queue.queued_bytes,
            queued_frames=self._queue.queued_frames,
            expires_at=self.principal.expires_at,
            address=shown_address(self._node, self.address),
            transport=self.transport,
        )

    # --- end ------------------------------------------------------------------------------------------------------

    def request_close(self, close: str, reason: str = "") -> None:
        """End the session with a close of the table `CLOSES`, which the client gets as the last frame."""
        if self.ending is not None:
            return
        row = CLOSES[close]
        self.ending = (row, reason or close)
        self._queue.close()
        if close == "slow":
            self._queue.discard()
        closed = Closed(code=row.code, name=row.name, reason=reason or close, reconnect=row.may_return)
        self._queue.send_close(self.codec.frame_of(closed))
        self._ended(self)
        self._log.wake()
        if self._reading is not None and self._cut is not None:
            self._cut()

    def on_end(self, cut: Callable[[], None]) -> None:
        """Call `cut` when the session ends, if the request that reads it now still does."""
        self._cut = cut
        if self.ending is not None:
            cut()

    def abandon(self) -> None:
        """End the session without a close, because its client is gone. Nothing is left to read."""
        self.is_abandoned = True
        self._queue.abandon()
        self._log.close()
        if self.ending is None:
            self._ended(self)

    def _on_stall(self) -> None:
        """The client takes nothing. Between two requests that is no wonder: see `EventSettings.grace`."""
        if self.is_read:
            self.request_close("slow")

    def _on_error(self, error: Exception) -> None:
        """The writer has failed: end this session only."""
        LOG.error("the writer of an event session failed", exc_info=error, extra={"session": self.id})
        self.abandon()

    def on_timer(self) -> float | None:
        """Check that the client still comes, and its token. Called by the timer wheel; returns seconds until the next
        check.
        """
        if self.ending is not None or self.is_abandoned:
            return None
        expiry = expiry_of(self._node, self.principal.expires_at, warned=self._warned)
        if expiry.step is ExpiryStep.CLOSE:
            self.request_close("token_expired")
            return None
        if expiry.step is ExpiryStep.WARN:
            self._warned = True
            self.send_event(TokenExpiring(expires_at=self.principal.expires_at))
        grace_s = self._node.config.get(EventSettings).grace
        unread_s = 0.0 if self.is_read else trio.current_time() - self.unread_since
        if unread_s >= grace_s:
            self.abandon()
            return None
        return min(grace_s - unread_s, expiry.next_s)
