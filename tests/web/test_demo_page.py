"""The demo page: what people do with it in two windows."""

import re
from pathlib import Path

from playwright.sync_api import expect

from tests.files import picture
from tests.support import Daemon
from tests.web.browser import Browser
from tests.web.demo import Tab, at_peace


def from_menu(tab: Tab, text: str, item: str) -> None:
    """Choose from the menu of a message."""
    message = tab.message(text)
    message.hover()
    message.get_by_role("button", name="Actions", exact=True).click()
    tab.page.get_by_role("menuitem", name=item, exact=True).click()


async def test_all_that_is_done_with_messages(daemon: Daemon, browser: Browser, tmp_path: Path) -> None:
    """Links, receipts, presence, replies, edits, reactions, threads, polls, pictures, search, stars and deletion."""
    image = tmp_path / "cat.png"
    image.write_bytes(picture())

    def steps() -> None:
        with at_peace(browser, daemon.addresses.http) as people:
            alice, bob = people.pair()
            expect(alice.page.locator(".pane-subtitle")).to_have_text("online")
            bob.page.get_by_role("textbox", name="Message").press_sequentially("Hel")
            expect(alice.page.locator(".typing")).to_have_text("Bob is typing…")
            bob.write("Hello Alice")
            alice.sees("Hello Alice")
            alice.write("See <b>this</b> https://example.org/?a=b.")
            bob.sees("See <b>this</b>")
            expect(bob.page.get_by_role("link", name="https://example.org/?a=b", exact=True)).to_be_visible()
            bob.page.bring_to_front()
            alice.is_marked("See <b>this</b>", "read")

            from_menu(alice, "Hello Alice", "Reply")
            alice.write("Hello Bob")
            expect(bob.sees("Hello Bob").locator(".quote-text")).to_have_text("Hello Alice")
            from_menu(alice, "Hello Bob", "Edit")
            alice.write("Hello Robert")
            expect(bob.sees("Hello Robert")).to_contain_text("edited")
            from_menu(bob, "Hello Robert", "React: heart")
            heart = alice.message("Hello Robert").get_by_role("button", name="❤️, 1 reaction")
            heart.click()
            expect(bob.page.get_by_role("button", name="❤️, 2 reactions, also yours")).to_be_visible()
            from_menu(bob, "Hello Robert", "Star")
            expect(bob.message("Hello Robert")).to_contain_text("starred")
            from_menu(alice, "Hello Robert", "Read by")
            expect(alice.page.get_by_role("dialog")).to_contain_text("Bob")
            alice.page.keyboard.press("Escape")

            from_menu(bob, "Hello Robert", "Reply in a thread")
            thread = bob.page.get_by_role("complementary", name="Thread")
            thread.get_by_role("textbox", name="Message").fill("In a thread")
            bob.page.keyboard.press("Enter")
            expect(thread.get_by_text("In a thread")).to_be_visible()
            alice.message("Hello Robert").get_by_role("button", name="1 reply").click()
            expect(alice.page.get_by_role("complementary", name="Thread").get_by_text("In a thread")).to_be_visible()
            alice.page.get_by_role("button", name="Close the thread").click()
            bob.page.get_by_role("button", name="Close the thread").click()

            alice.page.get_by_role("button", name="New poll").click()
            alice.page.get_by_label("Question").fill("Lunch?")
            alice.page.get_by_label("Option 1").fill("Pizza")
            alice.page.get_by_label("Option 2").fill("Sushi")
            alice.page.get_by_role("button", name="Send").last.click()
            bob.page.get_by_role("radio", name="Sushi").check()
            expect(alice.page.locator(".option", has_text="Sushi").locator(".votes")).to_have_text("1")
            expect(bob.page.get_by_role("radio", name="Sushi")).to_be_checked()
            alice.page.get_by_role("button", name="Close the poll").click()
            alice.page.get_by_role("dialog").get_by_role("button", name="Close the poll").click()
            expect(bob.page.get_by_role("radio", name="Pizza")).to_be_disabled()

            with alice.page.expect_file_chooser() as chooser:
                alice.page.get_by_role("button", name="Attach files").click()
            chooser.value.set_files(image)
            alice.write("A cat")
            shown = bob.sees("A cat").get_by_role("img", name="Picture: cat.png")
            expect(shown).to_have_js_property("naturalWidth", 40)
            alice.shot("features")

            bob.page.get_by_role("button", name="Record a voice message").click()
            expect(bob.page.get_by_role("timer")).to_have_text("0:01")
            bob.page.get_by_role("button", name="Stop and attach").click()
            bob.page.get_by_role("button", name="Send", exact=True).click()
            expect(alice.page.locator("audio")).to_have_accessible_name("Voice message, 0:01")
            expect(alice.page.locator(".waveform")).to_be_visible()
            alice.page.locator("audio").evaluate("player => player.play()")

            bob.page.get_by_role("searchbox", name="Search").fill("robert")
            bob.page.get_by_role("link", name=re.compile("Hello Robert")).click()
            expect(bob.message("Hello Robert")).to_be_focused()
            from_menu(alice, "Hello Robert", "Delete for everybody")
            alice.page.get_by_role("dialog").get_by_role("button", name="Delete").click()
            expect(bob.page.get_by_text("This message was deleted.")).to_be_visible()

    await browser.run(steps)
