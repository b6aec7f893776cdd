"""The demo page in a browser, as people use it: by what they read and by the names of buttons and fields.

`complaints` collects what scripts and the policy of the page complain about; a test ends with `at_peace`.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import BrowserContext, Locator, Page, expect

from tests.support import PATIENCE
from tests.web.browser import Browser

SHOTS = os.environ.get("CHATD_TEST_SCREENSHOTS")
# Every browser reports a daemon that refuses connections, or is not ready yet.
EXPECTED = ("net::ERR_", "WebSocket connection to", "status of 503")


expect.set_options(timeout=1000 * PATIENCE)


class Tab:
    """The page, as one person has it in a tab. Used in the thread of the browser."""

    def __init__(self, context: BrowserContext, url: str, complaints: list[str]) -> None:
        self.page: Page = context.new_page()
        self.url = url
        self.complaints = complaints
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: complaints.append(str(error)))

    def _note(self, line: Any) -> None:
        if line.type in ("error", "warning") and not any(text in line.text for text in EXPECTED):
            self.complaints.append(line.text)

    def sign_in(self, name: str, path: str = "/") -> "Tab":
        self.page.goto(self.url + path)
        self.page.get_by_label("Your name").fill(name)
        self.page.keyboard.press("Enter")
        self.live()
        return self

    def live(self) -> None:
        expect(self.page.locator(".badge")).to_have_text("Live updates enabled")

    def link(self) -> str:
        """The path that opens a conversation with this person."""
        self.page.goto(f"{self.url}/#/")
        field = self.page.get_by_label("Your link")
        expect(field).to_have_value(re.compile("#/with/."))
        return field.input_value().removeprefix(self.url)

    def message(self, text: str) -> Locator:
        return self.page.locator(".message", has_text=text).last

    def write(self, text: str) -> None:
        self.page.get_by_role("textbox", name="Message").fill(text)
        self.page.keyboard.press("Enter")

    def sees(self, text: str) -> Locator:
        message = self.message(text)
        expect(message).to_be_visible(timeout=PATIENCE * 1000)
        return message

    def is_marked(self, text: str, state: str) -> None:
        expect(self.message(text)).to_have_attribute("data-state", state)

    def shot(self, name: str) -> None:
        if SHOTS:
            self.page.screenshot(path=Path(SHOTS, f"{name}.png"))


class People:
    """Tabs of different people, each with a storage of their own."""

    def __init__(self, browser: Browser, url: str) -> None:
        self._browser = browser
        self.url = url
        self.complaints: list[str] = []

    def tab(self, host: str = "127.0.0.1", **options: Any) -> Tab:
        return Tab(self._browser.context(**options), self.url.replace("127.0.0.1", host), self.complaints)

    def pair(self, **options: Any) -> tuple[Tab, Tab]:
        """Alice and Bob, in their conversation. They have reached the daemon under different names."""
        alice = self.tab(**options).sign_in("Alice")
        bob = self.tab("localhost", **options).sign_in("Bob", alice.link())
        bob.page.wait_for_url("**/#/c/*")
        alice.page.get_by_role("link", name="Bob").click()
        return alice, bob


@contextmanager
def at_peace(browser: Browser, url: str) -> Iterator[People]:
    """People whose pages must not complain of anything."""
    people = People(browser, url)
    yield people
    assert people.complaints == []
