"""A session: one authenticated connection, from `connected` to its close.

The stream calls `decode` for each message, and runs what it returns; everything that is sent passes `send_nowait`. Any
task can end the session by `request_close`; the task of the session then sends the close frame.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import trio
from msgspec import UNSET, Raw

from chatd.accounts.bans import address_hashes
from chatd.app.context import Ctx, Node
from chatd.app.dispatch import begin_command, is_at_once, pipeline_of, refuse, run_command
from chatd.app.encoding import Answer, EncodedResult
from chatd.app.rate_limits import check
from chatd.app.registry import Row
from chatd.core import log
from chatd.core.errors import CLOSES, Close, Refused
from chatd.core.identity import Principal
from chatd.core.ids import made_at, uuid7
from chatd.core.rate_limit import TokenBucket
from chatd.gateway.fast_path import FastPathStream
from chatd.gateway.frame_rules import FrameRules
from chatd.gateway.penalties import Penalties
from chatd.gateway.token_expiry import ExpiryStep, expiry_of
from chatd.realtime.feeds import feed_class
from chatd.realtime.sessions import WEBSOCKET, SessionInfo
from chatd.realtime.timer_wheel import TimerWheel
from chatd.wire.base import Command, Error, Event, error_of
from chatd.wire.codec import BadBody, Codec, NotAFrame
from chatd.wire.connection_events import Connected, ConnectionLimits, SessionBehind, TokenExpiring, refusal_of
from chatd.wire.frames import encode_frame, frame_head

LOG = log.get(__name__)

# Commands refused at this multiple of the allowed rate close the session as flooding.
FLOOD_FACTOR = 4
# Digits of the hash of an address that are shown to operators.
ADDRESS_DIGITS = 16
PING = encode_frame(0x9, b"")
# The body of a message that cannot be read.
NO_BODY = Raw()
ALWAYS_ANSWERED = "this command is always answered; choose an id from 1 to 2^32-1"


@dataclass(frozen=True, slots=True)
class SessionDeps:
    """What all sessions of this process share."""

    node: Node
    rows: dict[type[Command], Row]
    wheel: TimerWheel


class Call:
    """A command of a session, with its context. See `commands_in_flight.Call`."""

    __slots__ = ("_session", "at_once", "command", "ctx", "pipeline", "row")

    def __init__(self, session: "Session", row: Row, ctx: Ctx, command: Command) -> None:
        self._session = session
        self.row = row
        self.ctx = ctx
        self.command = command
        self.at_once = is_at_once(row, ctx, command)
        key = None if self.at_once else pipeline_of(row, ctx, command)
        self.pipeline = None if key is None else (row.command, key)

    async def run(self) -> None:
        await self._session.run_call(self)

    async def begin(self, done: Callable[[], None]) -> None:
        await self._session.begin_call(self, done)


class Refusal:
    """The refusal of a message that is not a command, at its place among the answers. See `commands_in_flight.Call`."""

    __slots__ = ("_refuse",)
    at_once = True
    pipeline = None

    def __init__(self, refuse: Callable[[], None]) -> None:
        self._refuse = refuse

    async def run(self) -> None:
        self._refuse()

    async def begin(self, done: Callable[[], None]) -> None:
        raise NotImplementedError


class Session:
    """An authenticated connection. `chatd.realtime.sessions.Session` is the interface for other code."""

    __slots__ = (
        "_attended_at",
        "_bucket",
        "_deps",
        "_flood",
        "_node",
        "_principal",
        "_running",
        "_scope",
        "_stream",
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
    transport: ClassVar[str] = WEBSOCKET

    def __init__(
        self, deps: SessionDeps, stream: FastPathStream, codec: Codec, principal: Principal, address: str
    ) -> None:
        limits = deps.node.config.limits
        self.id = uuid7(deps.node.clock())
        self.tenant, self.user = principal.tenant, principal.user
        self.login, self.token_id = principal.login, principal.token_id
        self.codec = codec
        self.ending: tuple[Close, str] | None = None
        self._deps = deps
        self._node = deps.node
        self._stream = stream
        # See `SendQueue.send_nowait`. All frames of the session pass here.
        self.send_nowait = stream.send_nowait
        self._principal = principal
        self.address = address
        self._scope = trio.CancelScope()
        # Commands that have no answer yet.
        self._running = 0
        # When the peer was last seen waiting for this session, and not the reverse.
        self._attended_at = float("-inf")
        self._warned = False
        self._bucket = TokenBucket(limits.commands_per_second, limits.commands_burst)
        self._flood = TokenBucket(limits.commands_per_second * FLOOD_FACTOR, limits.commands_burst * FLOOD_FACTOR)

    def rules(self) -> FrameRules:
        """What the peer may send."""
        settings = self._node.config.gateway
        rate = self._node.config.limits.control_frames_per_second
        control = TokenBucket(rate, 2 * rate)
        opcodes = (self.codec.opcode,)
        return FrameRules(
            self.decode,
            self.request_close,
            opcodes,
            settings.max_message_bytes,
            settings.max_frames,
            control,
            behind=self._behind,
            dropped=self._node.hub.broadcaster.note_dropped,
        )

    def _behind(self, topic: str, rev: int) -> bytes:
        return self.codec.frame_of(feed_class(topic).gap_event(topic, rev) if topic else SessionBehind())

    async def run(self) -> None:
        """Serve until the peer disconnects or the session is closed; then send the close frame."""
        with self._scope:
            await self._stream.run()
        self._stream.close_output()
        if self.ending is not None:
            close, reason = self.ending
            await self._stream.close(close.code, reason, self._node.config.gateway.close_timeout)

    # --- in -------------------------------------------------------------------------------------------------------

    def decode(self, opcode: int, payload: bytes) -> "Call | Refusal | None":
        """Decode a message of the peer. Returns what to do with it; None after the end of the session.

        Commands of one connection are answered one after another, in the order of sending.
        """
        if self.ending is not None:
            return None
        try:
            frame_id, body = self.codec.open_envelope(payload)
        except NotAFrame as error:
            return Refusal(partial(self.request_close, "protocol_error", str(error)))
        except BadBody as refused:
            return Refusal(partial(self._refuse, self._context(refused.frame_id, NO_BODY), error_of(refused)))
        ctx = self._context(frame_id, body)
        try:
            command = self.codec.decode_command(body, self._node.config.gateway.max_depth)
            row = self._deps.rows[type(command)]
            if not (frame_id or row.unanswered):
                raise Refused("bad_request", ALWAYS_ANSWERED)
            check(self._bucket, row.cost, self._stream.last_activity)
        except Refused as refused:
            # Not the exception: it refers to this frame, which refers to what is returned.
            return Refusal(partial(self._refuse, ctx, error_of(refused)))
        return Call(self, row, ctx, command)

    async def run_call(self, call: "Call") -> None:
        """Run a command. The session ends only when it is finished, if the node drains."""
        if self.ending is not None:
            return
        self._running += 1
        try:
            await run_command(call.row, call.ctx, call.command, at_once=call.at_once)
        finally:
            self._note_answered()

    async def begin_call(self, call: "Call", done: Callable[[], None]) -> None:
        """Begin a command with a pipeline, and call `done` when it is answered. Otherwise like `run_call`."""
        if self.ending is not None:
            done()
            return

        def answered() -> None:
            self._note_answered()
            done()

        self._running += 1
        await begin_command(call.row, call.ctx, call.command, answered)

    def _note_answered(self) -> None:
        self._running -= 1
        if self.ending is not None and not self._running:
            self._scope.cancel()

    def _refuse(self, ctx: Ctx, error: Error) -> None:
        """Answer with a refusal, or close a session that floods."""
        if self._flood.take(self._stream.last_activity) > 0:
            self.request_close("flooding")
        else:
            refuse(ctx, error)

    def _context(self, frame_id: int, body: Raw) -> Ctx:
        def answer(result: Answer) -> None:
            if not frame_id:
                self._report_refusal(body, result)
            elif isinstance(result, EncodedResult):
                self.send_nowait(self._long_reply(frame_id, result))
            else:
                self.send_nowait(encode_frame(self.codec.opcode, self.codec.encode_reply(frame_id, result)))

        return Ctx(
            self._node,
            self._principal,
            self.id,
            self.address,
            self._node.clock(),
            answer,
            self.renew,
            began=self._stream.read_at,
            format=self.codec.format,
            wants_answer=frame_id != 0,
        )

    def _report_refusal(self, body: Raw, result: Answer) -> None:
        """Answer a command under id 0: only a refusal is sent."""
        if isinstance(result, Error):
            self.send_event(refusal_of(result, self.codec.tag_in(body)))

    def _long_reply(self, frame_id: int, result: EncodedResult) -> memoryview:
        """A whole frame, without a copy of the result."""
        before, after = self.codec.reply_around(frame_id)
        length = len(before) + len(result) + len(after)
        return result.wrapped(frame_head(self.codec.opcode, length) + before, after)

    def renew(self, principal: Principal) -> None:
        """Continue under a new token of the same user."""
        self._principal = principal
        self.login, self.token_id = principal.login, principal.token_id
        self._warned = False

    # --- out ------------------------------------------------------------------------------------------------------

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Discard what is sent within the block, before the session is registered: it cannot be closed yet."""
        self._stream.close_output()
        yield
        self._stream.open_output()

    def send_event(self, event: Event) -> None:
        """Send an event to this session alone. It is never dropped."""
        self.send_nowait(encode_frame(self.codec.opcode, self.codec.encode_event(event)))

    def send_hello(self, response: bytes, *, maintenance: bool) -> None:
        """Answer the handshake with this response and `connected`, the first event."""
        hello = connected(self._node, self.id, self._principal, maintenance=maintenance)
        self.send_nowait(response + self.codec.frame_of(hello))

    def info(self) -> SessionInfo:
        """What operators may see: no content and no address."""
        now, queue = self._node.clock(), self._stream.statistics()
        silence = trio.current_time() - self._stream.last_activity
        return SessionInfo(
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
            address=shown_address(self._node, self.address),
        )

    # --- end ------------------------------------------------------------------------------------------------------

    def request_close(self, close: str, reason: str = "") -> None:
        """End the session with a close of the table `CLOSES`.

        A running command is finished first if the node drains.
        """
        if self.ending is None:
            if close == "flooding":
                penalty_s = self._node.get(Penalties).add((self.tenant, self.user), trio.current_time())
                reason = f"retry_in_ms={penalty_s * 1000:.0f}"
                self._stream.mute()
            self.ending = (CLOSES[close], reason or close)
            if close != "going_away":
                self._stream.close_output(discard=close == "slow")
                self._stream.send_close(self.ending[0].code, self.ending[1])
            if not (self._running and close == "going_away"):
                self._scope.cancel()

    def abort(self) -> None:
        """End the session without a close frame, because the peer is gone."""
        self._scope.cancel()

    def on_heartbeat(self) -> float | None:
        """Check that the peer is alive and the token valid.

        Called by the timer wheel; returns seconds until the next check.
        """
        now, heartbeat = trio.current_time(), self._node.config.gateway.heartbeat
        if self._running or not self._stream.is_reading:
            self._attended_at = now
        silence = now - max(self._stream.last_activity, self._attended_at)
        if silence >= 2 * heartbeat:
            self.abort()
            return None
        if now - self._stream.last_activity >= heartbeat:
            self.send_nowait(PING)
        # One ping is enough, TCP repeats it. The next check is at the deadline of its answer.
        next_check = heartbeat if silence < heartbeat else 2 * heartbeat
        return min(next_check - silence, self._seconds_to_expiry())

    def _seconds_to_expiry(self) -> float:
        """Warn before the token expires, and close after."""
        step, next_s = expiry_of(self._node, self._principal.expires_at, warned=self._warned)
        if step is ExpiryStep.CLOSE:
            self.request_close("token_expired")
        elif step is ExpiryStep.WARN:
            self._warned = True
            self.send_event(TokenExpiring(expires_at=self._principal.expires_at))
        return next_s


def shown_address(node: Node, address: str) -> str:
    """An address as operators see it: the start of a keyed hash; "" if it is not an address."""
    hashes = address_hashes(node.config, address)
    return hashes[0].hex()[:ADDRESS_DIGITS] if hashes else ""


def connected(node: Node, session: str, principal: Principal, *, maintenance: bool) -> Connected:
    """The first event of a session."""
    return Connected(
        session=session,
        user=principal.user,
        tenant=principal.tenant,
        server_time=node.clock(),
        heartbeat=node.config.gateway.heartbeat,
        expires_at=principal.expires_at,
        limits=connection_limits(node),
        maintenance=maintenance,
        external_id=principal.external_id or UNSET,
    )


def connection_limits(node: Node) -> ConnectionLimits:
    gateway, limits = node.config.gateway, node.config.limits
    return ConnectionLimits(
        max_message=gateway.max_message_bytes,
        max_frames=gateway.max_frames,
        max_text=limits.text_bytes,
        commands_per_second=limits.commands_per_second,
        commands_burst=limits.commands_burst,
    )
