"""The browser of the tests of pages: one for each worker process, with no context left over from the test before. And
a daemon that pages may use."""

from collections.abc import AsyncIterator, Iterator

import pytest
import trio
from msgspec.structs import replace

from chatd.accounts.settings import AccountLimits
from chatd.core.config import Config
from tests.conftest import Servers, config_for, create_database
from tests.forked import forked_daemon
from tests.support import Daemon
from tests.web.browser import Browser, chromium
from tests.web.programs import ORIGIN, Make, Program, node, page


@pytest.fixture(scope="session")
def chromium_browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
async def browser(chromium_browser: Browser) -> AsyncIterator[Browser]:
    yield chromium_browser
    await chromium_browser.run(chromium_browser.close_contexts)


@pytest.fixture(params=["node", "chromium"])
async def programs(request: pytest.FixtureRequest) -> AsyncIterator[Make]:
    """A function that starts a program: in Node, then in Chromium."""
    async with trio.open_nursery() as nursery:

        async def started() -> Program:
            program: Program = await nursery.start(node)
            return program

        if request.param == "node":
            yield started
        else:
            browser: Browser = request.getfixturevalue("chromium_browser")

            async def opened() -> Program:
                return await page(browser)

            yield opened
            await browser.run(browser.close_contexts)
        nursery.cancel_scope.cancel()


def for_pages(config: Config) -> Config:
    """The configuration, with access for the pages of these tests."""
    limits = replace(
        config.limits, connections_per_address=10_000, accepts_per_address=10_000, pending_per_address=10_000
    )
    return replace(
        config,
        limits=limits,
        gateway=replace(config.gateway, origins=[ORIGIN]),
        http=replace(config.http, cors_origins=[ORIGIN]),
    ).using(AccountLimits(signups_per_minute=1e6))


@pytest.fixture(scope="session")
def daemon_for_pages(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    trio.run(create_database, servers, "pages")
    config = for_pages(config_for(servers.dsn("pages"), servers, tmp_path_factory.mktemp("pages")))
    with forked_daemon(config) as addresses:
        yield Daemon(config, addresses)


@pytest.fixture
def daemon(daemon_for_pages: Daemon) -> Daemon:
    """A daemon for many tests, in a process of its own."""
    return daemon_for_pages
