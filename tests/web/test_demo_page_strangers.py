"""Strangers on the demo page: skip, keep, report, block; and the settings, groups and requests of two people."""

import re

from msgspec.structs import replace
from playwright.sync_api import expect

from chatd.core.config import Config
from chatd.db.postgres import Postgres
from chatd.matching.settings import MatchSettings
from tests.support import running
from tests.web.browser import Browser
from tests.web.conftest import for_pages
from tests.web.demo import People, Tab, at_peace


def find(*tabs: Tab) -> None:
    """Both search, and are found."""
    for tab in tabs:
        tab.page.goto(f"{tab.url}/#/strangers")
        if tab.page.get_by_text("Searching for a stranger…").count() == 0:
            tab.page.get_by_role("button", name="Find a stranger").click()
    for tab in tabs:
        tab.page.wait_for_url("**/#/c/*")
        expect(tab.page.locator(".pane-subtitle")).to_have_text("a stranger")


def choose(tab: Tab, button: str) -> None:
    tab.page.get_by_role("group", name="Stranger").get_by_role("button", name=button).click()


async def test_strangers_skip_keep_report_and_block(config: Config, store: Postgres, browser: Browser) -> None:
    def steps(people: People) -> None:
        alice, bob = people.tab().sign_in("Alice"), people.tab().sign_in("Bob")
        find(alice, bob)
        alice.write("Hello stranger")
        bob.sees("Hello stranger")
        # Bob reloads: the match goes on.
        bob.page.reload()
        bob.sees("Hello stranger")
        choose(alice, "Next stranger")
        expect(bob.page.get_by_text("The stranger is gone.")).to_be_visible()
        expect(alice.page.get_by_text("Searching for a stranger…")).to_be_visible()
        find(bob, alice)
        choose(alice, "Report")
        alice.page.get_by_label("Reason").select_option("abuse")
        alice.page.get_by_role("dialog").get_by_role("button", name="Report").click()
        expect(alice.page.get_by_text("The moderators will look at it.")).to_be_visible()
        choose(alice, "Keep in touch")
        expect(alice.page.get_by_text("You want to keep in touch.")).to_be_visible()
        choose(bob, "Keep in touch")
        for tab in (alice, bob):
            expect(tab.page.get_by_role("group", name="Stranger")).to_have_count(0)
        bob.write("We keep in touch")
        alice.sees("We keep in touch")
        expect(alice.page.locator(".pane-title")).to_have_text("Bob")

        carol, dan = people.tab().sign_in("Carol"), people.tab().sign_in("Dan")
        find(carol, dan)
        choose(carol, "Block")
        carol.page.get_by_role("dialog").get_by_role("button", name="Block").click()
        expect(dan.page.get_by_text("The stranger is gone.")).to_be_visible()

    config = for_pages(config).using(replace(config.get(MatchSettings), relax=0.1))
    async with running(config) as daemon:
        with at_peace(browser, daemon.addresses.http) as people:
            await browser.run(steps, people)
    assert await store.value("select reason from reports") == "abuse"


async def test_groups_requests_settings_and_the_end(config: Config, browser: Browser) -> None:
    def steps(people: People) -> None:
        alice, bob = people.tab().sign_in("Alice"), people.tab().sign_in("Bob")
        bob.page.goto(f"{bob.url}/#/settings")
        bob.page.get_by_label("Handle").fill("bob_b")
        bob.page.get_by_role("button", name="Save the profile").click()
        expect(bob.page.get_by_text("Saved.")).to_be_visible()
        bob.page.get_by_label("Who may write to me without a request").select_option("contacts")
        bob.page.get_by_label("Who may add me to groups without a request").select_option("contacts")
        expect(bob.page.get_by_text("Saved.")).to_have_count(3)

        # A request, which Bob accepts.
        alice.page.get_by_role("searchbox", name="Search").fill("bob_")
        alice.page.get_by_role("link", name=re.compile("@bob_b")).click()
        alice.write("May I?")
        expect(alice.sees("May I?")).not_to_have_attribute("data-state", "queued")
        bob.page.get_by_role("button", name="1 request").click()
        expect(bob.page.get_by_role("dialog")).to_contain_text("May I?")
        bob.page.get_by_role("button", name="Accept: Alice").click()
        bob.page.keyboard.press("Escape")
        bob.page.get_by_role("link", name="Alice").click()
        bob.sees("May I?")

        # A group by an invite link; Alice makes Bob an admin, and removes him.
        alice.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        alice.page.get_by_role("button", name="New conversation").first.click()
        alice.page.get_by_role("button", name="New group").click()
        alice.page.get_by_label("Name of the group").fill("Team")
        alice.page.get_by_role("button", name="Create the group").click()
        alice.page.get_by_role("button", name="Members").click()
        alice.page.get_by_role("button", name="Copy an invite link").click()
        expect(alice.page.get_by_text("An invite link for a week is copied.")).to_be_visible()
        bob.page.goto(alice.page.evaluate("navigator.clipboard.readText()"))
        expect(bob.page.locator(".pane-title")).to_have_text("Team")
        alice.sees("Bob joined")
        bob.write("Hello team")
        expect(alice.sees("Hello team").locator(".sender")).to_have_text("Bob")
        alice.page.get_by_role("button", name="Actions for Bob").click()
        alice.page.get_by_role("menuitem", name="Make admin").click()
        bob.sees("Alice made you admin")
        alice.page.get_by_role("button", name="Actions for Bob").click()
        alice.page.get_by_role("menuitem", name="Remove from the group").click()
        alice.page.get_by_role("dialog").get_by_role("button", name="Remove").click()
        expect(bob.page.get_by_text("You were removed from this conversation.")).to_be_visible()

        # Mute, archive, and the end.
        alice.page.get_by_role("button", name="Conversation", exact=True).click()
        alice.page.get_by_role("menuitem", name="Mute for 8 hours").click()
        expect(alice.page.locator(".row", has_text="Team")).to_contain_text("muted")
        alice.page.get_by_role("button", name="Conversation", exact=True).click()
        alice.page.get_by_role("menuitem", name="Archive").click()
        expect(alice.page.locator(".row", has_text="Team")).to_have_count(0)
        alice.page.get_by_role("button", name="Archived").click()
        expect(alice.page.locator(".row", has_text="Team")).to_have_count(1)
        bob.page.goto(f"{bob.url}/#/settings")
        expect(bob.page.get_by_text("this device")).to_be_visible()
        bob.page.get_by_role("button", name="Sign out", exact=True).click()
        bob.page.get_by_role("dialog").get_by_role("button", name="Sign out").click()
        expect(bob.page.get_by_text("You have signed out.")).to_be_visible()

    async with running(for_pages(config)) as daemon:
        with at_peace(browser, daemon.addresses.http) as people:
            await browser.run(steps, people)
