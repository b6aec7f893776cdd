"""Signing in to the pages: sessions, forms of other sites, lockout, one-time codes."""

import re

import pytest
import trio
from msgspec.structs import replace

from chatd.admin_pages import lockout
from chatd.admin_pages.app import SECURITY
from chatd.admin_pages.door import AdminAddress
from chatd.admin_pages.settings import AdminPagesSettings
from chatd.admin_pages.site import OWN_FORMS
from chatd.admin_pages.totp import OneTimeCodes, code_at, step_of
from chatd.cli.common import only_one
from chatd.core.config import Config
from chatd.daemon import run
from tests.admin_pages.browsing import MOD, VIEW, Site, open_site, serving, with_roles
from tests.admins import ANN, BEN, administered
from tests.moderation.test_reports import report


async def acts_of(site: Site) -> list[tuple[str, str]]:
    rows = await site.node.db.all("select actor, act from audit_log order by id")
    return [(row["actor"], row["act"]) for row in rows]


async def test_an_admin_signs_in_and_out(config: Config) -> None:
    async with serving(with_roles(config)) as site:
        browser = site.browser()
        shown = await browser.get("/admin/reports")
        assert shown.path == "/admin/sign-in?back=%2Fadmin%2Freports"
        shown = await browser.sign_in("guess" * 8, page=shown)
        assert (shown.status, "not the token of an admin" in shown.text) == (401, True)
        shown = await browser.sign_in(ANN, page=shown)
        assert (shown.status, shown.path) == (200, "/admin/reports")
        assert await acts_of(site) == [("ann", "admin.sign_in")]
        kept = dict(browser.cookies)
        shown = await browser.send(shown, "/admin/sign-out")
        assert "Token of the admin" in shown.text
        browser.cookies = kept
        assert (await browser.get("/admin/reports")).path.startswith("/admin/sign-in")


async def test_session_cookie_is_strict_and_secure_except_on_loopback(config: Config) -> None:
    config = replace(config, http=replace(config.http, admin_hosts=["admin.test"]))
    async with serving(with_roles(config)) as site:
        for host, start in (
            ("localhost", "chatd_admin="),
            ("127.0.0.1:1", "chatd_admin="),
            ("admin.test", "__Host-chatd_admin="),
        ):
            browser = site.browser()
            origin = {"Host": host, "Origin": f"http://{host}"}
            page = await browser.request("GET", "/admin/sign-in", Host=host)
            filled = page.form("/admin/sign-in").fields | {"token": ANN}
            answer = await browser.request("POST", "/admin/sign-in", filled, **origin)
            assert answer.status == 303
            (cookie,) = (line for line in browser.set_cookies if line.startswith(start))
            flags = {part.strip().lower() for part in cookie.split(";")[1:]}
            assert {"httponly", "samesite=strict", "path=/"} <= flags
            assert ("secure" in flags) == (host == "admin.test")
            assert not {flag for flag in flags if flag.startswith(("expires", "max-age", "domain"))}


async def test_every_response_forbids_scripts_frames_and_caches(config: Config) -> None:
    async with serving(with_roles(config)) as site:
        browser = await site.signed_in()
        for path in ("/admin", "/admin/reports", "/admin/nothing", "/admin/sign-in", "/admin/live.json", "/nothing"):
            headers = (await browser.request("GET", path)).answer.headers
            policy = headers["content-security-policy"]
            assert "unsafe" not in policy
            assert policy.startswith("default-src 'none'")
            assert "frame-ancestors 'none'" in policy
            assert (headers["x-frame-options"], headers["referrer-policy"]) == ("DENY", "same-origin")
            assert headers["cache-control"] == "no-store"
        for path in ("/admin", "/admin/reports", "/admin/security"):
            html = (await browser.get(path)).html
            assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=|javascript:", html), path


async def test_unknown_host_names_are_refused(config: Config) -> None:
    async with serving(with_roles(config)) as site:
        for host in ("evil.test", "localhost.evil.test", "chatd"):
            assert (await site.browser().request("GET", "/admin/sign-in", Host=host)).status == 403


async def test_a_long_form_is_read_and_the_socket_is_elsewhere(config: Config) -> None:
    """A form may be longer than other bodies of the HTTP port; and a WebSocket is told its address."""
    brief = with_roles(config)
    async with serving(replace(brief, http=replace(brief.http, max_body_bytes=1000, body_timeout=600))) as site:
        browser = site.browser()
        shown = await browser.sign_in("x" * 200_000)
        assert shown.status == 401
        headers = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec_WebSocket_Version": "13"}
        key = {"Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ=="}
        answer = (await browser.request("GET", "/admin", **headers, **key)).answer
        assert (answer.status, answer.body["code"]) == (404, "not_found")
        assert answer.body["message"] == f"the WebSocket is at {site.node.config.gateway.public_url}"


async def test_forms_of_other_sites_and_without_their_token_are_refused(config: Config) -> None:
    async with serving(with_roles(config)) as site, site.daemon.pair() as (alice, bob, _):
        browser = await site.signed_in()
        made = await report(alice, user=bob.user, reason="spam")
        form = (await browser.get(f"/admin/reports/{made}")).form("/admin/do/report-resolve").fields | {
            "sanction": "ban"
        }
        other_session = await site.signed_in(MOD)
        stolen = (await other_session.get(f"/admin/reports/{made}")).form("/admin/do/report-resolve").fields["csrf"]

        async def state() -> str:
            return str(await site.node.db.value("select state from reports"))

        for headers in (
            {"Sec_Fetch_Site": "cross-site"},
            {"Sec_Fetch_Site": "same-site"},
            {"Origin": "https://evil.test"},
            {"Origin": "null", "Sec_Fetch_Site": ""},
            {"Origin": "", "Sec_Fetch_Site": ""},
        ):
            answer = await browser.request("POST", "/admin/do/report-resolve", form, **headers)
            assert (answer.status, await state()) == (403, "open"), headers
            answer = await browser.request("POST", "/admin/sign-out", form, **headers)
            assert answer.status == 403
        for token in ("", "x", stolen, form["csrf"] + "x"):
            answer = await browser.request("POST", "/admin/do/report-resolve", form | {"csrf": token})
            assert (answer.status, await state()) == (403, "open"), token
            assert "Nothing was done" in answer.text
        for kind in ("application/json", "text/plain", "multipart/form-data; boundary=x"):
            answer = await browser.request("POST", "/admin/do/report-resolve", form, Content_Type=kind)
            assert (answer.status, await state()) == (400, "open"), kind
        assert (await browser.request("GET", "/admin/do/report-resolve")).status in (404, 405)
        assert (await browser.get("/admin/reports")).status == 200
        assert (await browser.followed(await browser.request("POST", "/admin/do/report-resolve", form))).status == 200
        assert await state() == "resolved"


async def test_an_expired_session_loses_nothing_of_a_form(config: Config) -> None:
    """The sign-in shows the form again with what was typed, and sends nothing by itself."""
    async with serving(with_roles(config)) as site, site.daemon.pair() as (alice, bob, _):
        browser = await site.signed_in()
        made = await report(alice, user=bob.user, reason="spam")
        page = await browser.get(f"/admin/reports/{made}")
        await site.node.db.run("update admin_sessions set ends_at = 1")
        note = 'third time <b>"& \u202e\nsecond line'
        shown = await browser.send(page, "/admin/do/report-resolve", sanction="strike", note=note)
        assert (shown.status, "Your session has ended" in shown.text) == (401, True)
        shown = await browser.sign_in("wrong" * 8, page=shown)
        shown = await browser.sign_in(ANN, page=shown)
        assert "Nothing was done yet" in shown.text
        assert await site.node.db.value("select state from reports") == "open"
        assert shown.form("/admin/do/report-resolve").fields["note"].replace("\r\n", "\n") == note
        shown = await browser.send(shown, "/admin/do/report-resolve")
        assert "The report is resolved" in shown.text
        row = await site.node.db.one("select note, outcome from reports")
        assert dict(row) == {"note": note, "outcome": "upheld"}
        assert await site.node.db.value("select count(*) from strikes") == 1


async def test_a_sign_in_that_succeeds_always_opens_a_session(config: Config) -> None:
    """With a kept form of a foreign tenant, or one that cannot be read, the admin is signed in, and the page says so."""
    async with serving(with_roles(config)) as site:
        for kept, status in (("tenant=default", 404), ("tenant=nothing", 404), ("&".join(["x=1"] * 100), 400)):
            browser = site.browser()
            page = await browser.get("/admin/sign-in")
            shown = await browser.send(page, "/admin/sign-in", token=BEN, action="strike", kept=kept)
            assert shown.status == status, kept
            assert "You are signed in, and your form was not sent" in shown.text
            assert (await browser.get("/admin/reports")).path == "/admin/reports"


async def test_a_sign_in_form_of_an_earlier_sign_in_says_so_and_works_again(config: Config) -> None:
    async with serving(with_roles(config)) as site:
        browser = site.browser()
        old = await browser.get("/admin/sign-in?back=/admin/bans")
        await browser.sign_in(ANN)
        browser.cookies.clear()
        shown = await browser.sign_in(ANN, page=old)
        assert (shown.status, "open for too long" in shown.text) == (403, True)
        assert (await browser.sign_in(ANN, page=shown)).path == "/admin/bans"


async def test_a_sign_in_ends_the_session_that_the_browser_had(config: Config) -> None:
    """So a session that somebody else has put into the browser, or that was forgotten in it, is not left open."""
    async with serving(with_roles(config)) as site:
        browser, other = await site.signed_in(), site.browser()
        planted = browser.cookies["chatd_admin"]
        page = await other.get("/admin/sign-in")
        other.cookies["chatd_admin"] = planted
        await other.sign_in(ANN, page=page)
        assert other.cookies["chatd_admin"] != planted
        assert (await browser.get("/admin")).path.startswith("/admin/sign-in")
        assert (await other.get("/admin")).path == "/admin"


async def test_sessions_end_by_idleness_by_age_and_with_the_token(config: Config) -> None:
    async with serving(with_roles(config)) as site:
        for change in (
            "update admin_sessions set seen_at = now_ms() - 1801 * 1000",
            "update admin_sessions set ends_at = now_ms()",
            "update admin_sessions set token_hash = '\\x00'",
            "update admin_sessions set admin = 'gone'",
        ):
            browser = await site.signed_in()
            assert (await browser.get("/admin/reports")).path == "/admin/reports"
            await site.node.db.run(change)
            assert (await browser.get("/admin/reports")).path.startswith("/admin/sign-in"), change
            assert (await browser.request("GET", "/admin/live.json")).status == 401
            await site.node.db.run("delete from admin_sessions")
        for _ in range(25):
            browser = await site.signed_in()
        assert await site.node.db.value("select count(*) from admin_sessions") == 20
        assert (await browser.get("/admin")).path == "/admin"


async def test_live_figures_do_not_prolong_a_session(config: Config) -> None:
    async with serving(with_roles(config)) as site:
        browser = await site.signed_in()
        stale = "update admin_sessions set seen_at = now_ms() - 60000 returning seen_at"
        seen = await site.node.db.value(stale)
        assert (await browser.request("GET", "/admin/live.json")).status == 200
        assert await site.node.db.value("select seen_at from admin_sessions") == seen
        await browser.get("/admin")
        assert await site.node.db.value("select seen_at from admin_sessions") > seen


async def test_an_address_is_locked_out_after_failures_on_all_nodes(config: Config) -> None:
    config = with_roles(config)
    async with serving(config) as site, serving(config) as other:
        browser = site.browser()
        for _ in range(lockout.MAX_OF_ADDRESS):
            assert (await browser.sign_in("wrong" * 8)).status == 401
        for one in (site, other):
            shown = await one.browser().sign_in(ANN)
            assert (shown.status, "too many failed sign-ins" in shown.text) == (429, True)
        keys = await site.node.db.all("select key from admin_sign_in_attempts")
        assert len(keys) == 1
        await site.node.db.run("update admin_sign_in_attempts set first_at = now_ms() - 900001")
        assert (await browser.sign_in(ANN)).path == "/admin"
        assert await site.node.db.value("select count(*) from admin_sign_in_attempts") == 0


async def test_attempts_at_the_same_time_are_counted_before_they_are_checked(config: Config) -> None:
    async with serving(with_roles(config)) as site:
        statuses: list[int] = []

        async def attempt() -> None:
            statuses.append((await site.browser().sign_in("wrong" * 8)).status)

        async with trio.open_nursery() as nursery:
            for _ in range(2 * lockout.MAX_OF_ADDRESS):
                nursery.start_soon(attempt)
        assert sorted(statuses) == [401] * lockout.MAX_OF_ADDRESS + [429] * lockout.MAX_OF_ADDRESS


async def test_one_time_codes_are_set_up_required_and_used_once(config: Config) -> None:
    async with serving(with_roles(config)) as site:
        browser = await site.signed_in()
        page = await browser.get("/admin/security")
        page = await browser.send(page, "/admin/security/begin")
        secret_text = re.search(r"<code class=\"long\">([A-Z2-7]{32})</code>", page.html)
        assert secret_text is not None
        assert "<svg" in page.html
        secret = await site_secret(site, "ann")
        stored = await site.node.db.value("select secret from admin_totp")
        assert secret not in stored
        page = await browser.send(
            page, "/admin/security/finish", code="000000" if code_now(site, secret) != "000000" else "1"
        )
        assert "not right" in page.text
        code = code_now(site, secret)
        page = await browser.send(page, "/admin/security/finish", code=code)
        assert "are set up" in page.text
        fresh = site.browser()
        assert "one-time code as well" in (await fresh.sign_in(ANN)).text
        shown = await fresh.sign_in(ANN, code)
        assert (shown.status, "wrong, was used" in shown.text) == (401, True)
        following = code_at(secret, site.node.clock() // 1000 + 30)
        assert (await fresh.sign_in(ANN, f" {following[:3]} {following[3:]} ")).path == "/admin"
        assert (await site.browser().sign_in(MOD)).path == "/admin"
        assert ("ann", "admin.totp.add") in await acts_of(site)


async def test_wrong_codes_lock_out_the_admin_and_nobody_else(config: Config) -> None:
    async with serving(with_roles(config)) as site:
        browser = await site.signed_in()
        await browser.send(await browser.get("/admin/security"), "/admin/security/begin")
        secret = await site_secret(site, "ann")
        await browser.send(await browser.get("/admin/security"), "/admin/security/finish", code=code_now(site, secret))
        wrong = wrong_code(site, secret)
        for _ in range(lockout.MAX_OF_ADMIN):
            assert (await site.browser().sign_in(ANN, wrong)).status == 401
        following = code_at(secret, site.node.clock() // 1000 + 30)
        shown = await site.browser().sign_in(ANN, following)
        assert (shown.status, "too many wrong codes" in shown.text) == (429, True)
        assert (await site.browser().sign_in(MOD)).path == "/admin"


async def test_wrong_codes_are_counted_wherever_a_code_is_taken(config: Config) -> None:
    """With a stolen session, the codes of the admin are guessed neither by removing them nor in another way."""
    async with serving(with_roles(config)) as site:
        browser = await site.signed_in()
        await browser.send(await browser.get(SECURITY), f"{SECURITY}/begin")
        secret = await site_secret(site, "ann")
        met = set[str]()
        for prepare in ("", "update admin_totp set confirmed_at = now_ms(), last_step = 0"):
            if prepare:
                await site.node.db.run(prepare)
            page = await browser.get(SECURITY)
            for form in page.forms:
                met.add(form.action)
                if "code" not in form.fields:
                    continue
                wrong = wrong_code(site, secret)
                for _ in range(lockout.MAX_OF_ADMIN):
                    assert "not right" in (await browser.send(page, form.action, code=wrong)).text
                shown = await browser.send(page, form.action, code=code_now(site, secret))
                assert (shown.status, "too many wrong codes. Try again in" in shown.text) == (429, True), form.action
                assert (await site.browser().sign_in(ANN, code_now(site, secret))).status == (429 if prepare else 200)
                await site.node.db.run("delete from admin_sign_in_attempts")
        assert met >= OWN_FORMS.keys() - {f"{SECURITY}/begin"}


async def test_codes_can_be_required_of_all_admins(config: Config) -> None:
    config = with_roles(config)
    config = config.using(replace(config.get(AdminPagesSettings), require_totp=True))
    async with serving(config) as site:
        browser = await site.signed_in(VIEW)
        assert (await browser.get("/admin")).path == "/admin/security"
        await browser.send(await browser.get("/admin/security"), "/admin/security/begin")
        secret = await site_secret(site, "view")
        await browser.send(await browser.get("/admin/security"), "/admin/security/finish", code=code_now(site, secret))
        assert (await browser.get("/admin")).path == "/admin"


def test_codes_are_those_of_rfc_6238() -> None:
    """The vectors of appendix B for SHA-1, of which these codes have the last six digits."""
    secret = b"12345678901234567890"
    for at, code in ((59, "94287082"), (1111111109, "07081804"), (1234567890, "89005924"), (20000000000, "65353130")):
        assert code_at(secret, at) == code[-6:]
        assert [step_of(secret, code[-6:], at + late) is not None for late in (-60, -30, 0, 30, 60)] == [
            False, True, True, True, False
        ]  # fmt: skip
    for wrong in ("", "28708", "2870820", "28708a", "２８７０８２", "287 82", "-28708"):
        assert step_of(secret, wrong, 59) is None


async def test_codes_of_another_installation_secret_do_not_open(config: Config) -> None:
    """A row that was copied to another admin, or encrypted with another secret, accepts no code."""
    async with serving(with_roles(config)) as site:
        browser = await site.signed_in()
        await browser.send(await browser.get("/admin/security"), "/admin/security/begin")
        secret = await site_secret(site, "ann")
        await browser.send(await browser.get("/admin/security"), "/admin/security/finish", code=code_now(site, secret))
        await site.node.db.run("update admin_totp set admin = 'mod', last_step = 0")
        assert (await site.browser().sign_in(MOD, code_now(site, secret))).status == 401


async def test_sign_out_ends_the_session_and_other_sessions_can_be_ended(config: Config) -> None:
    async with serving(with_roles(config)) as site:
        one, other = await site.signed_in(), await site.signed_in()
        await one.send(await one.get("/admin/security"), "/admin/security/end-others")
        assert (await other.get("/admin")).path.startswith("/admin/sign-in")
        assert (await one.get("/admin")).path == "/admin"


async def test_after_the_sign_in_no_other_site_is_opened(config: Config) -> None:
    async with serving(with_roles(config)) as site:
        for back in (
            "//evil.test",
            "https://evil.test",
            "/admin//evil.test",
            "/admin\\evil",
            "/adminevil",
            "javascript:x",
            "/v1",
        ):
            browser = site.browser()
            page = await browser.get(f"/admin/sign-in?{back}")
            filled = page.form("/admin/sign-in").fields | {"token": ANN, "back": back}
            answer = await browser.request("POST", "/admin/sign-in", filled)
            assert (answer.status, answer.answer.headers["location"]) == (303, "/admin"), back


async def test_an_admin_of_one_tenant_sees_no_other(config: Config) -> None:
    async with serving(with_roles(config)) as site:
        browser = await site.signed_in(BEN)
        for path in ("/admin/reports", "/admin/reports?tenant=acme"):
            assert (await browser.get(path)).status == 200
        for path in ("/admin/reports?tenant=default", "/admin/reports?tenant=nothing", "/admin?tenant=%00"):
            assert (await browser.get(path)).status == 404, path


async def test_pages_are_not_served_without_admins_or_when_disabled(config: Config) -> None:
    disabled = administered(config).using(replace(config.get(AdminPagesSettings), enabled=False))
    for other in (config, disabled):
        async with open_site(other) as (_, node):
            assert node.services.find(AdminAddress) is None


async def test_the_port_in_use_prevents_the_start(config: Config) -> None:
    async with serving(administered(config)) as site:
        port = site.browser().port
        with pytest.raises(BaseExceptionGroup) as caught:
            await run(administered(config).using(AdminPagesSettings(port=port)))
        assert f"cannot listen on 127.0.0.1:{port}" in str(only_one(caught.value))


async def site_secret(site: Site, admin: str) -> bytes:
    """The secret of an admin who has not confirmed it."""
    secret = await OneTimeCodes(site.node.config, site.node.db).pending(admin)
    assert secret is not None
    return secret


def code_now(site: Site, secret: bytes) -> str:
    return code_at(secret, site.node.clock() // 1000)


def wrong_code(site: Site, secret: bytes) -> str:
    """A code that is wrong now, and remains so for a while."""
    now = site.node.clock() // 1000
    return next(f"{n:06}" for n in range(100) if all(step_of(secret, f"{n:06}", now + s) is None for s in (0, 60, 120)))
