"""The HTTP client for all requests to external servers.

Names are resolved and addresses checked here, and the connection is made to the checked address, so DNS rebinding has
no effect. TLS is verified against the name. Redirects, cookies, and proxies and credentials of the environment are not
used; times, bytes and connections are bounded. See docs/filters.md.

`private`: the operator configured the server, and its address may be private.
"""

import ssl
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from functools import lru_cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from ipaddress import ip_address
from os import environ
from typing import Any

import httpcore
import httpx
import trio
from msgspec import Struct

from chatd.core.public_addresses import is_public

MOST_BYTES = 65_536
MOST_ADDRESSES = 8
# Below the 5 s after which many servers close idle connections, so that no request uses one that is about to close.
IDLE = 4.0
NO_COOKIES = DefaultCookiePolicy(allowed_domains=())


class OutboundError(Exception):
    """There was no usable answer. The text names the reason, without the path or the body."""


class Answer(Struct, frozen=True):
    """An answer. The names of headers are in lower case."""

    status: int
    body: bytes
    headers: Mapping[str, str] = {}


class Pinned(httpcore.AsyncNetworkBackend):
    """Connects to checked addresses, never to a name."""

    def __init__(self, private: bool) -> None:
        self._private = private
        self._backend = httpcore.TrioBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore.AsyncNetworkStream:
        for address in await self._addresses(host, port):
            with suppress(httpcore.ConnectError):
                return await self._backend.connect_tcp(address, port, timeout, local_address, socket_options)
        raise httpcore.ConnectError("nothing answers at this address")

    async def _addresses(self, host: str, port: int) -> list[str]:
        try:
            found = await trio.socket.getaddrinfo(host, port, type=trio.socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise httpcore.ConnectError("the name cannot be resolved") from None
        addresses = list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))
        allowed = [address for address in addresses if self._private or is_public(address)]
        if not allowed:
            raise httpcore.ConnectError("its IP address is not public")
        return allowed[:MOST_ADDRESSES]

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Any = None
    ) -> httpcore.AsyncNetworkStream:
        raise httpcore.ConnectError("connections to Unix sockets are not allowed")

    async def sleep(self, seconds: float) -> None:
        await trio.sleep(seconds)


@lru_cache
def verifying_context(file: str | None, folder: str | None) -> ssl.SSLContext:
    """The context of all clients. To read the certificates, of the system or of this file and folder, takes 20 ms."""
    return ssl.create_default_context()


class Transport(httpx.AsyncHTTPTransport):
    """A transport with its own network backend, which httpx has no public way to set.

    The transport fails without `_pool`, so a change of httpx cannot disable the checks.
    """

    def __init__(self, private: bool, connections: int) -> None:
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=verifying_context(environ.get("SSL_CERT_FILE"), environ.get("SSL_CERT_DIR")),
            max_connections=connections,
            max_keepalive_connections=connections,
            keepalive_expiry=IDLE,
            network_backend=Pinned(private),
        )


class Outbound:
    """A client for external servers. Opened by `open_outbound`."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def ask(
        self,
        method: str,
        url: str,
        *,
        timeout: float,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        most: int = MOST_BYTES,
    ) -> Answer:
        """Send a request. Raises OutboundError if no answer of at most `most` bytes comes within `timeout` seconds."""
        try:
            with trio.fail_after(timeout):
                async with self._client.stream(method, url, headers=headers, content=body, timeout=timeout) as response:
                    content = await read(response, most)
                    return Answer(response.status_code, content, dict(response.headers))
        except (trio.TooSlowError, httpx.TimeoutException):
            raise OutboundError(f"no answer within {timeout:g} s") from None
        except httpx.ConnectError as error:
            raise OutboundError(f"cannot connect: {error}"[:200]) from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise OutboundError(type(error).__name__) from None


async def read(response: httpx.Response, most: int) -> bytes:
    """The body without decoding. Raises OutboundError if it is too long."""
    parts, length = [], 0
    async for part in response.aiter_raw():
        length += len(part)
        if length > most:
            raise OutboundError(f"the response has more than {most} bytes")
        parts.append(part)
    return b"".join(parts)


@asynccontextmanager
async def open_outbound(*, private: bool, connections: int) -> AsyncIterator[Outbound]:
    """Open a client. `private`: requests to private addresses are permitted."""
    transport = Transport(private, connections)
    headers, cookies = {"User-Agent": "chatd", "Accept-Encoding": "identity"}, CookieJar(NO_COOKIES)
    async with httpx.AsyncClient(transport=transport, trust_env=False, headers=headers, cookies=cookies) as client:
        yield Outbound(client)


def host_of(url: str) -> str:
    """The host of a valid URL; an IPv6 address without brackets."""
    return httpx.URL(url).host


def is_loopback(url: str) -> bool:
    """Whether the host of a valid URL is this machine, by its name or address."""
    try:
        return host_of(url) == "localhost" or ip_address(host_of(url)).is_loopback
    except (ValueError, httpx.InvalidURL):
        return False


def check_url(url: str, schemes: Iterable[str] = ("https",)) -> None:
    """Check a URL from the configuration. Raises ValueError with a text for the operator."""
    try:
        parts = httpx.URL(url)
    except (httpx.InvalidURL, UnicodeError) as error:
        raise ValueError(f"not a valid URL: {error}") from None
    if parts.scheme not in schemes or not parts.host:
        raise ValueError(f"must begin with {' or '.join(f'{scheme}://' for scheme in schemes)}")
    if parts.userinfo:
        raise ValueError("must not contain a user or password")
