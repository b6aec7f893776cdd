"""The browser of the tests of pages: one for each worker process, with no context left over from the test before."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.web.browser import Browser, chromium


@pytest.fixture(scope="session")
def chromium_browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
async def browser(chromium_browser: Browser) -> AsyncIterator[Browser]:
    yield chromium_browser
    await chromium_browser.run(chromium_browser.close_contexts)
