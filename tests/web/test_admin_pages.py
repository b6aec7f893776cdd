"""The pages for admins in a browser: charts, keys, pictures that do not load, barriers, and four sizes in two themes.

With CHATD_TEST_SCREENSHOTS, a folder, each page is stored there as a picture.
"""

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from msgspec.structs import replace

from chatd.admin_pages.site import PAGES
from chatd.core.config import Config
from tests.admin_pages.browsing import Site, serving, with_roles
from tests.admins import ANN
from tests.files import picture, stored
from tests.moderation.test_reports import report
from tests.support import Person, poll_until
from tests.web.browser import Browser

SIZES = {"phone": (360, 740), "tablet": (768, 1024), "laptop": (1280, 800), "wide": (1920, 1080)}
THEMES = ("light", "dark")
# Options of axe-core. The themes show the same pages in other colors.
EVERYTHING: dict[str, Any] = {"resultTypes": ["violations"]}
CONTRAST = EVERYTHING | {"runOnly": ["color-contrast"]}
SHOTS = os.environ.get("CHATD_TEST_SCREENSHOTS")
LONG_NAME, RIGHT_TO_LEFT = "W" * 100, "\u202eevil\u202c مرحبا بالعالم"
SERIOUS = ("serious", "critical")


def signed_in(browser: Browser, site: Site, complaints: list[str] | None = None, **options: Any) -> Any:
    """A page after the sign-in. `complaints`: gets what scripts and the policy of the page complain about."""
    complaints = [] if complaints is None else complaints
    page = browser.context(**options).new_page()
    page.on("console", lambda line: complaints.append(line.text) if line.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(site.url)
    page.fill("#token", ANN)
    page.keyboard.press("Enter")
    page.wait_for_url(site.url)
    return page


def paths_of(ids: dict[str, str]) -> Iterator[tuple[str, str]]:
    """The name and the path of each page, with ids of things that exist."""
    for page in PAGES:
        path = page.path
        for name, id_ in ids.items():
            path = path.replace(f"<{name}>", id_)
        if "<" not in path and not path.endswith((".json", ".csv")):
            yield path.strip("/").replace("/", "-"), path


async def filled(site: Site, alice: Person, bob: Person) -> dict[str, str]:
    """Users with difficult names, who have written long texts; a report of them with a picture."""
    conversation = (await alice.call("conversation.create", title=LONG_NAME, members=[bob.user]))["conversation"]["id"]
    await bob.send(conversation, RIGHT_TO_LEFT)
    await alice.send(conversation, "x" * 16_384)
    sent = await bob.send(conversation, "<b>spam</b>")
    upload = await stored(site.daemon, alice.account.access_token, picture())
    made = await report(
        alice, conversation=conversation, message=sent["message"], picture=upload["id"], text="y" * 2000
    )
    return {"report": made, "user": bob.user, "conversation": conversation}


async def test_pages_fit_and_have_no_barriers(config: Config, browser: Browser) -> None:
    """No page is wider than the window, no script and no policy complains, and axe-core finds nothing serious."""
    async with serving(with_roles(config)) as site, site.daemon.people(2) as (alice, bob):
        await alice.call("user.update", name=LONG_NAME)
        await bob.call("user.update", name=RIGHT_TO_LEFT)
        ids = await filled(site, alice, bob)

        def examine() -> list[Any]:
            faults: list[Any] = []
            page = signed_in(browser, site, faults)
            for name, path in paths_of(ids):
                page.goto(site.url.removesuffix("/admin") + path)
                if name == "admin":
                    page.wait_for_selector(".u-over")
                for theme in THEMES:
                    page.emulate_media(color_scheme=theme)
                    faults += [(name, theme, fault) for fault in too_wide(page, f"{theme}-{{}}-{name}.png")]
                    faults += [
                        (name, theme, fault) for fault in barriers(page, EVERYTHING if theme == "light" else CONTRAST)
                    ]
            return faults

        assert await browser.run(examine) == []


def too_wide(page: Any, picture: str) -> Iterator[str]:
    """What is wider than the window, which in the end is that of a phone. `picture`: the name of a screenshot."""
    for size, (width, height) in reversed(SIZES.items()):
        page.set_viewport_size({"width": width, "height": height})
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        if wide > 0:
            yield f"{wide} px too wide at {size}"
        if SHOTS:
            page.screenshot(path=Path(SHOTS, picture.format(size)), full_page=True)


def barriers(page: Any, options: dict[str, Any]) -> list[tuple[str, str]]:
    found = Axe().run(page, options=options).response["violations"]
    return [(one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in SERIOUS]


async def test_the_overview_draws_live_charts(config: Config, browser: Browser) -> None:
    async with serving(with_roles(config)) as site, site.daemon.pair() as (alice, _, conversation):
        page = await browser.run(signed_in, browser, site)

        def connections() -> str:
            return str(page.inner_text('[data-now="connections"]'))

        def messages() -> float:
            return float(page.inner_text('[data-now="messages"]').replace("–", "0"))

        async def send() -> float:
            await alice.send(conversation)
            return await browser.run(messages)

        await poll_until(lambda: browser.run(connections), lambda text: text == "2", 30)
        await poll_until(send, lambda count: count > 0, 30)
        assert await browser.run(lambda: page.locator(".u-over").count()) == 7
        assert await browser.run(lambda: page.inner_text("#nodes tbody tr td .state")) == "ready"
        await site.node.db.run("delete from admin_sessions")
        await browser.run(lambda: page.wait_for_url("**/sign-in**"))


async def test_a_report_is_decided_by_keyboard_alone(config: Config, browser: Browser) -> None:
    """From the sign-in to the last decision, without a pointer."""
    async with serving(with_roles(config)) as site, site.daemon.people(3) as (alice, bob, carol):
        for other in (bob, carol):
            await alice.call("conversation.open", user=other.user)
            await report(alice, user=other.user, reason="spam")

        def decide() -> list[str]:
            page = browser.context().new_page()
            page.goto(site.url)
            page.keyboard.type(ANN)
            page.keyboard.press("Enter")
            page.wait_for_url(site.url)
            page.keyboard.press("Tab")
            focused = [page.evaluate("document.activeElement.textContent")]
            page.keyboard.press("Enter")
            page.goto(f"{site.url}/reports")
            for _ in range(40):
                page.keyboard.press("Tab")
                if page.evaluate("document.activeElement.matches('tbody th a')"):
                    break
            page.keyboard.press("Enter")
            page.wait_for_selector("#decision")
            # A key that is typed into a field decides nothing.
            page.focus("#decide-note")
            page.keyboard.type("banned before")
            assert page.locator("#decision").count() == 1
            page.keyboard.press("Escape")
            page.evaluate("document.activeElement.blur()")
            page.keyboard.press("s")
            page.wait_for_selector("text=The report is resolved.")
            focused.append(page.inner_text("#decision ~ dl"))
            page.keyboard.press("d")
            page.wait_for_selector("text=There are none.")
            return focused

        focused = await browser.run(decide)
        assert focused[0] == "Skip to the content"
        rows = await site.node.db.all("select outcome, note from reports order by id desc")
        assert [(row["outcome"], row["note"]) for row in rows] == [("upheld", "banned before"), ("dismissed", None)]
        assert await site.node.db.value("select count(*) from strikes") == 1


async def test_a_picture_that_does_not_load_is_replaced(config: Config, browser: Browser) -> None:
    async with serving(with_roles(config)) as site, site.daemon.pair() as (alice, bob, _):
        upload = await stored(site.daemon, alice.account.access_token, picture())
        made = await report(alice, user=bob.user, reason="spam", picture=upload["id"])

        def texts() -> tuple[int, str]:
            page = signed_in(browser, site)
            page.goto(f"{site.url}/reports/{made}")
            page.locator(".picture img").evaluate("image => image.decode()")
            shown = page.evaluate("document.querySelector('.picture img').naturalWidth")
            page.route("**/files/**", lambda route: route.abort())
            page.reload()
            return shown, page.inner_text(".picture .missing")

        assert await browser.run(texts) == (40, "The picture could not be loaded.")


async def test_a_picture_that_fails_before_the_scripts_run_is_replaced(config: Config, browser: Browser) -> None:
    """The order of events of a busy machine: the script is answered after the picture has failed."""
    async with serving(with_roles(config)) as site, site.daemon.pair() as (alice, bob, _):
        upload = await stored(site.daemon, alice.account.access_token, picture())
        made = await report(alice, user=bob.user, reason="spam", picture=upload["id"])

        def texts() -> tuple[str, bool]:
            page, waiting, failed = signed_in(browser, site), list[Any](), list[Any]()

            def go_on(known: list[Any], one: Any) -> None:
                known.append(one)
                if waiting and failed:
                    waiting.pop().continue_()

            page.on("requestfailed", partial(go_on, failed))
            page.route("**/files/**", lambda route: route.abort())
            page.route("**/admin.js", lambda route: go_on(waiting, route))
            page.goto(f"{site.url}/reports/{made}")
            shown = page.inner_text(".picture .missing")
            # A lazy picture far below, which is not requested, is no failure.
            lazy = """() => {
                const space = document.createElement("div"), image = document.createElement("img");
                space.append("x\\n".repeat(20000));
                space.style.whiteSpace = "pre";
                image.loading = "lazy";
                image.src = "/admin/static/icon.svg?later";
                document.body.append(space, image);
                return image.complete;
            }"""
            return shown, page.evaluate(lazy)

        assert await browser.run(texts) == ("The picture could not be loaded.", False)


async def test_the_clock_of_the_browser_does_not_matter(config: Config, browser: Browser) -> None:
    async with serving(with_roles(config)) as site:

        def opened() -> list[str]:
            paths = []
            for days in (-1, 1):
                context = browser.context()
                page = context.new_page()
                page.clock.install()
                page.clock.set_system_time(site.node.clock() + days * 86_400_000)
                page.goto(site.url)
                page.fill("#token", ANN)
                page.click("button.primary")
                page.goto(f"{site.url}/reports")
                paths.append(page.url.removeprefix(site.url))
            return paths

        assert await browser.run(opened) == ["/reports", "/reports"]


async def test_the_cookie_is_hidden_from_scripts_and_forms_of_other_pages(config: Config, browser: Browser) -> None:
    """A page of another origin posts a form with all fields but the token; its cookies are not sent, and nothing is done."""
    config = replace(config, http=replace(config.http, admin_hosts=["admin.test"]))
    async with serving(with_roles(config)) as site, site.daemon.person() as alice:

        def attack() -> tuple[str, str]:
            page = signed_in(browser, site)
            seen = page.evaluate("document.cookie")
            form = (
                f'<form method="post" action="{site.url}/do/strike"><input name="user" value="{alice.user}">'
                '<input name="reason" value="x"></form><script>document.forms[0].submit()</script>'
            )
            page.route("http://evil.test/", lambda route: route.fulfill(body=form, content_type="text/html"))
            page.goto("http://evil.test/")
            page.wait_for_url("**/do/strike")
            return seen, page.inner_text("h1")

        assert await browser.run(attack) == ("", "Not allowed")
        assert await site.node.db.value("select count(*) from strikes") == 0


async def test_after_the_sign_out_nothing_comes_back(config: Config, browser: Browser) -> None:
    """Neither the back button nor a second tab shows a page of the session that has ended."""
    async with serving(with_roles(config)) as site, site.daemon.pair() as (alice, bob, _):
        made = await report(alice, user=bob.user, reason="spam", text="what nobody may see")

        def opened() -> list[str]:
            page = signed_in(browser, site)
            other = page.context.new_page()
            for one in (page, other):
                one.goto(f"{site.url}/reports/{made}")
                assert "what nobody may see" in one.content()
            page.click("text=Sign out")
            page.wait_for_selector("#token")
            page.go_back()
            other.reload()
            return [one.content() for one in (page, other) if "what nobody may see" in one.content()]

        assert await browser.run(opened) == []
