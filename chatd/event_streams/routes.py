"""GET /v1/events: the events of a session as Server-Sent Events, or as a long poll. See docs/protocol.md.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from collections.abc import AsyncIterator
from typing import NamedTuple

import msgspec
from quart import Response, g, request
from quart_trio import QuartTrio

from chatd.app.context import Node
from chatd.app.rate_limits import UserLimits
from chatd.core.addresses import parse_networks
from chatd.core.errors import Refused
from chatd.event_streams.positions import Position
from chatd.event_streams.readings import ClientFrames
from chatd.event_streams.settings import EventSettings
from chatd.gateway.sign_in import identify_peer
from chatd.http.asgi_guard import PEER
from chatd.http.long_answers import EVENT_STREAM, held
from chatd.http.responses import HEADERS, refused_answer
from chatd.http.rest import offered_token, query, request_address
from chatd.http.slots import Bounds, Owners, Slots
from chatd.http.stream import BoundedStream
from chatd.realtime.sessions import POLL, SSE

POSITION_HEADER = "Chatd-Position"
# Proxies must not collect the parts of the response.
UNBUFFERED = {"X-Accel-Buffering": "no"}
NAMES = {"after", "wait", "ticket", "token"}
# How soon an EventSource reconnects by itself, in milliseconds; and a first part, so that proxies pass the head on.
PREAMBLE = b"retry: 1000\n: chatd\n\n"
HEARTBEAT = b":\n\n"
# Frames are sent together, up to this many bytes.
MAX_PART_BYTES = 65_536


class Asked(NamedTuple):
    """What a request asks for. `wait_s`: None for a stream."""

    position: Position | None
    wait_s: float | None


def asked_for(fields: dict[str, str], max_wait_s: float) -> Asked:
    """Raises Refused: `bad_request`."""
    for name in fields.keys() - NAMES:
        raise Refused("bad_request", f"$: object contains unknown field {name[:64]}")
    after = fields.get("after") or request.headers.get("Last-Event-ID", "")
    position = Position.read(after) if after else None
    if "wait" not in fields:
        return Asked(position, None)
    try:
        wait_s = msgspec.convert(fields["wait"], float, strict=False)
    except msgspec.ValidationError:
        wait_s = -1.0
    if not wait_s >= 0:
        raise Refused("bad_request", "$.wait: expected seconds, 0 or more")
    return Asked(position, min(wait_s, max_wait_s))


def add_routes(app: QuartTrio, node: Node) -> None:
    proxies, owners, settings = (
        parse_networks(node.config.gateway.trusted_proxies),
        Owners(node.config),
        node.config.get(EventSettings),
    )
    limits = node.config.limits
    slots = Slots(
        "requests for events", Bounds(limits.sessions_per_user, limits.connections_per_address, settings.max_requests)
    )

    async def events() -> Response:
        if request.method == "HEAD":
            # It would begin a session that nobody reads.
            return Response(b"", 405, {**HEADERS, "Allow": "GET"})
        try:
            address, fields = request_address(proxies), query()
            asked = asked_for(fields, settings.max_wait)
            who = g.who = await identify_peer(node, address, offered_token(), fields)
            node.get(UserLimits).charge(who.tenant, who.user, 1)
            held().enter_context(slots.reserve(owners.of(who, address)))
            frames = ClientFrames(node, who, address, POLL if asked.wait_s is not None else SSE, held())
            await frames.begin(asked.position)
            if asked.wait_s is not None:
                return poll_response(await frames.next(asked.wait_s), frames.position)
            return stream_response(node, frames, await frames.next(0))
        except Refused as refused:
            return refused_answer(node, refused)

    app.add_url_rule("/v1/events", "events", events, methods=["GET"])


def poll_response(frames: list[bytes], position: str) -> Response:
    body = b"[" + b",".join(frames) + b"]"
    headers = {**HEADERS, **UNBUFFERED, POSITION_HEADER: position}
    return Response(body, 200, headers, content_type="application/json")


def stream_response(node: Node, frames: ClientFrames, first: list[bytes]) -> Response:
    peer: BoundedStream = request.scope["state"][PEER]
    headers = {**HEADERS, **UNBUFFERED, "Connection": "close"}
    response = Response(stream(node, peer, frames, first), 200, headers, content_type=EVENT_STREAM)
    # Each part has a timeout, see `BoundedStream`.
    response.timeout = None
    return response


async def stream(node: Node, peer: BoundedStream, frames: ClientFrames, first: list[bytes]) -> AsyncIterator[bytes]:
    """The parts of the response, until the session ends or another request reads it."""
    gateway, found, session = node.config.gateway, first, None
    peer.unbound_answer()
    yield PREAMBLE
    while True:
        if session is not frames.session and frames.session is not None:
            # A client that reads nothing must not keep a session that has ended.
            session = frames.session
            session.on_end(lambda: peer.end_within(gateway.close_timeout))
        for part in parts_of(found, frames):
            yield part
        if frames.is_over:
            return
        if not found:
            yield HEARTBEAT
        try:
            found = await frames.next(gateway.heartbeat)
        except Refused:
            # No status can follow: the client gets it by its next request.
            return


def parts_of(found: list[bytes], frames: ClientFrames) -> list[bytes]:
    """The frames as events, with their positions, some at a time."""
    parts, part = list[bytes](), bytearray()
    for number, frame in enumerate(found, start=frames.number - len(found) + 1):
        part += b"id: %b%d\ndata: %b\n\n" % (frames.prefix, number, frame)
        if len(part) >= MAX_PART_BYTES:
            parts.append(bytes(part))
            part.clear()
    return [*parts, bytes(part)] if part else parts
