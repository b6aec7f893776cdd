"""A browser: the Chromium of the distribution, driven by Playwright.

The synchronous API of Playwright works in the thread that has started it. `Browser.run` carries out steps there, while
the event loop, and a daemon of the test in it, goes on.
"""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

import playwright.sync_api
import trio
from playwright.sync_api import sync_playwright

from tests.interop.tools import tool
from tests.support import PATIENCE

Result = TypeVar("Result")
# A page that a test makes up has no address, and would need a permission for requests to a daemon on this machine.
# The microphone of a context that may use one is a tone.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-features=LocalNetworkAccessChecks",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]


class Browser:
    """One Chromium. `run` calls a function in its thread; pages and contexts are used in such functions only."""

    def __init__(self, thread: ThreadPoolExecutor, program: str) -> None:
        self._thread = thread
        self._program = program
        self._contexts: list[playwright.sync_api.BrowserContext] = []

    def start(self) -> None:
        # In this thread only: elsewhere trio-asyncio, which the daemon uses, makes the event loops of asyncio.
        asyncio.set_event_loop_policy(asyncio.DefaultEventLoopPolicy())
        self._playwright = sync_playwright().start()
        self._chromium = self._playwright.chromium.launch(executable_path=self._program, args=ARGUMENTS)

    def stop(self) -> None:
        self._chromium.close()
        self._playwright.stop()

    async def run(self, step: Callable[..., Result], *arguments: Any) -> Result:
        return await trio.to_thread.run_sync(lambda: self._thread.submit(step, *arguments).result())

    def context(self, **options: Any) -> playwright.sync_api.BrowserContext:
        """Call it in `run`. A person with cookies and storage of their own; `close_contexts` ends it."""
        context = self._chromium.new_context(**options)
        context.set_default_timeout(3000 * PATIENCE)
        self._contexts.append(context)
        return context

    def close_contexts(self) -> None:
        while self._contexts:
            self._contexts.pop().close()


@contextmanager
def chromium() -> Iterator[Browser]:
    with ThreadPoolExecutor(1) as thread:
        browser = Browser(thread, tool("chromium", "chromium"))
        thread.submit(browser.start).result()
        try:
            yield browser
        finally:
            thread.submit(browser.stop).result()
