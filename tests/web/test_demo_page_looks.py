"""How the demo page looks: four sizes, two themes and two directions, with the worst names and texts.

With CHATD_TEST_SCREENSHOTS, a folder, each view is stored there as a picture.
"""

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.support import Daemon
from tests.web.browser import Browser
from tests.web.demo import Tab, at_peace
from tests.web.test_admin_pages import RIGHT_TO_LEFT, SERIOUS, SIZES, THEMES

MARKUP = "<img src=x onerror=alert(1)>\"'&amp;</title><script>alert(2)</script>"
HUGE = "x" * 16_384


def faults_of(tab: Tab, name: str, with_axe: bool) -> list[Any]:
    """What is wrong with the view that is open."""
    tab.shot(name)
    page = tab.page
    wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    faults: list[Any] = [f"{name} is {wide} px too wide"] * (wide > 0)
    inner = page.evaluate(
        "[...document.querySelectorAll('.messages-scroller, .list-scroller, .pane, .side, .panel, dialog, .menu')]"
        ".filter((one) => one.scrollWidth > one.clientWidth + 1).map((one) => one.className || one.tagName)"
    )
    faults += [f"{name}: {one} is too wide" for one in inner]
    if with_axe:
        found = Axe().run(page).response["violations"]
        faults += [(name, one["id"], one["nodes"][0]["html"][:300]) for one in found if one["impact"] in SERIOUS]
    return faults


@pytest.mark.parametrize("theme", THEMES)
async def test_views_fit_and_have_no_barriers(daemon: Daemon, browser: Browser, theme: str) -> None:
    """No view is wider than the window, markup stays text, no policy complains, and axe-core finds nothing serious."""

    def steps() -> list[Any]:
        faults: list[Any] = []
        with at_peace(browser, daemon.addresses.http) as people:
            alice = people.tab(color_scheme=theme, locale="ar" if theme == "dark" else "en-GB")
            page = alice.page
            page.goto(alice.url)
            faults += faults_of(alice, f"{theme}-sign-in", True)
            alice.sign_in(MARKUP)
            bob = people.tab(color_scheme=theme).sign_in(RIGHT_TO_LEFT, alice.link())
            bob.page.wait_for_url("**/#/c/*")
            bob.write(MARKUP)
            bob.write(HUGE)
            bob.write("مرحبا https://example.org/" + "y" * 300)
            page.get_by_role("button", name="New conversation").first.click()
            page.get_by_role("button", name="New group").click()
            page.get_by_label("Name of the group").fill(MARKUP)
            page.get_by_role("button", name="Create the group").click()
            page.wait_for_url("**/#/c/*")
            group = page.url
            alice.write(HUGE)
            alice.sees("Show all")
            page.get_by_role("link", name="evil").click()
            page.wait_for_function("url => location.href !== url", arg=group)
            direct = page.url
            alice.write("مرحبا")
            alice.sees(MARKUP)
            bob.is_marked("Show all", "read")

            for size, (width, height) in SIZES.items():
                page.set_viewport_size({"width": width, "height": height})
                at = f"{theme}-{size}"
                # Both widths of the layout are examined, one in each theme.
                with_axe = size == ("phone" if theme == "light" else "laptop")
                page.goto(direct)
                alice.sees("مرحبا")
                faults += faults_of(alice, f"{at}-conversation", with_axe)
                message = alice.message(MARKUP)
                message.focus()
                page.keyboard.press("Enter")
                faults += faults_of(alice, f"{at}-menu", with_axe)
                page.keyboard.press("Escape")
                page.keyboard.press("t")
                expect(page.get_by_role("complementary", name="Thread").locator(".message")).to_have_count(1)
                faults += faults_of(alice, f"{at}-thread", with_axe)
                page.goto(group)
                page.get_by_role("button", name="Members").click()
                faults += faults_of(alice, f"{at}-group", with_axe)
                page.goto(f"{alice.url}/#/settings")
                expect(page.get_by_label("Handle")).to_be_visible()
                expect(page.get_by_text("this device")).to_be_visible()
                faults += faults_of(alice, f"{at}-settings", with_axe)
                page.goto(f"{alice.url}/#/strangers")
                page.get_by_label("Interests").wait_for()
                faults += faults_of(alice, f"{at}-strangers", with_axe)
                page.goto(f"{alice.url}/#/")
                page.locator(".row").first.wait_for()
                faults += faults_of(alice, f"{at}-list", with_axe)
                page.get_by_role("searchbox", name="Search").fill("مرحبا")
                page.locator(".hit").first.wait_for()
                faults += faults_of(alice, f"{at}-search", with_axe)
                page.get_by_role("searchbox", name="Search").press("Escape")
                page.get_by_role("button", name="New conversation").first.click()
                faults += faults_of(alice, f"{at}-dialog", with_axe)
                page.keyboard.press("Escape")
            assert page.locator("img[src=x], script:not([src])").count() == 0
        return faults

    assert await browser.run(steps) == []
