"""The demo page: what people do with it in two windows."""

from playwright.sync_api import expect

from tests.support import Daemon
from tests.web.browser import Browser
from tests.web.demo import at_peace


async def test_two_people_chat(daemon: Daemon, browser: Browser) -> None:
    def steps() -> None:
        with at_peace(browser, daemon.addresses.http) as people:
            alice, bob = people.pair()
            bob.write("Hello Alice")
            alice.sees("Hello Alice")
            alice.write("Hello <b>Bob</b> https://example.org/?a=b.")
            bob.sees("Hello <b>Bob</b>")
            expect(bob.page.get_by_role("link", name="https://example.org/?a=b", exact=True)).to_be_visible()
            bob.page.bring_to_front()
            alice.is_marked("Hello <b>Bob</b>", "read")

    await browser.run(steps)
