"""The opening handshake (RFC 6455, section 4.2.1), read and checked before trio-websocket sees it.

trio-websocket accepts invalid requests (keys of any form, HTTP/1.0, bodies, endless headers), and a single byte that is
not ASCII ends the process. So the head is read and answered here, within bounds and strictly. When trio-websocket is
needed, it gets a new head, which contains only the key of the peer.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from urllib.parse import parse_qsl

import msgspec

from chatd.gateway.fast_path import FastPathStream

MAX_HEAD_BYTES = 16_384
MAX_NAME_BYTES = 64
MAX_HEADERS = 100
MAX_TARGET_BYTES = 8192
REQUEST = re.compile(rb"([A-Z]{1,16}) (/[\x21-\x7e]*) HTTP/(\d)\.(\d)")
# A header: name and value (RFC 9110, sections 5.1 and 5.5), without characters past ASCII.
HEADER = re.compile(rb"([!#$%%&'*+.^_`|~0-9A-Za-z-]{1,%d}):([\t\x20-\x7e]*)" % MAX_NAME_BYTES)
NOT_HTTP = re.compile(rb"[^\t\r\n\x20-\x7e]")
HOST = re.compile(r"[A-Za-z0-9.:\[\]_-]{1,255}")
# Headers that are ambiguous if sent twice.
SINGLE = frozenset({"host", "sec-websocket-key", "sec-websocket-version", "origin", "authorization", "content-length"})
BEARER_PROTOCOL = "bearer."
# RFC 6455, section 1.3.
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Rejected(Exception):
    """The handshake is answered with an HTTP error, and the connection closes."""

    def __init__(
        self, status: int, code: str, message: str, *, headers: Mapping[str, str] | None = None, details: object = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or {}
        self.details = details

    def response(self) -> bytes:
        """The whole HTTP response."""
        body = {"code": self.code, "message": self.message} | (self.details if isinstance(self.details, dict) else {})
        content = msgspec.json.encode(body)
        headers = {
            "Content-Type": "application/json",
            "Content-Length": str(len(content)),
            "Connection": "close",
            "Cache-Control": "no-store",
            **self.headers,
        }
        lines = [f"HTTP/1.1 {self.status} {HTTPStatus(self.status).phrase}", *(f"{k}: {v}" for k, v in headers.items())]
        return "\r\n".join([*lines, "", ""]).encode("ascii") + content


@dataclass(frozen=True, slots=True)
class Handshake:
    """A valid request to open a WebSocket. `address` is that of the client, behind trusted proxies too."""

    path: str
    query: dict[str, str] = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    address: str

    def with_address(self, address: str) -> "Handshake":
        return self if address == self.address else replace(self, address=address)

    @property
    def origin(self) -> str | None:
        return self.headers.get("origin")

    @property
    def subprotocols(self) -> list[str]:
        """The offered subprotocols, without credentials."""
        return [name for name in self._offered if not name.startswith(BEARER_PROTOCOL)]

    @property
    def _offered(self) -> list[str]:
        return [name.strip() for name in self.headers.get("sec-websocket-protocol", "").split(",") if name.strip()]

    @property
    def bearer(self) -> str | None:
        """The token of the Authorization header, or of an offered subprotocol `bearer.JWT`."""
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and token:
            return token.strip()
        return next((name[len(BEARER_PROTOCOL) :] for name in self._offered if name.startswith(BEARER_PROTOCOL)), None)

    def accepted(self, subprotocol: str | None) -> bytes:
        """The response that opens the WebSocket."""
        digest = hashlib.sha1(self.headers["sec-websocket-key"].encode("ascii") + GUID, usedforsecurity=False).digest()
        protocol = f"Sec-WebSocket-Protocol: {subprotocol}\r\n" if subprotocol else ""
        return (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {base64.b64encode(digest).decode()}\r\n{protocol}\r\n"
        ).encode("ascii")

    def head(self) -> bytes:
        """The head for trio-websocket."""
        return (
            "GET / HTTP/1.1\r\nHost: chatd\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {self.headers['sec-websocket-key']}\r\n\r\n"
        ).encode("ascii")


def is_for_path(head: bytes, path: str) -> bool:
    """Whether a request is for this path."""
    target = head.partition(b"\r\n")[0].split(b" ")[1:2]
    return bool(target) and target[0].partition(b"?")[0] == path.encode()


async def read_head(stream: FastPathStream) -> bytes:
    """Read the head, with its empty line. Returns b"" if the peer disconnected. Raises Rejected."""
    searched = 0
    while True:
        data = stream.peek()
        end = data.find(b"\r\n\r\n", max(0, searched - 3), MAX_HEAD_BYTES)
        if end >= 0:
            return bytes(data[: end + 4])
        if len(data) >= MAX_HEAD_BYTES:
            raise Rejected(431, "too_large", "the head of the request is too large")
        if NOT_HTTP.search(data, searched):
            raise Rejected(400, "bad_request", "expected an HTTP request")
        searched = len(data)
        if not await stream.read_more():
            return b""


def parse_head(head: bytes) -> tuple[str, dict[str, str]]:
    """Request target and headers (lower-case names). Raises Rejected."""
    request, _, block = head[:-2].partition(b"\r\n")
    match = REQUEST.fullmatch(request)
    if match is None:
        raise Rejected(400, "bad_request", "expected an HTTP request line")
    if len(match[2]) > MAX_TARGET_BYTES or block.count(b"\n") > MAX_HEADERS:
        raise Rejected(431, "too_large", "the head of the request is too large")
    if (match[3], match[4]) != (b"1", b"1") or match[1] != b"GET":
        raise Rejected(400, "bad_request", "a WebSocket handshake needs GET and HTTP/1.1", headers={"Allow": "GET"})
    return match[2].decode("ascii"), parse_headers(block)


def parse_headers(block: bytes) -> dict[str, str]:
    """Values by name (lower case) of complete lines, in linear time. Raises Rejected."""
    headers: dict[str, str] = {}
    position = 0
    while position < len(block):
        line = HEADER.match(block, position)
        if line is None or not block.startswith(b"\r\n", line.end()):
            raise Rejected(400, "bad_request", "a header is not valid")
        position = line.end() + 2
        key, text = line[1].decode("ascii").lower(), line[2].strip(b" \t").decode("ascii")
        if key in headers:
            if key in SINGLE:
                raise Rejected(400, "bad_request", f"{key} was sent twice")
            text = f"{headers[key]}, {text}"
        headers[key] = text
    return headers


def check_upgrade(headers: Mapping[str, str]) -> None:
    """RFC 6455, section 4.2.1. Raises Rejected."""
    if HOST.fullmatch(headers.get("host", "")) is None or "xn--" in headers["host"].lower():
        raise Rejected(400, "bad_request", "the Host header is not valid")
    if "content-length" in headers or "transfer-encoding" in headers:
        raise Rejected(400, "bad_request", "a handshake has no body")
    if headers.get("upgrade", "").lower() != "websocket" or "upgrade" not in tokens(headers.get("connection", "")):
        raise Rejected(
            426,
            "bad_request",
            "expected the headers `Upgrade: websocket` and `Connection: Upgrade`",
            headers={"Upgrade": "websocket"},
        )
    if headers.get("sec-websocket-version") != "13":
        raise Rejected(
            426, "bad_request", "only Sec-WebSocket-Version 13 is supported", headers={"Sec-WebSocket-Version": "13"}
        )
    if not is_key(headers.get("sec-websocket-key", "")):
        raise Rejected(400, "bad_request", "Sec-WebSocket-Key is not 16 bytes of base64")


def tokens(value: str) -> list[str]:
    return [token.strip().lower() for token in value.split(",")]


def is_key(key: str) -> bool:
    try:
        return len(key) == 24 and len(base64.b64decode(key, validate=True)) == 16
    except binascii.Error:
        return False


def handshake_of(head: bytes, address: str) -> Handshake:
    """Parse and check a head. Raises Rejected."""
    target, headers = parse_head(head)
    check_upgrade(headers)
    path, _, query = target.partition("?")
    return Handshake(path, parse_query(query), headers, address)


def parse_query(query: str) -> dict[str, str]:
    try:
        return dict(parse_qsl(query, max_num_fields=20))
    except ValueError:
        raise Rejected(400, "bad_request", "the query is not valid") from None


def is_allowed_origin(origin: str | None, allowed: list[str], *, required: bool) -> bool:
    """Whether a page of this origin may connect. Browsers always send an origin; other clients only if `required`."""
    if origin is None:
        return not required
    return "*" in allowed or origin in allowed
