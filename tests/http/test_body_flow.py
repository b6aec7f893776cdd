"""Bodies are received as fast as they are read: nothing large is in memory before a request is authenticated."""

import gc
from collections.abc import Callable

import trio
import trio.testing
from hypercorn.typing import ASGIReceiveEvent
from quart_trio.wrappers.request import TrioBody

from chatd.accounts.service_tokens import FORM as SERVICE_TOKEN
from chatd.http.body_flow import BodyFlow
from chatd.http.stream import MAX_READ_BYTES
from tests.faults.test_disconnects_during_commands import locked
from tests.files import FORM, form, part
from tests.http.raw import HttpPort
from tests.server_api.backend import backend_of
from tests.support import Daemon, eventually
from tests.uploads.test_resumable import BODY as TUS_BODY

TABLES = "service_tokens, users, logins"
USERS = b'{"users": [%s]}' % b", ".join(b'{"external_id": "%040d", "name": "%0100d"}' % (n, n) for n in range(900))
FILE = b"\x00" * 8_000_000


def event_of(data: bytes, *, more: bool = True) -> ASGIReceiveEvent:
    return {"type": "http.request", "body": data, "more_body": more}


async def test_a_body_is_received_as_fast_as_it_is_read() -> None:
    waiting = [event_of(b"x" * 10) for _ in range(10)]

    async def receive() -> ASGIReceiveEvent:
        await trio.lowlevel.checkpoint()
        return waiting.pop(0)

    flow, got = BodyFlow(receive, 25), list[bytes]()

    async def collect() -> None:
        while waiting:
            event = await flow.receive()
            assert event["type"] == "http.request"
            got.append(event["body"])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(collect)
        for step, count in ((None, 3), (lambda: flow.take(10), 4), (lambda: flow.take(20), 6), (flow.discard, 10)):
            if step:
                step()
            await trio.testing.wait_all_tasks_blocked()
            assert (len(got), flow.is_held) == (count, count < 10)
    assert got == [b"x" * 10] * 6 + [b""] * 4


async def test_a_body_that_is_read_as_a_whole_is_not_held() -> None:
    async def receive() -> ASGIReceiveEvent:
        return event_of(b"x" * 100)

    flow = BodyFlow(receive, 1)
    await flow.receive()
    assert flow.is_held
    flow.take_all()
    for _ in range(5):
        assert await flow.receive() == event_of(b"x" * 100)


def unread() -> int:
    """The bytes of request bodies in the memory of this process."""
    return sum(len(body._data) for body in gc.get_objects() if isinstance(body, TrioBody))


def held() -> int:
    """The requests whose body waits in the socket."""
    return sum(flow.is_held for flow in gc.get_objects() if isinstance(flow, BodyFlow))


def request_of(path: str, token: str, body: bytes, content_type: str, method: str = "POST", *more: str) -> bytes:
    head = [
        f"{method} {path} HTTP/1.1", "Host: chatd.test", "Connection: close", f"Authorization: Bearer {token}",
        f"Content-Type: {content_type}", f"Content-Length: {len(body)}", *more, "", "",
    ]  # fmt: skip
    return "\r\n".join(head).encode() + body


TUS = (f"Upload-Length: {len(FILE)}", "Tus-Resumable: 1.0.0")
REQUESTS: dict[str, Callable[[str, str], bytes]] = {
    "users": lambda service, user: request_of("/v1/server/users/batch", service, USERS, "application/json"),
    "group": lambda service, user: request_of("/v1/server/conversations", service, USERS, "application/json"),
    "form": lambda service, user: request_of("/v1/uploads", user, form(part(FILE)), FORM),
    "parts": lambda service, user: request_of("/v1/uploads/tus", user, FILE, TUS_BODY, "POST", *TUS),
}


async def test_nothing_large_is_received_before_the_token_is_checked(daemon: Daemon, loop: None) -> None:
    """While Postgres does not answer the look-up of the token."""
    service, most = (await backend_of(daemon)).token, daemon.config.http.max_body_bytes
    async with daemon.person() as alice, locked(daemon, TABLES, "access exclusive"), trio.open_nursery() as nursery:
        for request in REQUESTS.values():
            nursery.start_soon(HttpPort.of(daemon).send, request(service, alice.account.access_token))
        await eventually(lambda: held() == len(REQUESTS))
        assert unread() <= len(REQUESTS) * (most + MAX_READ_BYTES)
        nursery.cancel_scope.cancel()


async def test_large_bodies_are_served(daemon: Daemon) -> None:
    """The same requests without the lock; a client gets the answer although its body is not read."""
    service, wrong = (await backend_of(daemon)).token, SERVICE_TOKEN.new_secret()
    async with daemon.person() as alice:
        statuses = {}
        for kind, request in REQUESTS.items():
            for name, tokens in (("good", (service, alice.account.access_token)), ("bad", (wrong, "a.b.c"))):
                answer = await HttpPort.of(daemon).send(request(*tokens))
                statuses[kind, name] = int(answer.split(b" ", 2)[1])
        assert statuses == {
            ("users", "good"): 200, ("group", "good"): 400, ("form", "good"): 200, ("parts", "good"): 201,
            **{(kind, "bad"): 401 for kind in REQUESTS},
        }  # fmt: skip
