"""Connections to Redis that do not go through asyncio."""

import ipaddress
import random
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import InvalidResponse, ResponseError

from chatd.core.config import RedisSection
from chatd.core.errors import Refused
from chatd.db.redis import Redis, open_redis
from chatd.db.redis_channel import Incomplete, pack, parse
from tests.conftest import Servers
from tests.faults.proxy import BadLine, open_line
from tests.support import PATIENCE

NAMES = count()
VALUES = st.recursive(
    st.none() | st.integers(-(2**63), 2**63 - 1) | st.binary(max_size=40), lambda inner: st.lists(inner, max_size=4)
)


def resp(value: Any) -> bytes:
    match value:
        case None:
            return b"$-1\r\n"
        case int():
            return b":%d\r\n" % value
        case bytes():
            return b"$%d\r\n%b\r\n" % (len(value), value)
        case _:
            return b"*%d\r\n" % len(value) + b"".join(map(resp, value))


@given(VALUES, st.binary(max_size=5))
def test_an_answer_is_read_once_it_is_complete(value: Any, after: bytes) -> None:
    """And the parser never asks for more bytes than there are: it would wait for them forever."""
    data = resp(value)
    assert parse(data + after) == (value, len(data))
    for end in range(len(data)):
        with pytest.raises(Incomplete) as caught:
            parse(data[:end])
        assert end < caught.value.size <= len(data)


def test_other_answers() -> None:
    assert parse(b"+OK\r\n") == (b"OK", 5)
    assert parse(b"*-1\r\n") == (None, 5)
    error, end = parse(b"-ERR no such thing\r\n")
    assert isinstance(error, ResponseError)
    assert (str(error), end) == ("no such thing", 20)
    with pytest.raises(InvalidResponse):
        parse(b"HTTP/1.1 400 Bad Request\r\n")


def test_a_command_is_packed_in_bytes() -> None:
    assert pack(("ECHO", "é", 5, b"\xff")) == b"*4\r\n$4\r\nECHO\r\n$2\r\n\xc3\xa9\r\n$1\r\n5\r\n$1\r\n\xff\r\n"


@asynccontextmanager
async def over_a_line(servers: Servers, timeout_s: float = PATIENCE) -> AsyncIterator[tuple[BadLine, Redis]]:
    connect = partial(trio.open_unix_socket, urlsplit(servers.redis).path)
    async with (
        open_line(connect) as line,
        open_redis(RedisSection(timeout=timeout_s), f"redis://{line.host}:{line.port}") as redis,
    ):
        yield line, redis


async def test_answers_in_pieces(servers: Servers, loop: None) -> None:
    async with over_a_line(servers) as (line, redis), redis.own_connection() as connection:
        line.down.slice = line.up.slice = 3
        assert await connection.call("ECHO", "x" * 300) == b"x" * 300
    async with over_a_line(servers) as (line, redis), redis.own_connection() as connection:
        assert await connection.call("ECHO", b"y" * 3_000_000) == b"y" * 3_000_000


async def test_a_connection_is_opened_again(servers: Servers, loop: None) -> None:
    """After its end, before or during a command, after no answer in time, and after a change of the client."""
    async with over_a_line(servers, timeout_s=3.0) as (line, redis), redis.own_connection() as connection:
        await connection.call("PING")
        line.cut()
        with trio.fail_after(PATIENCE):
            while line.connections:
                await trio.sleep(0.01)
        with pytest.raises(Refused):
            await connection.call("PING")
        assert await connection.call("ECHO", "one") == b"one"
        line.down.timeout = True
        await redis.reconnect()
        with pytest.raises(Refused):
            await connection.call("ECHO", "two")
        line.cut()
        line.heal()
        assert await connection.call("ECHO", "three") == b"three"
        line.down.limit_data = 0
        await redis.reconnect()
        with pytest.raises(Refused):
            await connection.call("ECHO", "four")
        line.heal()
        assert await connection.call("ECHO", "five") == b"five"


async def test_an_error_is_refused(servers: Servers, loop: None) -> None:
    async with open_redis(RedisSection(timeout=PATIENCE), servers.redis) as redis, redis.own_connection() as connection:
        with pytest.raises(Refused) as caught:
            await connection.call("XREAD", "nonsense")
        assert caught.value.code == "unavailable"
        assert redis.commands.failing
        assert await connection.call("ECHO", "x") == b"x"


async def test_an_unreachable_server_is_unavailable(loop: None) -> None:
    async with (
        open_redis(RedisSection(timeout=PATIENCE), "redis://127.0.0.1:1") as redis,
        redis.own_connection() as connection,
    ):
        with pytest.raises(Refused):
            await connection.call("PING")


async def test_cancellations_mix_up_no_answers(servers: Servers, loop: None) -> None:
    rng, answered = random.Random(3), 0
    async with open_redis(RedisSection(timeout=PATIENCE), servers.redis) as redis, redis.own_connection() as connection:
        for number in range(300):
            with trio.move_on_after(rng.random() * 0.004):
                assert await connection.call("ECHO", str(number)) == str(number).encode()
                answered += 1
        assert await connection.call("ECHO", "x") == b"x"
    assert answered


async def test_a_connection_with_tls(servers: Servers, loop: None, tmp_path: Path) -> None:
    socket_path = urlsplit(servers.redis).path

    async def carry(near: "trio.SSLStream[trio.SocketStream]") -> None:
        async with near, await trio.open_unix_socket(socket_path) as far, trio.open_nursery() as nursery:
            nursery.start_soon(pipe, near, far, nursery.cancel_scope)
            await pipe(far, near, nursery.cancel_scope)

    async with trio.open_nursery() as nursery:
        serve = partial(trio.serve_ssl_over_tcp, carry, 0, server_context(tmp_path), host="127.0.0.1")
        listener = (await nursery.start(serve))[0].transport_listener
        url = f"rediss://127.0.0.1:{listener.socket.getsockname()[1]}?ssl_ca_certs={tmp_path / 'cert.pem'}"
        async with open_redis(RedisSection(timeout=PATIENCE), url) as redis, redis.own_connection() as connection:
            for text in ("one", "two" * 100_000):
                assert await connection.call("ECHO", text) == text.encode()
            key = f"stream{next(NAMES)}"
            id_ = await connection.call("XADD", key, "*", "b", "x")
            assert await connection.call("XREAD", "STREAMS", key, 0) == [[key.encode(), [[id_, [b"b", b"x"]]]]]
            assert await redis.call("DEL", key) == 1
        nursery.cancel_scope.cancel()


async def pipe(source: trio.abc.ReceiveStream, sink: trio.abc.SendStream, scope: trio.CancelScope) -> None:
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        async for part in source:
            await sink.send_all(part)
    scope.cancel()


def server_context(folder: Path) -> ssl.SSLContext:
    """A server with a certificate of its own, `cert.pem`, for 127.0.0.1."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "redis")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context
