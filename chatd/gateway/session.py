"""One connection: who it is, what it may send, and its end.

Frames come in through `receive`, which the lane calls in its own task; everything that goes out passes `send_nowait`.
Whoever wants the session to end says `close_soon`; its own task then says goodbye with the close code and lets go.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import trio
from trio_websocket import WebSocketConnection

from chatd.accounts.bans import address_hashes
from chatd.app.context import Ctx, Node
from chatd.app.dispatch import refuse, run_command
from chatd.app.rate_limits import check
from chatd.app.registry import Row
from chatd.core import log
from chatd.core.errors import CLOSES, Close, Refused
from chatd.core.identity import Principal
from chatd.core.ids import made_at, uuid7
from chatd.core.rate_limit import TokenBucket
from chatd.gateway.fast_path import Lane
from chatd.gateway.limits import Rules
from chatd.gateway.listener import say_goodbye
from chatd.gateway.penalties import Penalties
from chatd.gateway.send_queue import Mark
from chatd.realtime.subscriptions import SessionLine
from chatd.realtime.timer_wheel import Wheel
from chatd.wire.base import Command, Event, Result
from chatd.wire.codec import BadBody, Codec, NotAFrame
from chatd.wire.connection_events import Behind, Connected, ConnectionLimits, SessionBehind, TokenExpiring
from chatd.wire.frames import encode_frame

LOG = log.get(__name__)

# Commands refused at this many times the rate that is allowed are not answered any more: the session is flooding.
FLOOD = 4
# `token.expiring` is sent so many milliseconds before.
WARNING_MS = 60_000
# Digits of the hash of an address that are shown.
HASH = 16
PING = encode_frame(0x9, b"")


@dataclass(frozen=True, slots=True)
class Desk:
    """What all sessions of this process share."""

    node: Node
    rows: dict[type[Command], Row]
    wheel: Wheel
    penalties: Penalties = field(default_factory=Penalties)


class Session:
    """A connection that was let in. See `chatd.realtime.subscriptions.Session` for what others may use."""

    __slots__ = (
        "_attended_at",
        "_bucket",
        "_busy",
        "_desk",
        "_flood",
        "_lane",
        "_node",
        "_principal",
        "_scope",
        "_warned",
        "address",
        "codec",
        "ending",
        "id",
        "login",
        "send_nowait",
        "tenant",
        "token_id",
        "user",
    )

    def __init__(self, desk: Desk, lane: Lane, codec: Codec, principal: Principal, address: str) -> None:
        limits = desk.node.config.limits
        self.id = uuid7(desk.node.clock())
        self.tenant, self.user = principal.tenant, principal.user
        self.login, self.token_id = principal.login, principal.token_id
        self.codec = codec
        self.ending: tuple[Close, str] | None = None
        self._desk = desk
        self._node = desk.node
        self._lane = lane
        # Put a whole WebSocket frame on its way; False when it is dropped. Every delivery passes here.
        self.send_nowait = lane.send_nowait
        self._principal = principal
        self.address = address
        self._scope = trio.CancelScope()
        self._busy = False
        # When it was last seen that the peer waits for this session, and not this session for the peer.
        self._attended_at = float("-inf")
        self._warned = False
        self._bucket = TokenBucket(limits.commands_per_second, limits.commands_burst)
        self._flood = TokenBucket(limits.commands_per_second * FLOOD, limits.commands_burst * FLOOD)

    def rules(self) -> Rules:
        """What the lane lets through."""
        settings = self._node.config.gateway
        rate = self._node.config.limits.control_frames_per_second
        control = TokenBucket(rate, 2 * rate)
        opcodes = (self.codec.opcode,)
        return Rules(
            self.receive,
            self.close_soon,
            opcodes,
            settings.max_message_bytes,
            settings.max_frames,
            control,
            behind=self._behind,
            dropped=self._node.hub.note_dropped,
        )

    def _behind(self, conversation: str, rev: int) -> bytes:
        event: Event = Behind(conversation=conversation, rev=rev) if conversation else SessionBehind()
        return self.codec.frame_of(event)

    async def run(self, connection: WebSocketConnection) -> None:
        """Serve until the peer hangs up or somebody says `close_soon`; then say goodbye."""
        with self._scope:
            await self._lane.pump(connection)
        self.send_nowait = unheard
        if self.ending is not None:
            close, reason = self.ending
            await say_goodbye(connection, close.code, reason, self._node.config.gateway.close_timeout)

    # --- in -------------------------------------------------------------------------------------------------------------

    async def receive(self, opcode: int, payload: bytes) -> None:
        """One message from the peer. Commands of one connection run one after the other, in the order they were sent."""
        if self.ending is not None:
            return
        self._busy = True
        try:
            await self._receive(payload)
        finally:
            self._busy = False
            if self.ending is not None:
                self._scope.cancel()

    async def _receive(self, payload: bytes) -> None:
        try:
            frame_id, body = self.codec.open_envelope(payload)
        except NotAFrame as error:
            self.close_soon("protocol_error", str(error))
            return
        except BadBody as refused:
            self._refuse(self._context(refused.frame_id), refused)
            return
        ctx = self._context(frame_id)
        try:
            command = self.codec.decode_command(body, self._node.config.gateway.max_depth)
            row = self._desk.rows[type(command)]
            check(self._bucket, row.cost, self._lane.last_activity)
        except Refused as refused:
            self._refuse(ctx, refused)
            return
        await run_command(row, ctx, command)

    def _refuse(self, ctx: Ctx, refused: Refused) -> None:
        """Say no, but not without end."""
        if self._flood.take(self._lane.last_activity) > 0:
            self.close_soon("flooding")
        else:
            refuse(ctx, refused)

    def _context(self, frame_id: int) -> Ctx:
        def answer(result: Result) -> None:
            self.send_nowait(encode_frame(self.codec.opcode, self.codec.encode_reply(frame_id, result)))

        return Ctx(
            self._node,
            self._principal,
            self.id,
            self.address,
            self._node.clock(),
            answer,
            self._renew,
            began=self._lane.read_at,
            encode=self.codec.encode,
        )

    def _renew(self, principal: Principal) -> None:
        self._principal = principal
        self.login, self.token_id = principal.login, principal.token_id
        self._warned = False

    # --- out ------------------------------------------------------------------------------------------------------------

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Nothing is sent within it. For the time before the session is attached: nobody can close it yet."""
        self.send_nowait = unheard
        yield
        self.send_nowait = self._lane.send_nowait

    def send_event(self, event: Event) -> None:
        """To this session alone; it is not dropped."""
        self.send_nowait(encode_frame(self.codec.opcode, self.codec.encode_event(event)))

    def greet(self, *, maintenance: bool) -> None:
        """The first frame: what the client has to know of this connection."""
        node = self._node
        self.send_event(
            Connected(
                session=self.id,
                user=self.user,
                tenant=self.tenant,
                server_time=node.clock(),
                heartbeat=node.config.gateway.heartbeat,
                expires_at=self._principal.expires_at,
                limits=connection_limits(node),
                maintenance=maintenance,
            )
        )

    def statistics(self) -> SessionLine:
        """As an operator may see it: nothing of what was said, no address."""
        now, queue = self._node.clock(), self._lane.statistics()
        silence = trio.current_time() - self._lane.last_activity
        hashes = address_hashes(self._node.config, self.address)
        return SessionLine(
            id=self.id,
            tenant=self.tenant,
            user=self.user,
            codec=self.codec.name,
            login=self.login,
            connected_at=made_at(self.id),
            active_at=now - round(silence * 1000),
            queued_bytes=queue["queued_bytes"],
            queued_frames=queue["queued_frames"],
            expires_at=self._principal.expires_at,
            address=hashes[0].hex()[:HASH] if hashes else "",
        )

    # --- its end --------------------------------------------------------------------------------------------------------

    def close_soon(self, close: str, reason: str = "") -> None:
        """End the session with this row of the table of closes. A drain lets the command that is running finish."""
        if self.ending is None:
            if close == "flooding":
                reason = f"retry_in_ms={self._desk.penalties.add((self.tenant, self.user), trio.current_time()) * 1000:.0f}"
                self._lane.mute()
            self.ending = (CLOSES[close], reason or close)
            if close != "going_away":
                self.send_nowait = unheard
            if close == "slow":
                self._lane.discard()
            if not (self._busy and close == "going_away"):
                self._scope.cancel()

    def hang_up(self) -> None:
        """The peer is gone: nobody is there to say goodbye to."""
        self._scope.cancel()

    def beat(self) -> float | None:
        """Called by the timing wheel: is the peer there, is the token valid. Returns seconds until the next look."""
        now, heartbeat = trio.current_time(), self._node.config.gateway.heartbeat
        if not self._lane.is_reading:
            self._attended_at = now
        silence = now - max(self._lane.last_activity, self._attended_at)
        if silence >= 2 * heartbeat:
            self.hang_up()
            return None
        if now - self._lane.last_activity >= heartbeat:
            self.send_nowait(PING)
        # One ping is enough, TCP repeats it; the next look is when the answer must have come.
        next_look = heartbeat if silence < heartbeat else 2 * heartbeat
        return min(next_look - silence, self._seconds_to_expiry())

    def _seconds_to_expiry(self) -> float:
        """Warn a minute before the token ends, close when it has ended."""
        left = self._principal.expires_at - self._node.clock()
        if left <= -self._node.config.auth.leeway * 1000:
            self.close_soon("token_expired")
        elif left <= WARNING_MS and not self._warned:
            self._warned = True
            self.send_event(TokenExpiring(expires_at=self._principal.expires_at))
        return max(0.25, (left if self._warned else left - WARNING_MS) / 1000)


def unheard(_: bytes, __: Mark | None = None, /) -> bool:
    """In place of `send_nowait`: after the goodbye nothing may follow."""
    return True


def connection_limits(node: Node) -> ConnectionLimits:
    gateway, limits = node.config.gateway, node.config.limits
    return ConnectionLimits(
        max_message=gateway.max_message_bytes,
        max_frames=gateway.max_frames,
        max_text=limits.text_bytes,
        commands_per_second=limits.commands_per_second,
        commands_burst=limits.commands_burst,
    )
