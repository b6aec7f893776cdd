"""The demo page by keyboard alone, and with a list of ten thousand conversations."""

import re

from playwright.sync_api import Page, expect

from chatd.core.config import Config
from chatd.db.postgres import Postgres
from tests.support import Daemon, running
from tests.web.browser import Browser
from tests.web.demo import Tab, at_peace

MANY = 10_000
MADE = """
with made as (
    insert into conversations (tenant, id, kind, title, creator, members, seq, rev, created_at, active_at)
    select 'default', gen_random_uuid(), 'group', 'Group ' || n, $1, 1, 0, 1, n, n from generate_series(1, $2::int) n
    returning tenant, id
)
insert into members (tenant, conversation, user_id, joined_at, rev) select tenant, id, $1, 0, 1 from made
"""


def tab_to(page: Page, name: str, key: str = "Tab") -> None:
    """Press Tab until the control with this name has the focus."""
    wanted = page.locator(":focus")
    for _ in range(40):
        page.keyboard.press(key)
        if wanted.count() and re.search(
            name, wanted.evaluate("e => e.ariaLabel || e.labels?.[0]?.innerText || e.innerText")
        ):
            return
    raise AssertionError(f"{name} cannot be reached with {key}")


def focus_in(tab: Tab, role: str, name: str) -> None:
    expect(tab.page.get_by_role(role, name=name)).to_be_focused()


async def test_twenty_steps_by_keyboard_alone(daemon: Daemon, browser: Browser) -> None:
    def steps() -> None:
        with at_peace(browser, daemon.addresses.http) as people:
            bob = people.tab().sign_in("Bob")
            link = bob.link()
            alice = people.tab()
            page, keys = alice.page, alice.page.keyboard
            page.goto(alice.url)

            def typed(text: str, *presses: str) -> None:
                keys.type(text)
                for press in presses:
                    keys.press(press)

            # 1 to 4: sign in, find Bob by his link, and write.
            focus_in(alice, "textbox", "Your name")
            typed("Alice", "Enter")
            alice.live()
            expect(page.locator(".list-empty")).to_contain_text("No conversations yet.")
            keys.press("n")
            typed(people.url + link, "Enter")
            focus_in(alice, "button", "Choose Bob")
            keys.press("Enter")
            focus_in(alice, "textbox", "Message")
            typed("first line", "Shift+Enter")
            typed("second line", "Enter")
            expect(alice.sees("second line")).not_to_have_attribute("data-state", "queued")
            # 5: edit the last message.
            keys.press("ArrowUp")
            typed(", edited", "Enter")
            expect(alice.sees("second line, edited")).to_contain_text("edited")
            bob.page.goto(f"{bob.url}/#/")
            bob.page.get_by_role("link", name="Alice").click()
            bob.write("from Bob")
            theirs = page.locator(".message.other", has_text="from Bob")
            expect(theirs).to_be_visible()
            # 6 to 9: go to a message, react, reply, and star another one by its menu.
            keys.press("Escape")
            expect(theirs).to_be_focused()
            keys.press("+")
            expect(theirs.get_by_role("button", name="👍, 1 reaction, also yours")).to_be_visible()
            expect(theirs).to_be_focused()
            keys.press("r")
            typed("reply to Bob", "Enter")
            expect(bob.sees("reply to Bob").locator(".quote-text")).to_have_text("from Bob")
            keys.press("Escape")
            keys.press("ArrowUp")
            expect(theirs).to_be_focused()
            keys.press("Enter")
            for _ in range(4):
                keys.press("ArrowDown")
            focus_in(alice, "menuitem", "Star")
            keys.press("Enter")
            expect(theirs).to_contain_text("starred")
            # 10 and 11: reply in a thread, and come back.
            keys.press("t")
            typed("in the thread", "Enter")
            expect(page.get_by_role("complementary", name="Thread").get_by_text("in the thread")).to_be_visible()
            keys.press("Escape")
            expect(page.get_by_role("complementary", name="Thread")).to_have_count(0)
            expect(theirs).to_be_focused()
            # 12 and 13: make a poll, and vote.
            keys.press("Escape")
            tab_to(page, "New poll", "Shift+Tab")
            keys.press("Enter")
            typed("Tea?", "Tab")
            typed("yes", "Tab")
            typed("no", "Enter")
            alice.sees("Tea?")
            keys.press("Escape")
            tab_to(page, "yes")
            keys.press("Space")
            expect(page.locator(".option", has_text="yes").locator(".votes")).to_have_text("1")
            # 14: delete a message of one's own.
            page.locator(":focus").press("Escape")
            tab_to(page, "Message$")
            keys.press("Escape")
            keys.press("ArrowUp")
            expect(alice.message("reply to Bob")).to_be_focused()
            keys.press("Delete")
            focus_in(alice, "button", "Cancel")
            tab_to(page, "Delete")
            keys.press("Enter")
            expect(bob.page.get_by_text("This message was deleted.")).to_be_visible()
            # 15: search, and go to what was found.
            page.locator(":focus").press("/")
            typed("edited")
            expect(page.locator(".hit")).to_have_count(1)
            keys.press("ArrowDown")
            keys.press("Enter")
            expect(alice.message("second line, edited")).to_be_focused()
            # 16 to 18: a group, the conversation before, the list.
            keys.press("n")
            tab_to(page, "New group")
            keys.press("Enter")
            typed("Team")
            tab_to(page, "Create the group")
            keys.press("Enter")
            expect(page.locator(".pane-title")).to_have_text("Team")
            keys.press("Alt+ArrowDown")
            expect(page.locator(".pane-title")).to_have_text("Bob")
            keys.press("F6")
            expect(page.locator(":focus")).to_contain_text("Bob")
            keys.press("ArrowUp")
            expect(page.locator(":focus")).to_contain_text("Team")
            keys.press("Enter")
            expect(page.locator(".pane-title")).to_have_text("Team")
            # 19 and 20: the help, and the theme.
            keys.press("Escape")
            page.locator(":focus").press("F6")
            keys.press("?")
            focus_in(alice, "button", "Close")
            keys.press("Escape")
            tab_to(page, "Settings", "Shift+Tab")
            keys.press("Enter")
            expect(page.get_by_label("Handle")).to_be_visible()
            tab_to(page, "Theme")
            typed("Dark")
            expect(page.locator("html")).to_have_attribute("data-theme", "dark")

    await browser.run(steps)


async def test_ten_thousand_conversations(config: Config, store: Postgres, browser: Browser) -> None:
    """Only the rows in view are in the page; pages are loaded as they come into view."""
    async with running(config) as daemon:

        def sign_in() -> Tab:
            return people.tab().sign_in("Alice")

        def steps() -> None:
            page = alice.page
            page.reload()
            rows = page.locator(".row")
            expect(rows.first).to_contain_text("Group 10000")
            assert rows.count() < 40
            page.get_by_role("link", name="Group 10000").focus()
            for pages in range(1, 4):
                page.keyboard.press("End")
                expect(page.locator(f'.row[aria-posinset="{50 * pages}"] a')).to_be_focused()
                expect(rows.first).to_have_attribute("aria-setsize", str(50 * (pages + 1)))
                assert rows.count() < 40
            page.keyboard.press("Enter")
            expect(page.locator(".pane-title")).to_have_text("Group 9851")
            alice.write("found")
            page.keyboard.press("F6")
            expect(page.locator(":focus")).to_contain_text("You: found")

        with at_peace(browser, daemon.addresses.http) as people:
            alice = await browser.run(sign_in)
            user = await store.value("select id from users where name = 'Alice'")
            await store.run(MADE, str(user), MANY)
            for table in ("conversations", "members"):
                await store.run(f"analyze {table}")
            await browser.run(steps)
