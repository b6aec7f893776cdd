"""The pages with the content of users: any names and texts, many reports, and what the forms do."""

import csv
import io
import re
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote
from uuid import uuid4

from msgspec.structs import replace

from chatd.admin_pages.live import LiveSamples, sample_of
from chatd.core.config import Config
from chatd.core.ids import uuid7
from chatd.db.redis import open_redis
from chatd.operations.snapshot import SnapshotSource
from chatd.people.settings import PeopleSettings
from tests.admin_pages.browsing import MOD, VIEW, Browsing, Shown, Site, serving, with_roles
from tests.admins import BEN, status_of
from tests.files import picture, stored
from tests.moderation.test_reports import report
from tests.support import poll_until

MARKUP = '<img src=x onerror="alert(1)"></td></script><script>alert(2)</script>{{7*7}}\u202e'
RIGHT_TO_LEFT = "مرحبا بالعالم"
REASON = f"reason {MARKUP}"


async def act(browser: Browsing, path: str, action: str, **fields: str) -> Any:
    return await browser.send(await browser.get(path), f"/admin/do/{action}", **fields)


def assert_is_inert(html: str, path: str) -> None:
    """Markup of a user is in the page as text only."""
    assert "<img src=x" not in html, path
    assert 'onerror="alert' not in html, path
    scripts = re.findall(r"<script[^>]*>", html)
    assert all('src="/admin/static/' in script for script in scripts), path
    assert "{{7*7}}" in html or "alert(2)" not in html, path


async def test_markup_of_users_is_shown_as_text_on_every_page(config: Config) -> None:
    config = with_roles(config).using(PeopleSettings(search="names"))
    async with serving(config) as site, site.daemon.person(MARKUP[:100]) as alice, site.daemon.person("bob") as bob:
        group = await alice.call("conversation.create", title=MARKUP[:100], members=[bob.user])
        conversation = group["conversation"]["id"]
        sent = await bob.send(
            conversation, MARKUP, attachments=[{"type": "link", "url": "https://x.test", "title": MARKUP}]
        )
        await bob.send(conversation, RIGHT_TO_LEFT)
        await bob.send(conversation, "x" * 16_384)
        made = await report(alice, conversation=conversation, message=sent["message"], text=MARKUP)
        other = await report(bob, user=alice.user, reason="spam", text=MARKUP)
        browser = await site.signed_in()
        user = f"/admin/users/{alice.user}"
        for action, fields in (
            ("strike", {"reason": REASON}),
            ("ban", {"reason": REASON, "lasts": "3600"}),
            ("profile-clear", {"fields": "avatar", "reason": REASON}),
        ):
            assert (await act(browser, user, action, **fields)).status == 200
        await act(browser, f"/admin/reports/{other}", "report-resolve", sanction="uphold", note=MARKUP)
        await act(browser, "/admin/webhooks", "webhook-add", url="https://hooks.test/x", types="*", note=MARKUP)
        (endpoint,) = await site.node.db.all("select id::text from webhook_endpoints")
        seen = 0
        for path in (
            "/admin", "/admin/reports", "/admin/reports?state=any", f"/admin/reports/{made}", f"/admin/reports/{other}",
            "/admin/users", "/admin/users?query=img", user, "/admin/conversations", f"/admin/conversations?user={bob.user}",
            f"/admin/conversations/{conversation}", "/admin/bans", "/admin/bans?every=yes", "/admin/audit",
            "/admin/bots", "/admin/webhooks", f"/admin/webhooks/{endpoint['id']}", "/admin/settings", "/admin/cluster", "/admin/analytics",
        ):  # fmt: skip
            shown = await browser.get(path)
            assert shown.status == 200, (path, shown.text)
            assert_is_inert(shown.html, path)
            seen += "&lt;img" in shown.html
        assert seen >= 10
        full = (await browser.get(f"/admin/reports/{made}")).html
        assert RIGHT_TO_LEFT in full
        assert "x" * 16_384 in full
        again = await act(browser, user, "ban", reason="", lasts="3600")
        assert "fill this in" in again.text
        messages = await act(
            browser, f"/admin/conversations/{conversation}", "conversation-messages", reason=f"a court order {MARKUP}"
        )
        assert RIGHT_TO_LEFT in messages.html
        assert_is_inert(messages.html, "messages")


async def test_a_report_is_decided_and_the_next_one_is_shown(config: Config) -> None:
    async with serving(with_roles(config)) as site, site.daemon.people(3) as (alice, bob, carol):
        for other in (bob, carol):
            await alice.call("conversation.open", user=other.user)
        shown = await stored(site.daemon, alice.account.access_token, picture())
        first = await report(alice, user=bob.user, reason="spam")
        second = await report(alice, user=carol.user, reason="abuse", picture=shown["id"])
        browser = await site.signed_in(MOD)
        page = await browser.get(f"/admin/reports/{second}")
        assert ("sanction", "ban") in page.form("/admin/do/report-resolve").buttons
        file = await browser.request("GET", f"/admin/reports/{second}/files/{shown['id']}")
        assert (file.status, file.answer.headers["content-type"]) == (200, "image/png")
        assert file.answer.headers["content-security-policy"].startswith("sandbox")
        assert file.answer.headers["cache-control"] == "no-store"
        page = await browser.send(page, "/admin/do/report-resolve", sanction="ban", lasts="604800", note="seen before")
        assert page.path.startswith(f"/admin/reports/{first}?done=report-resolve")
        assert "The report is resolved" in page.text
        assert (await carol.ended()).code == 4403
        page = await browser.send(page, "/admin/do/report-resolve", sanction="dismiss")
        assert "There are none" in page.text
        again = await browser.get(f"/admin/reports/{second}")
        assert "upheld by mod" in again.text
        late = await browser.request("POST", "/admin/do/report-resolve", page_form(again, second))
        assert (late.status, "already resolved" in late.text) == (409, True)
        acts = [
            (row["actor"], row["act"]) for row in await site.node.db.all("select actor, act from audit_log order by id")
        ]
        assert ("mod", "report.file") in acts
        assert acts.count(("mod", "report.resolve")) == 2


def page_form(page: Any, report_id: str) -> dict[str, str]:
    return page.form("/admin/sign-out").fields | {"report": report_id, "sanction": "dismiss", "lasts": "86400"}


async def test_ten_thousand_reports_are_paged(config: Config) -> None:
    async with serving(with_roles(config)) as site:
        now = site.node.clock()
        ids = [uuid7(now - 10_000 + number) for number in range(10_000)]
        await site.node.db.run(
            """
            insert into reports (tenant, id, reporter, target, reported_as, conversation, reason, transcript, created_at)
            select 'default', i, gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'spam', '[]', 1
            from unnest($1::uuid[]) i
            """,
            ids,
        )
        browser, seen = await site.signed_in(), list[str]()
        page = await browser.get("/admin/reports")
        for _ in range(3):
            seen += re.findall(r'href="/admin/reports/([0-9a-f-]{36})"', page.html)
            older = next(link for link in page.links if "before=" in link)
            page = await browser.get(older.replace("&amp;", "&"))
        assert seen == ids[::-1][:150]
        last = await browser.get(f"/admin/reports?before={ids[3]}")
        assert re.findall(r'href="/admin/reports/([0-9a-f-]{36})"', last.html) == ids[:3][::-1]
        assert not [link for link in last.links if "before=" in link]
        assert (await browser.get("/admin/reports?before=nonsense")).status == 400


async def test_acts_on_users_are_those_of_the_admin_api(config: Config) -> None:
    async with (
        serving(with_roles(config)) as site,
        site.daemon.person("alice") as alice,
        site.daemon.person("bob", device="the-device-of-somebody") as bob,
    ):
        browser, user = await site.signed_in(), f"/admin/users/{alice.user}"
        assert "shadow-banned" in (await act(browser, user, "shadow")).text
        assert await site.node.db.value("select shadow_banned from users where id = $1", alice.user)
        await act(browser, user, "shadow")
        assert not await site.node.db.value("select shadow_banned from users where id = $1", alice.user)
        await act(browser, user, "kick")
        assert (await alice.ended()).code == 1001
        await act(browser, user, "revoke")
        assert await status_of(site.daemon, alice) == 401
        page = await act(browser, f"/admin/users/{bob.user}", "ban", reason="flood", lasts="", devices="on")
        assert "permanent" in page.text
        assert (await bob.ended()).code == 4403
        assert await site.node.db.value("select count(*) from bans") == 2
        page = await browser.send(await browser.get(f"/admin/users/{bob.user}"), "/admin/do/ban-lift")
        assert "The ban is lifted" in page.text
        page = await act(browser, user, "erase")
        assert "Tick the box" in page.text
        assert await site.node.db.value("select count(*) from erasures") == 0
        page = await browser.send(page, "/admin/do/erase", confirm="on")
        assert "The erasure has started" in page.text
        assert await site.node.db.value("select actor from erasures") == "ann"
        for path in ("/admin/users/nonsense", f"/admin/users/{uuid4()}", "/admin/reports/x", "/admin/conversations/x"):
            assert (await browser.get(path)).status == 404


async def test_users_are_found(config: Config) -> None:
    named = with_roles(config).using(PeopleSettings(search="names"))
    async with serving(named) as site, site.daemon.person("Anna Schmidt") as anna:
        await poll_until(lambda: found(site, "schmi"), lambda names: names == ["Anna Schmidt"], 60)
        for query in (anna.user, anna.user.upper(), "", "ann"):
            assert await found(site, query) == ["Anna Schmidt"]
        for query in ("%", "'", "nobody", "\x00", "x" * 300):
            assert await found(site, query) == []


async def found(site: Site, query: str) -> list[str]:
    browser = await site.signed_in(VIEW)
    page = await browser.get(f"/admin/users?query={quote(query)}")
    assert page.status in (200, 400)
    return re.findall(r'<bdi class="name">([^<]+)</bdi></a>', page.html)


async def test_messages_are_read_for_a_reason_that_is_in_the_audit_log(config: Config) -> None:
    async with serving(with_roles(config)) as site, site.daemon.pair() as (alice, _, conversation):
        for number in range(60):
            await alice.send(conversation, f"message {number}.")
        path, browser = f"/admin/conversations/{conversation}", await site.signed_in()
        page = await act(browser, path, "conversation-messages", reason="short")
        assert (page.status, "message 59." in page.text) == (400, False)
        page = await act(browser, path, "conversation-messages", reason="an order of a court")
        assert "message 59." in page.text
        assert "message 9." not in page.text
        page = await browser.send(page, "/admin/do/conversation-messages")
        assert "message 9." in page.text
        rows = await site.node.db.all("select details from audit_log where act = 'conversation.read' order by id")
        assert [row["details"]["reason"] for row in rows] == ["an order of a court"] * 2
        for token in (MOD, VIEW):
            other = await site.signed_in(token)
            shown = await other.get(path)
            assert (shown.status, "message 5" in shown.text) == (200, False)


async def test_webhooks_are_managed(config: Config) -> None:
    async with serving(with_roles(config)) as site:
        browser = await site.signed_in()
        page = await act(browser, "/admin/webhooks", "webhook-add", url="http://127.0.0.1/x", types="*")
        assert (page.status, "URL:" in page.text) == (400, True)
        page = await browser.send(
            page, "/admin/do/webhook-add", url="https://hooks.test/x", types="message.created, user.erased"
        )
        assert "whsec_" in page.text
        path = next(
            link for link in (await browser.get("/admin/webhooks")).links if link.startswith("/admin/webhooks/")
        )
        await act(browser, path, "webhook-edit", url="https://hooks.test/y", types="*", note="ours")
        assert "whsec_" in (await act(browser, path, "webhook-rotate")).text
        assert "disabled since" in (await act(browser, path, "webhook-disable")).text
        assert "State enabled" in (await act(browser, path, "webhook-enable")).text
        assert "There are none." in (await act(browser, path, "webhook-remove", confirm="on")).text


async def test_bots_are_managed(config: Config) -> None:
    async with serving(with_roles(config)) as site:
        browser = await site.signed_in()
        page = await act(browser, "/admin/bots", "bot-add", handle="weather", name=MARKUP[:60], description=MARKUP)
        assert page.status == 200, page.text
        token = re.search(r"<dt>token</dt><dd><code class=\"long\">(\S+)</code>", page.html)
        assert token is not None
        assert_is_inert(page.html, "bot-add")
        path = next(link for link in (await browser.get("/admin/bots")).links if link.startswith("/admin/bots/"))
        shown = await browser.get(path)
        assert token[1] not in shown.html
        assert_is_inert(shown.html, path)
        page = await act(browser, path, "bot-update", handle="climate", name="Climate", reads="all")
        assert "The bot is changed" in page.text
        page = await act(browser, path, "bot-update", handle="!", name="x")
        assert (page.status, "Handle:" in page.text) == (400, True)
        assert "is shown this once" in (await act(browser, path, "bot-token", overlap="0")).text
        assert "revoked" in (await act(browser, path, "bot-revoke")).text
        assert "There are none." in (await act(browser, path, "bot-remove", confirm="on")).text


async def test_service_tokens_are_managed(config: Config) -> None:
    async with serving(with_roles(config)) as site:
        browser = await site.signed_in()
        page = await act(browser, "/admin/tokens", "token-add", name="shop", scopes="read, nothing", lasts="")
        assert (page.status, "Scopes" in page.text) == (400, True)
        page = await browser.send(page, "/admin/do/token-add", scopes="read, users:write")
        first = secret_in(page)

        async def status(secret: str) -> int:
            return (await site.daemon.rest("GET", "/v1/server/users", token=secret)).status

        assert await status(first) == 200
        shown = await browser.get("/admin/tokens")
        assert first not in shown.html
        assert "read, users:write" in shown.text
        again = await act(browser, "/admin/tokens", "token-add", name="shop", scopes="read", lasts="")
        assert (again.status, "Name:" in again.text) == (409, True)
        second = secret_in(await act(browser, "/admin/tokens", "token-rotate", overlap="0"))
        assert (await status(first), await status(second)) == (401, 200)
        assert "Tick the box" in (await act(browser, "/admin/tokens", "token-revoke")).text
        page = await act(browser, "/admin/tokens", "token-revoke", confirm="on")
        assert "The token is revoked." in page.text
        assert await status(second) == 401
        assert "/admin/do/token-revoke" not in page.html
        for token in (MOD, VIEW):
            assert (await (await site.signed_in(token)).get("/admin/tokens")).status == 403


def secret_in(page: Shown) -> str:
    found = re.search(r"<dt>secret</dt><dd><code class=\"long\">(\S+)</code>", page.html)
    assert found is not None, page.text
    return found[1]


async def test_maintenance_is_switched_and_settings_are_masked(config: Config) -> None:
    async with serving(with_roles(config)) as site:
        browser = await site.signed_in()
        page = await act(browser, "/admin/cluster", "maintenance-on", message="back at noon", lasts="900")
        assert "back at noon" in page.text
        page = await browser.send(page, "/admin/do/maintenance-off")
        assert "Maintenance mode is off" in page.text
        settings = (await browser.get("/admin/settings")).html
        for secret in (site.daemon.secret, config.data.secret, BEN, MOD):
            assert secret not in settings
        assert "admin_pages.idle_timeout" in settings
        ben = await site.signed_in(BEN)
        assert (await ben.get("/admin/settings")).status == 403


async def test_a_drain_is_ordered_for_a_node_that_is_running(config: Config) -> None:
    async with serving(with_roles(config)) as site, site.daemon.person() as alice:
        browser = await site.signed_in()

        async def shown() -> str:
            return (await browser.get("/admin/cluster")).html

        await poll_until(shown, lambda html: site.node.cluster.name in html)
        page = await browser.send(await browser.get("/admin/cluster"), "/admin/do/drain")
        assert "Tick the box" in page.text
        assert await alice.is_served()
        await browser.send(await browser.get("/admin/cluster"), "/admin/do/drain", confirm="on", over="5")
        assert (await alice.ended()).code == 1001
        acts = await site.node.db.all("select act, subject from audit_log where act = 'nodes.drain'")
        assert [row["subject"] for row in acts] == [site.node.cluster.name]


async def test_live_figures_are_those_of_all_nodes_and_survive_redis(config: Config) -> None:
    async with serving(with_roles(config)) as site, serving(with_roles(config)) as other:
        browser = await site.signed_in(VIEW)

        async def nodes() -> list[str]:
            return [node["node"] for node in (await browser.request("GET", "/admin/live.json")).answer.body["nodes"]]

        both = sorted((site.node.cluster.name, other.node.cluster.name))
        await poll_until(nodes, lambda names: names == both)
        body = (await browser.request("GET", "/admin/live.json")).answer.body
        assert {len(values) for values in body["series"].values()} == {len(body["series"]["times"])}
        assert body["at"] > 0
        later = (await browser.request("GET", f"/admin/live.json?since={body['at']}")).answer.body
        assert len(later["series"]["times"]) < len(body["series"]["times"]) + 2
        for since in ("-1", "x", "9" * 30, ""):
            assert (await browser.request("GET", f"/admin/live.json?since={since}")).status == 200
        assert "Connections" in (await browser.get("/admin")).text


async def test_samples_of_a_node_with_a_wrong_clock_have_the_time_of_redis(config: Config) -> None:
    async with serving(with_roles(config)) as site, open_redis(config.redis, config.redis.url) as redis:
        node = SimpleNamespace(redis=redis, get=site.node.get, cluster=SimpleNamespace(name="wrong"))
        samples = LiveSamples(node)  # type: ignore[arg-type]
        snapshot, now = site.node.get(SnapshotSource).snapshot(), await redis.now_ms()
        wrong = sample_of(snapshot, replace(snapshot, at=now + 86_400_000))
        await samples.add(wrong)
        found = await samples.read(now - 60_000)
        assert not found.is_alone
        assert wrong in found.items
        assert all(abs(sample.at - now) < 60_000 for sample in found.items)


async def test_the_last_samples_are_one_of_each_node(config: Config) -> None:
    """Of a node with many samples, the list of nodes reads the last one; without Redis there is this node."""
    async with serving(with_roles(config)) as site, open_redis(config.redis, config.redis.url) as redis:
        snapshot = site.node.get(SnapshotSource).snapshot()
        added = []
        for name in ("one", "other"):
            node = SimpleNamespace(redis=redis, get=site.node.get, cluster=SimpleNamespace(name=name))
            samples = LiveSamples(node)  # type: ignore[arg-type]
            for _ in range(3):
                added.append(sample_of(snapshot, snapshot))
                added[-1].line.node = name
                await samples.add(added[-1])
        found = await samples.last()
        assert [sample for sample in found.items if sample.line.node in ("one", "other")] == [added[2], added[5]]
    async with serving(with_roles(config)) as site, open_redis(config.redis, "redis://127.0.0.1:1") as redis:
        node = SimpleNamespace(redis=redis, get=site.node.get, cluster=SimpleNamespace(name="alone"))
        samples = LiveSamples(node)  # type: ignore[arg-type]
        for _ in range(2):
            await samples.add(sample_of(snapshot, snapshot))
        alone, every = await samples.last(), await samples.read(0)
        assert (alone.items, alone.is_alone, every.is_alone) == (list(samples.own)[-1:], True, True)
        assert len(every.items) == 2


async def test_analytics_are_shown_and_downloaded(config: Config) -> None:
    async with serving(with_roles(config)) as site:
        browser = await site.signed_in(VIEW)
        assert "Retention" in (await browser.get("/admin/analytics?days=7")).text
        answer = (await browser.request("GET", "/admin/analytics/days.csv?days=7")).answer
        assert answer.headers["content-type"].startswith("text/csv")
        assert "attachment" in answer.headers["content-disposition"]
        rows = list(csv.DictReader(io.StringIO(answer.body.decode())))
        assert len(rows) == 7
        assert rows[-1]["active_users"] == "0"
        cohorts = (await browser.request("GET", "/admin/analytics/cohorts.csv")).answer
        assert cohorts.body.decode().startswith("week,users,day_1")


async def test_forms_with_wrong_values_are_shown_again(config: Config) -> None:
    async with serving(with_roles(config)) as site, site.daemon.person() as alice:
        browser, user = await site.signed_in(), f"/admin/users/{alice.user}"
        long = "x" * 501
        page = await act(browser, user, "strike", reason=long)
        assert (page.status, "Reason: expected" in page.text) == (400, True)
        assert page.form("/admin/do/strike").fields["reason"] == long
        page = await act(browser, user, "ban", reason="x", lasts="1e99")
        assert page.status == 400
        page = await act(browser, user, "strike", reason="a\x00b")
        assert page.status == 400
        page = await act(browser, "/admin/bans", "ban-address", address="nonsense", reason="x", lasts="3600")
        assert (page.status, "Address or range" in page.text) == (400, True)
        assert await site.node.db.value("select count(*) from bans") == 0
        large = await browser.request("POST", "/admin/do/strike", {"reason": "x" * 300_000})
        assert large.status == 413
        many = await browser.request("POST", "/admin/do/strike", {f"field{number}": "x" for number in range(200)})
        assert many.status == 400
