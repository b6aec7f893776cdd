"""Who gets the demo page, with which headers, and whether its WebSocket is accepted."""

from typing import Any

import pytest
from msgspec.structs import replace
from trio_websocket import HandshakeError, open_websocket_url

from chatd.accounts.settings import AuthSettings
from chatd.client import sign_up
from chatd.core.config import Config
from chatd.demo.origins import page_origins
from chatd.demo.page import policy
from chatd.demo.settings import DemoSettings, is_served
from chatd.uploads.settings import UploadSettings
from tests.support import Answer, Daemon, running

HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
LOCAL = "localhost:8081"


def local(config: Config, **fields: Any) -> Config:
    """The configuration as the node has it: with the addresses that are bound."""
    http, gateway = replace(config.http, public_url="http://127.0.0.1:8081"), config.gateway
    return replace(config, http=http, gateway=replace(gateway, public_url="ws://127.0.0.1:8080/v1/ws", **fields))


def with_http_url(config: Config, url: str) -> Config:
    return replace(config, http=replace(config.http, public_url=url))


async def test_it_is_on_only_where_guests_of_this_machine_may_sign_up(config: Config) -> None:
    config = local(config)
    no_guests = config.using(replace(config.get(AuthSettings), anonymous=False))
    assert is_served(config)
    for other in (
        no_guests,
        local(config, trusted_proxies=["127.0.0.1"]),
        with_http_url(config, "https://chat.example.org"),
        with_http_url(config, "http://0.0.0.0:8081"),
        replace(config, gateway=replace(config.gateway, public_url="wss://chat.example.org/v1/ws")),
        config.using(DemoSettings(demo="off")),
    ):
        assert not is_served(other)
        assert page_origins(other) == []
    for other in (no_guests, with_http_url(config, "https://chat.example.org")):
        assert is_served(other.using(DemoSettings(demo="on")))


async def test_its_origins_are_those_of_its_addresses(config: Config) -> None:
    config = local(config).using(DemoSettings(demo="on"))
    assert page_origins(config) == ["http://127.0.0.1:8081", "http://localhost:8081"]
    assert page_origins(with_http_url(config, "https://chat.example.org/chat")) == ["https://chat.example.org"]
    assert page_origins(with_http_url(config, "http://[::1]:8081"))[0] == "http://[::1]:8081"


async def page(daemon: Daemon, host: str = LOCAL, path: str = "/", **headers: str) -> Answer:
    return await daemon.rest("GET", path, Host=host, **{**HTML, **headers})


async def test_browsers_of_this_machine_get_the_page_and_programs_the_addresses(daemon: Daemon) -> None:
    answer = await page(daemon)
    assert answer.body.startswith(b"<!doctype html>")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["vary"] == "Accept"
    for other in (await daemon.rest("GET", "/", Host=LOCAL), await page(daemon, "chat.example.org")):
        assert other.body["health"] == "/health"
        assert other.headers["vary"] == "Accept"
    assert (await page(daemon, path="/demo/demo.js")).status == 200
    assert (await page(daemon, "chat.example.org", "/demo/demo.js")).status == 404
    assert (await page(daemon, path="/demo/nothing.js")).status == 404


async def test_the_page_and_its_files_are_guarded_and_cached(config: Config) -> None:
    public = replace(
        config,
        http=replace(config.http, public_url="https://files.example.org"),
        gateway=replace(config.gateway, public_url="wss://chat.example.org/v1/ws"),
    )
    async with running(public.using(DemoSettings(demo="on"))) as daemon:
        names = ["/", "/demo/demo.js", "/demo/demo.css", "/demo/chatd-client.js", "/demo/icon.svg"]
        for answer in [await page(daemon, "chat.example.org", path) for path in names]:
            assert answer.status == 200
            policy = answer.headers["content-security-policy"].split("; ")
            assert policy == [
                "default-src 'none'",
                "script-src 'self'",
                "style-src 'self'",
                "img-src 'self' blob: https://files.example.org",
                "media-src 'self' blob: https://files.example.org",
                "connect-src 'self' wss://chat.example.org",
                "form-action 'none'",
                "base-uri 'none'",
                "frame-ancestors 'none'",
            ]
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["referrer-policy"] == "no-referrer"
        first = await page(daemon, path=names[1])
        again = await page(daemon, path=names[1], If_None_Match=first.headers["etag"])
        assert (again.status, again.body) == (304, b"")


async def test_pictures_in_a_bucket_may_be_shown(config: Config) -> None:
    bucket = replace(config.get(UploadSettings), s3_presigned=True, s3_endpoint="https://s3.example.org/path")
    assert "; img-src 'self' blob: http://127.0.0.1:8081 https://s3.example.org; " in policy(
        local(config.using(bucket))
    )


@pytest.mark.parametrize("demo", ["auto", "off"])
async def test_its_socket_is_accepted_while_it_is_served(config: Config, demo: str) -> None:
    async with running(config.using(DemoSettings(demo=demo))) as daemon:
        is_page = (await page(daemon)).headers["content-type"].startswith("text/html")
        assert is_page == (demo == "auto")
        account = await sign_up(daemon.addresses.http, name="Alice")

        async def connects(origin: str) -> bool:
            headers = [(b"Authorization", b"Bearer " + account.access_token.encode()), (b"Origin", origin.encode())]
            try:
                async with open_websocket_url(daemon.addresses.socket, extra_headers=headers):
                    return True
            except HandshakeError:
                return False

        assert await connects(daemon.addresses.http) == is_page
        assert await connects(daemon.addresses.http.replace("127.0.0.1", "localhost")) == is_page
        assert not await connects("https://evil.example")
