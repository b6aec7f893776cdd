"""Errors of HTTP itself and internal errors have the form of refusals."""

import logging
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from chatd.app.addresses import Addresses
from chatd.app.command_metrics import CommandMetrics
from chatd.app.context import Ctx
from chatd.app.dispatch import CommandTimeout
from chatd.app.effects import Effects
from chatd.app.registry import Guard, GuardChecks, Registry, Row
from chatd.core.config import Config
from chatd.core.errors import Refused
from chatd.core.services import Services
from chatd.http.admin_tokens import Admins
from chatd.http.app import quart_app
from chatd.http.asgi_guard import AsgiGuard
from chatd.wire.base import Command, Ok
from chatd.wire.reference.description import Description
from tests.http.raw import HttpPort, served
from tests.support import NOBODY, Daemon, running

ORIGIN = "https://good.test"


NOTHING = [
    ("GET", "/nothing/here", 404, "not_found"),
    ("GET", "/v1/conversations/", 404, "not_found"),
    ("GET", "//evil.test/%2e%2e", 404, "not_found"),
    ("GET", "//healthz", 404, "not_found"),
    ("GET", "/%2fhealthz", 404, "not_found"),
    ("GET", "/\\evil.test", 404, "not_found"),
    ("GET", "/admin", 404, "not_found"),
    ("GET", "/static/../app.py", 404, "not_found"),
    ("TRACE", "/healthz", 405, "bad_request"),
    ("BREW", "/healthz", 405, "bad_request"),
    ("DELETE", "/v1/auth/logout", 405, "bad_request"),
    ("GET", "/v1/auth/logout", 405, "bad_request"),
    ("PUT", "/v1/conversations", 405, "bad_request"),
    ("GET", "http://evil.test/healthz", 400, "bad_request"),
    ("GET", "http://[evil", 400, "bad_request"),
    ("GET", "?", 400, "bad_request"),
    ("OPTIONS", "*", 400, "bad_request"),
    ("CONNECT", "evil.test:443", 400, "bad_request"),
]


async def test_unknown_path_is_answered_with_a_json_error(daemon: Daemon) -> None:
    """Nothing is redirected, and no state changes through GET."""
    for method, path, status, code in NOTHING:
        answer = await HttpPort.of(daemon).ask(f"{method} {path} HTTP/1.1")
        assert (answer.status, answer.body["t"], answer.body["code"]) == (status, "error", code), (method, path)
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "location" not in answer.headers
        assert ("allow" in answer.headers) is (status == 405)


async def test_host_header_is_not_reflected(daemon: Daemon) -> None:
    for path in ("/", "/openapi.json", "/v1/socket/ping", "/nothing"):
        answer = await HttpPort.of(daemon).send(
            f"GET {path} HTTP/1.1\r\nHost: evil.test\r\nX-Forwarded-Host: evil.test\r\nConnection: close\r\n\r\n".encode()
        )
        assert b"evil.test" not in answer


async def test_invalid_host_header_is_refused(daemon: Daemon) -> None:
    long = ("a" * 300, "\xe9", "\xe9" * 7000, "a." * 7000, "1" * 14_000)
    for host in ("a..b", ".a", "localhost..", "a" * 64, f"{'a' * 64}.test:80", *long):
        for path in ("/healthz", "/admin/bans", "/metrics", "/nothing"):
            answer = await daemon.rest("GET", path, Host=host)
            assert (answer.status, answer.body["code"]) == (400, "bad_request"), (host, path)


async def test_head_and_options_are_answered(daemon: Daemon) -> None:
    door = HttpPort.of(daemon)
    head = await door.ask("HEAD /healthz HTTP/1.1")
    assert (head.status, head.body) == (200, b"")
    options = await door.ask("OPTIONS /v1/conversations HTTP/1.1")
    assert (options.status, set(options.headers["allow"].split(", "))) == (200, {"GET", "HEAD", "OPTIONS", "POST"})


async def test_slow_body_is_refused(config: Config) -> None:
    async with running(replace(config, http=replace(config.http, body_timeout=0.05))) as daemon:
        head = "POST /v1/auth/anonymous HTTP/1.1\nContent-Type: application/json\nContent-Length: 50"
        answer = await HttpPort.of(daemon).ask(head, b"{")
        assert (answer.status, answer.body["code"]) == (408, "timeout")
        assert await HttpPort.of(daemon).is_served()


async def test_body_over_the_limit_is_refused(daemon: Daemon) -> None:
    """The answer arrives although the body was never read."""
    door = HttpPort.of(daemon)
    head = "POST /v1/auth/anonymous HTTP/1.1\nContent-Type: application/json\n"
    for _ in range(5):
        assert (await door.ask(f"{head}Content-Length: 3000000", b"x" * 3_000_000)).status == 413
        chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
        assert (await door.ask(f"{head}Transfer-Encoding: chunked", chunk * 30)).status == 413


async def test_websocket_request_on_the_http_port_names_the_gateway(daemon: Daemon) -> None:
    head = (
        "GET /v1/ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    )
    answer = await HttpPort.of(daemon).send(f"{head}Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 404")
    assert daemon.addresses.socket.encode() in answer


# --- CORS ---------------------------------------------------------------------------------------------------------


FOREIGN = ("https://evil.test", "null", "https://good.test.evil.test", "http://good.test", "HTTPS://GOOD.TEST")


async def test_unlisted_origin_gets_no_cors_headers(config: Config) -> None:
    async with running(replace(config, http=replace(config.http, cors_origins=[ORIGIN]))) as daemon:
        for head in (
            f"{method} /healthz HTTP/1.1\nOrigin: {origin}" for method in ("GET", "OPTIONS") for origin in FOREIGN
        ):
            answer = await HttpPort.of(daemon).ask(f"{head}\nAccess-Control-Request-Method: GET")
            assert not [name for name in answer.headers if name.startswith("access-control")]
            assert answer.headers["vary"] == "Origin"


async def test_a_refused_origin_is_logged_once_with_the_setting(
    config: Config, caplog: pytest.LogCaptureFixture
) -> None:
    """And one that is listed, or that of this server, is not."""
    caplog.set_level("INFO", "chatd.http.cors")
    async with running(replace(config, http=replace(config.http, cors_origins=[ORIGIN]))) as daemon:
        for origin in (ORIGIN, "https://chatd.test", "http://chatd.test", "https://evil.test", "https://evil.test"):
            await daemon.rest("GET", "/v1/conversations", Origin=origin)
    lines = [record for record in caplog.records if record.name == "chatd.http.cors"]
    assert [vars(line)["origin"] for line in lines] == ["https://evil.test"]
    assert "http.cors_origins" in lines[0].getMessage()


async def test_public_urls_are_named_wherever_an_address_is(config: Config) -> None:
    socket, http = "wss://chat.test/v1/ws", "https://files.test"
    config = replace(config, http=replace(config.http, public_url=http))
    async with running(replace(config, gateway=replace(config.gateway, public_url=socket))) as daemon:
        assert (await daemon.rest("GET", "/")).body["socket"] == socket
        assert (await daemon.rest("GET", "/v1/socket/ping")).body["url"] == socket
        assert (await daemon.rest("GET", "/openapi.json")).body["servers"] == [{"url": http}]
        upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec_WebSocket_Version": "13"}
        answer = await daemon.rest("GET", "/v1/ws", Sec_WebSocket_Key="A" * 22 + "==", **upgrade)
        assert (answer.status, answer.body["message"]) == (404, f"the WebSocket is at {socket}")


async def test_listed_origin_gets_cors_headers(config: Config) -> None:
    async with running(replace(config, http=replace(config.http, cors_origins=[ORIGIN]))) as daemon:
        door = HttpPort.of(daemon)
        preflight = await door.ask(f"OPTIONS /v1/ping HTTP/1.1\nOrigin: {ORIGIN}\nAccess-Control-Request-Method: POST")
        assert preflight.status == 204
        assert preflight.headers["access-control-allow-origin"] == ORIGIN
        assert "Authorization" in preflight.headers["access-control-allow-headers"]
        assert "access-control-allow-credentials" not in preflight.headers
        answer = await door.ask(
            f"GET /v1/conversations HTTP/1.1\nOrigin: {ORIGIN}\nAuthorization: Bearer {daemon.token(NOBODY)}"
        )
        assert (answer.status, answer.headers["access-control-allow-origin"]) == (200, ORIGIN)
        assert (await door.ask("OPTIONS /v1/ping HTTP/1.1")).status == 200


async def test_any_origin_is_allowed_with_a_wildcard(config: Config) -> None:
    async with running(replace(config, http=replace(config.http, cors_origins=["*"]))) as daemon:
        answer = await HttpPort.of(daemon).ask("GET /nothing HTTP/1.1\nOrigin: https://any.test")
        assert (answer.status, answer.headers["access-control-allow-origin"]) == (404, "*")


async def test_no_origin_is_allowed_by_default(daemon: Daemon) -> None:
    answer = await HttpPort.of(daemon).ask(
        f"OPTIONS /v1/ping HTTP/1.1\nOrigin: {ORIGIN}\nAccess-Control-Request-Method: POST"
    )
    assert not [name for name in answer.headers if name.startswith("access-control")]


# --- what goes wrong inside ---------------------------------------------------------------------------------------


class Try(Command, tag="try"):
    """The command of the handlers below."""


async def breaks(ctx: Ctx, cmd: Try) -> Effects:
    raise RuntimeError("select secret from somewhere")


async def says_nothing(ctx: Ctx, cmd: Try) -> Effects:
    return []


async def refuses(ctx: Ctx, cmd: Try) -> Effects:
    raise Refused("unavailable", retry_after=0.2)


def app_with(handler: Any) -> AsgiGuard:
    """An application with one command, which needs no sign-in."""
    row = Row(Try, Ok, handler, Guard.NOTHING, 1, (), "POST /v1/try", False, False)
    services = Services()
    for service in (
        CommandMetrics(),
        Addresses("ws://x", "http://x"),
        Admins(Config()),
        GuardChecks(),
        CommandTimeout(5.0),
    ):
        services.add(service)
    node: Any = SimpleNamespace(config=Config(), clock=lambda: 0, services=services, get=services.get)
    return AsgiGuard(
        quart_app(node, Registry({Try: row}, Description(rows=(row,))), []), "ws://x", Config().http.max_body_bytes
    )


@pytest.mark.parametrize("handler", [breaks, says_nothing])
async def test_bug_is_logged_once_and_not_revealed(handler: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        async with served(app_with(handler)) as door:
            answer = await door.ask("POST /v1/try HTTP/1.1\nContent-Length: 0")
    assert (answer.status, answer.body["code"]) == (500, "internal")
    assert [record.__dict__["incident"] for record in caplog.records if record.levelno >= logging.WARNING] == [
        answer.body["details"]["incident"]
    ]
    assert "select" not in str(answer.body)


async def test_retry_after_is_never_zero() -> None:
    async with served(app_with(refuses)) as door:
        answer = await door.ask("POST /v1/try HTTP/1.1\nContent-Length: 0")
    assert (answer.status, answer.headers["retry-after"], answer.body["retry_after"]) == (503, "1", 0.2)
