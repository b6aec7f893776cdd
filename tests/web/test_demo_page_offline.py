"""The demo page while the daemon stops and starts, and while the browser keeps nothing or shows a wrong time."""

import re

from msgspec.structs import replace
from playwright.sync_api import Page, expect

from chatd.core.config import Config
from tests.files import picture
from tests.forked import forked_daemon
from tests.support import Daemon
from tests.web.browser import Browser
from tests.web.conftest import for_pages
from tests.web.demo import Tab, at_peace

DENIED = "indexedDB.open = () => { throw new DOMException('denied', 'SecurityError'); }"
DAY_MS = 86_400_000


def on_ports(config: Config, daemon: Daemon) -> Config:
    """The configuration of a daemon that has the addresses of another one."""
    ports = [int(re.findall(r":(\d+)", url)[0]) for url in (daemon.addresses.socket, daemon.addresses.http)]
    return replace(config, gateway=replace(config.gateway, port=ports[0]), http=replace(config.http, port=ports[1]))


async def test_messages_written_while_the_daemon_is_stopped_are_sent(config: Config, browser: Browser) -> None:
    """Alice writes in two tabs and Bob in one, while nothing is served. One tab of Alice is closed before the start."""
    config = for_pages(config)

    def before() -> tuple[Tab, Tab, Tab]:
        alice, bob = people.pair()
        second = Tab(alice.page.context, people.url, people.complaints)
        second.page.goto(alice.page.url)
        second.live()
        bob.write("before")
        second.sees("before")
        return alice, second, bob

    def meanwhile() -> None:
        for tab in (alice, second, bob):
            expect(tab.page.locator(".badge")).to_contain_text("Reconnecting…")
        alice.write("first tab")
        second.write("second tab")
        bob.write("from Bob")
        for tab, text in ((alice, "first tab"), (second, "second tab"), (bob, "from Bob")):
            tab.is_marked(text, "queued")
            expect(tab.page.locator(".badge")).to_contain_text("1 message to send")
        second.page.close()

    def after() -> None:
        alice.page.reload()
        for tab in (alice, bob):
            tab.live()
            for text in ("before", "first tab", "second tab", "from Bob"):
                tab.sees(text)
                expect(tab.page.locator(".message", has_text=text)).to_have_count(1)
        bob.is_marked("from Bob", "read")

    with forked_daemon(config) as addresses:
        daemon = Daemon(config, addresses)
        with at_peace(browser, addresses.http) as people:
            alice, second, bob = await browser.run(before)
    await browser.run(meanwhile)
    with forked_daemon(on_ports(config, daemon)):
        await browser.run(after)
    assert people.complaints == []


async def test_bad_surroundings_are_survived_and_said(daemon: Daemon, browser: Browser) -> None:
    """A browser that keeps nothing, a clock that is wrong by a day, and a picture that does not load."""

    def attach(page: Page) -> None:
        with page.expect_file_chooser() as chooser:
            page.get_by_role("button", name="Attach files").click()
        chooser.value.set_files({"name": "cat.png", "mimeType": "image/png", "buffer": picture()})

    def steps() -> None:
        with at_peace(browser, daemon.addresses.http) as people:
            alice = people.tab()
            alice.page.add_init_script(DENIED)
            alice.sign_in("Alice")
            expect(alice.page.locator(".banner")).to_contain_text("This browser keeps nothing for this page (denied).")
            bob = people.tab()
            bob.page.clock.install()
            bob.page.clock.set_system_time(bob.page.evaluate("Date.now()") - DAY_MS)
            bob.sign_in("Bob", alice.link())
            bob.write("Hello from yesterday")
            alice.page.get_by_role("link", name="Bob").click()
            alice.sees("Hello from yesterday")
            for tab in (alice, bob):
                expect(tab.page.locator(".line", has_text="Today")).to_have_count(1)
            bob.page.route("**/signed?**", lambda route: route.abort())
            attach(alice.page)
            # A file that waits stays when another view is opened.
            alice.page.get_by_role("button", name="Settings").click()
            alice.page.get_by_role("link", name="Bob").click()
            expect(alice.page.locator(".tray")).to_contain_text("cat.png")
            alice.write("A picture")
            missing = bob.sees("A picture").get_by_text("The picture could not be loaded.")
            expect(missing).to_be_visible()
            bob.page.unroute("**/signed?**")
            bob.page.get_by_role("button", name="Try again").click()
            expect(bob.page.get_by_role("img", name="Picture: cat.png")).to_have_js_property("naturalWidth", 40)

    await browser.run(steps)
