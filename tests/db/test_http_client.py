"""Outgoing HTTP requests reach only permitted addresses, and their responses are bounded."""

import socket
from typing import Any

import pytest
import trio
from trio.abc import HostnameResolver

from chatd.db import http_client as door
from chatd.db.http_client import OutboundError, check_url, open_outbound
from tests.outside import Asked, answer, outside
from tests.support import PATIENCE


async def fine(_: Asked) -> bytes:
    return answer(b"fine")


class Names(HostnameResolver):
    """Each name has these addresses, one list for each time it is asked; the last one stays."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def getaddrinfo(
        self, host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
    ) -> Any:
        addresses = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        kind = socket.SOCK_STREAM
        return [(socket.AF_INET6 if ":" in one else socket.AF_INET, kind, 6, "", (one, int(port))) for one in addresses]

    async def getnameinfo(self, sockaddr: Any, flags: int) -> tuple[str, str]:
        raise NotImplementedError


@pytest.mark.parametrize("host", [
    "127.0.0.1", "localhost", "2130706433", "0x7f.1", "127.1", "0177.0.0.1", "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "169.254.169.254", "10.0.0.1", "[fd00:ec2::254]", "224.0.0.1",
])  # fmt: skip
async def test_private_addresses_are_not_requested(host: str) -> None:
    async with outside(fine) as server, open_outbound(private=False, connections=1) as outbound:
        with pytest.raises(OutboundError, match=r"not public|cannot be resolved|Invalid"):
            await outbound.ask("GET", f"http://{host}:{server.port}/", timeout=PATIENCE)
        assert server.asked == []


@pytest.fixture
def only_two_is_public(monkeypatch: pytest.MonkeyPatch) -> None:
    """127.0.0.2, where nothing listens, represents public addresses, so that no test contacts another host."""
    monkeypatch.setattr(door, "is_public", lambda address: address == "127.0.0.2")


async def test_request_goes_to_the_checked_address(only_two_is_public: None) -> None:
    """A name that is public when it is checked and private when it is requested (DNS rebinding) is resolved once."""
    names = Names(["127.0.0.2"], ["127.0.0.1"])
    trio.socket.set_custom_hostname_resolver(names)
    async with outside(fine) as server, open_outbound(private=False, connections=1) as outbound:
        for times, why in ((1, "nothing answers"), (2, "not public")):
            with pytest.raises(OutboundError, match=why):
                await outbound.ask("GET", f"http://rebind.test:{server.port}/", timeout=PATIENCE)
            assert names.asked == times
        assert server.asked == []


async def test_only_public_addresses_of_a_name_are_tried(only_two_is_public: None) -> None:
    """Private addresses, which would answer, are not tried afterwards."""
    trio.socket.set_custom_hostname_resolver(Names(["127.0.0.2", "127.0.0.1", "::1"]))
    async with outside(fine) as server, open_outbound(private=False, connections=1) as outbound:
        with pytest.raises(OutboundError, match="nothing answers"):
            await outbound.ask("GET", f"http://mixed.test:{server.port}/", timeout=PATIENCE)
        assert server.asked == []


async def test_private_server_is_requested_if_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """And a proxy of the environment is not."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with outside(fine) as server, open_outbound(private=True, connections=1) as outbound:
        for _ in range(2):
            got = await outbound.ask("POST", server.url, timeout=PATIENCE, body=b"question", headers={"X-A": "b"})
            assert (got.status, got.body) == (200, b"fine")
        asked = server.asked[1]
        assert (asked.method, asked.path, asked.body, asked.headers["x-a"]) == (
            "POST",
            "/hook?key=not-for-the-log",
            b"question",
            "b",
        )


async def test_redirect_is_not_followed() -> None:

    async def elsewhere(asked: Asked) -> bytes:
        return answer(
            b"",
            "302 Found",
            Location=f"http://127.0.0.1:{asked.headers['host'].rpartition(':')[2]}/inside",
            Set_Cookie="a=b",
        )

    async with outside(elsewhere) as server, open_outbound(private=True, connections=1) as outbound:
        for _ in range(2):
            assert (await outbound.ask("GET", server.url, timeout=PATIENCE)).status == 302
        assert [asked.path for asked in server.asked] == ["/hook?key=not-for-the-log"] * 2
        assert "cookie" not in server.asked[1].headers


async def endless(_: Asked) -> bytes:
    return (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        + b"8000\r\n"
        + b"x" * 0x8000
        + b"\r\n"
        + b"8000\r\n"
        + b"x" * 0x8000
        + b"\r\n5\r\n"
    )


async def huge(_: Asked) -> bytes:
    return answer(b"x" * 10_000_000)


async def huge_head(_: Asked) -> bytes:
    return b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 100_000


async def nonsense(_: Asked) -> bytes:
    return b"\x00\xff" * 1000


async def early_end(_: Asked) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort"


@pytest.mark.parametrize("answers", [huge, endless, huge_head, nonsense, early_end])
async def test_unusable_answers_are_errors(answers: Any) -> None:
    """A failed request does not affect the next one."""

    async def once(asked: Asked) -> bytes:
        return await (answers if asked.path == "/bad" else fine)(asked)

    async with outside(once) as server, open_outbound(private=True, connections=1) as outbound:
        with pytest.raises(OutboundError) as caught:
            await outbound.ask("GET", f"http://127.0.0.1:{server.port}/bad", timeout=1.0)
        assert "127.0.0.1" not in str(caught.value)
        assert (await outbound.ask("GET", server.url, timeout=PATIENCE)).body == b"fine"


async def test_silent_server_times_out() -> None:
    async def silent(_: Asked) -> bytes:
        await trio.sleep_forever()
        raise AssertionError

    async with outside(silent) as server, open_outbound(private=True, connections=1) as outbound:
        for _ in range(2):
            with pytest.raises(OutboundError, match="no answer within"):
                await outbound.ask("GET", server.url, timeout=0.1)


async def test_unreachable_server_is_an_error() -> None:
    async with open_outbound(private=True, connections=1) as outbound:
        for url in (
            "http://127.0.0.1:9/",
            "http://nobody.invalid/",
            "http:///",
            "file:///etc/passwd",
            "unix://x",
            "http://a b/",
        ):
            with pytest.raises(OutboundError):
                await outbound.ask("GET", url, timeout=PATIENCE)


@pytest.mark.parametrize(
    "url", ["http://a.test/", "ftp://a.test", "https://", "https://u:p@a.test/", "a.test", "", "https://a.test:x/"]
)
def test_unsafe_urls_are_rejected(url: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        check_url(url)


def test_valid_url_is_accepted() -> None:
    check_url("https://a.test:8443/hook?key=1")
    check_url("http://a.test/", ("https", "http"))
