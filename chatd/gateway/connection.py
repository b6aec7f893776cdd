"""Who may come in by the socket, and what happens to them: the house behind the listener."""

from dataclasses import dataclass

import trio
from trio_websocket import WebSocketConnection

from chatd.accounts.authentication import SignIn
from chatd.app.command_metrics import BY_PEER, CommandMetrics
from chatd.app.maintenance import Maintenance
from chatd.core import log
from chatd.core.errors import Refused
from chatd.core.identity import Principal
from chatd.gateway.fast_path import Lane
from chatd.gateway.handshake import Handshake, Rejected
from chatd.gateway.listener import House
from chatd.gateway.session import Desk, Session
from chatd.realtime.drain import Drain
from chatd.realtime.pending_session import Arrival
from chatd.realtime.signals import SessionClosed, SessionOpened
from chatd.wire.codec import Codec

LOG = log.get(__name__)


@dataclass(frozen=True, slots=True)
class Guest:
    """Somebody who was let in, what they speak, and the conversations they hear."""

    principal: Principal
    codec: Codec
    arrival: Arrival


class Door:
    """Authenticates a handshake and runs the session that follows."""

    def __init__(self, desk: Desk, codecs: dict[str, Codec], drain: Drain) -> None:
        self._desk = desk
        self._codecs = codecs
        self._drain = drain

    def house(self) -> House[Guest]:
        return House(self.authenticate, self.choose, self.serve)

    def choose(self, handshake: Handshake) -> str | None:
        """The first offered subprotocol that is spoken here."""
        return next((name for name in handshake.subprotocols if name in self._codecs), None)

    def codec(self, handshake: Handshake) -> Codec | None:
        """Of the chosen subprotocol; where none was offered of `?codec=`, else msgpack. None: not spoken here."""
        if handshake.subprotocols:
            chosen = self.choose(handshake)
            return self._codecs[chosen] if chosen else None
        default = next(iter(self._codecs.values()))
        wanted = handshake.query.get("codec", default.name)
        return next((codec for codec in self._codecs.values() if codec.name == wanted), None)

    async def authenticate(self, handshake: Handshake) -> Guest:
        """Raises Rejected."""
        if self._drain.under_way:
            retry = {"Retry-After": str(self._drain.retry_after)}
            raise Rejected(503, "maintenance", "the server is about to stop", headers=retry)
        codec = self.codec(handshake)
        if codec is None:
            raise Rejected(400, "bad_request", f"spoken here: {', '.join(self._codecs)}")
        try:
            return await self._sign_in(handshake, codec)
        except Refused as refused:
            raise rejection(refused) from None

    async def _sign_in(self, handshake: Handshake, codec: Codec) -> Guest:
        node = self._desk.node
        token, now = handshake.bearer, node.clock()
        ticket, in_query = handshake.query.get("ticket"), handshake.query.get("token")
        if token is None and in_query is not None:
            if node.config.auth.query_token:
                token = in_query
            elif ticket is None:
                raise Refused("unauthenticated", "`?token=` is off (auth.query_token); use a header, a subprotocol or `?ticket=`")
        principal = await node.get(SignIn).principal(handshake.address, token=token, ticket=ticket, now=now)
        penalty_s = self._desk.penalties.left((principal.tenant, principal.user), trio.current_time())
        if penalty_s:
            raise Refused("rate_limited", "a connection of yours was closed for flooding", retry_after=penalty_s)
        if node.hub.sessions_of(principal.tenant, principal.user) >= node.config.limits.sessions_per_user:
            raise Refused("rate_limited", "too many connections of this user", retry_after=30)
        arrival = node.hub.expect(principal.tenant, principal.user)
        await node.get(SignIn).enter(principal, handshake.address, now, arrival)
        return Guest(principal, codec, arrival)

    async def serve(self, connection: WebSocketConnection, lane: Lane, handshake: Handshake, guest: Guest) -> None:
        """From the greeting to the goodbye."""
        desk = self._desk
        session = Session(desk, lane, guest.codec, guest.principal, handshake.address)
        with session.silent():
            await desk.node.hub.enter_most(session, guest.arrival)
        desk.node.hub.attach(session, guest.arrival)
        desk.node.signals.send_sync(SessionOpened(guest.arrival))
        session.greet(maintenance=self._drain.under_way or desk.node.get(Maintenance).enabled)
        LOG.debug("connected", extra={"session": session.id, "tenant": session.tenant, "user": session.user})
        timer = desk.wheel.schedule(0, session.beat)
        try:
            lane.open(session.rules())
            await session.run(connection)
        finally:
            timer.cancel()
            hub = desk.node.hub
            stopped = hub.typing.stop_all(session.id, trio.current_time())
            typing_in = [conversation for conversation in stopped if hub.is_member(session.id, conversation)]
            await hub.leave_most(session)
            hub.detach(session)
            ending = session.ending[0].name if session.ending else BY_PEER
            LOG.debug("closed", extra={"session": session.id, "user": session.user, "close": ending})
            desk.node.get(CommandMetrics).closes[ending] += 1
            await desk.node.signals.send(SessionClosed(session.tenant, session.user, typing_in))


def rejection(refused: Refused) -> Rejected:
    """A refusal as the answer to a handshake."""
    headers = {} if refused.retry_after is None else {"Retry-After": str(max(1, round(refused.retry_after)))}
    if refused.code == "unauthenticated":
        headers["WWW-Authenticate"] = "Bearer"
    return Rejected(refused.row.status, refused.code, refused.message, headers=headers, details=refused.details)
