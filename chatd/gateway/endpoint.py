"""Authentication of WebSocket handshakes, and the life of the session that follows."""

from dataclasses import dataclass

from chatd.app.command_metrics import BY_PEER, CommandMetrics
from chatd.app.maintenance import Maintenance
from chatd.core import log
from chatd.core.errors import Refused
from chatd.core.identity import Principal
from chatd.gateway.fast_path import FastPathStream
from chatd.gateway.handshake import Handshake, Rejected
from chatd.gateway.session import Session, SessionDeps
from chatd.gateway.sign_in import enter, identify_peer
from chatd.realtime.drain import Drain
from chatd.realtime.event_filter import EventFilter
from chatd.realtime.pending_session import PendingSession
from chatd.realtime.signals import SessionOpened
from chatd.wire.codec import Codec

LOG = log.get(__name__)


@dataclass(frozen=True, slots=True)
class AuthenticatedPeer:
    """The user, codec and conversations of an accepted handshake."""

    principal: Principal
    codec: Codec
    pending: PendingSession


class GatewayEndpoint:
    """Authenticates handshakes and runs their sessions. See `listener.Endpoint`."""

    def __init__(self, deps: SessionDeps, codecs: dict[str, Codec], drain: Drain) -> None:
        self._deps = deps
        self._codecs = codecs
        self._drain = drain

    def choose_subprotocol(self, handshake: Handshake) -> str | None:
        """The first offered subprotocol that has a codec."""
        return next((name for name in handshake.subprotocols if name in self._codecs), None)

    def codec(self, handshake: Handshake) -> Codec | None:
        """The codec of the chosen subprotocol, else of `?codec=`, else msgpack. None if it is not supported."""
        if handshake.subprotocols:
            chosen = self.choose_subprotocol(handshake)
            return self._codecs[chosen] if chosen else None
        default = next(iter(self._codecs.values()))
        wanted = handshake.query.get("codec", default.name)
        return next((codec for codec in self._codecs.values() if codec.name == wanted), None)

    async def authenticate(self, handshake: Handshake) -> AuthenticatedPeer:
        """Sign the peer in. Raises Rejected."""
        if self._drain.under_way:
            retry = {"Retry-After": str(self._drain.retry_after)}
            raise Rejected(503, "maintenance", "the server is about to stop", headers=retry)
        codec = self.codec(handshake)
        if codec is None:
            raise Rejected(400, "bad_request", f"supported subprotocols: {', '.join(self._codecs)}")
        try:
            return await self._sign_in(handshake, codec)
        except Refused as refused:
            raise rejection(refused) from None

    async def _sign_in(self, handshake: Handshake, codec: Codec) -> AuthenticatedPeer:
        node = self._deps.node
        principal = await identify_peer(node, handshake.address, handshake.bearer, handshake.query)
        return AuthenticatedPeer(principal, codec, await enter(node, principal, handshake.address))

    async def serve(self, stream: FastPathStream, handshake: Handshake, peer: AuthenticatedPeer) -> None:
        """Run the session of the connection, from `connected` to its close."""
        deps = self._deps
        session = Session(deps, stream, peer.codec, peer.principal, handshake.address)
        with session.silent():
            await deps.node.hub.subscriptions.subscribe_in_batches(session, peer.pending)
        session.send_hello(
            handshake.accepted(self.choose_subprotocol(handshake)),
            maintenance=self._drain.under_way or deps.node.get(Maintenance).enabled,
        )
        if peer.principal.is_bot:
            deps.node.get(EventFilter).attach(session)
        deps.node.hub.register(session, peer.pending)
        deps.node.signals.send_sync(SessionOpened(peer.pending))
        # The headers and the pending session would be kept as long as the session.
        del handshake, peer
        LOG.debug("connected", extra={"session": session.id, "tenant": session.tenant, "user": session.user})
        timer = deps.wheel.schedule(0, session.on_heartbeat)
        try:
            stream.open(session.rules())
            await session.run()
        finally:
            timer.cancel()
            ending = session.ending[0].name if session.ending else BY_PEER
            LOG.debug("closed", extra={"session": session.id, "user": session.user, "close": ending})
            deps.node.get(CommandMetrics).closes[ending] += 1
            await deps.node.hub.end(session)
            # A filter refers to the session.
            session.send_nowait = stream.send_nowait


def rejection(refused: Refused) -> Rejected:
    """Convert a refusal to the answer of a handshake."""
    headers = {} if refused.retry_after is None else {"Retry-After": str(max(1, round(refused.retry_after)))}
    if refused.code == "unauthenticated":
        headers["WWW-Authenticate"] = "Bearer"
    return Rejected(refused.row.status, refused.code, refused.message, headers=headers, details=refused.details)
