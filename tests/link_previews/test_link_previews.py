"""Link previews: requested after the message is sent, attached as a change of it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from chatd.core.config import Config
from chatd.db.postgres import Postgres
from chatd.filters.settings import FilterSettings
from chatd.link_previews import service
from chatd.link_previews.settings import LinkPreviewSettings
from tests.matching.test_commands import matched
from tests.outside import Asked, Outside, answer, outside
from tests.server_api.backend import backend_of
from tests.support import Daemon, Person, poll_until, running

ON = LinkPreviewSettings(enabled=True, allow_private=True, timeout=60.0, max_bytes=100_000)
PAGE = b'<title>Tea</title><meta name=description content="a drink"><meta property="og:image" content="/tea.png">'
Site = tuple[Daemon, Outside]


def page(body: bytes = PAGE, content_type: str = "text/html", **headers: str) -> bytes:
    return answer(body, Content_Type=content_type, **headers)


async def tea(_: Asked) -> bytes:
    return page()


@asynccontextmanager
async def site(
    config: Config, answers: Callable[[Asked], Awaitable[bytes]] = tea, **changes: Any
) -> AsyncIterator[Site]:
    """A daemon with previews, and a site."""
    settings = LinkPreviewSettings(**{name: getattr(ON, name) for name in ON.__struct_fields__} | changes)
    async with outside(answers) as server, running(config.using(settings)) as daemon:
        yield daemon, server


def url_of(server: Outside, path: str = "/tea") -> str:
    return f"http://127.0.0.1:{server.port}{path}"


async def preview_event(person: Person) -> Any:
    """The next change that adds a preview."""
    while (event := await person.event("message.update"))["change"] != "preview":
        pass
    return event


async def outcome(daemon: Daemon, name: str, count: int = 1) -> None:
    """Wait until the metric counts this outcome."""

    async def counted() -> int:
        found = await daemon.rest("GET", "/metrics", Host="localhost")
        line = f'chatd_link_previews_total{{outcome="{name}"}} '
        values = [each[len(line) :] for each in found.body.decode().splitlines() if each.startswith(line)]
        return int(float(values[0])) if values else 0

    await poll_until(counted, lambda found: found == count)


async def last(person: Person, conversation: str) -> Any:
    return (await person.call("message.history", conversation=conversation, limit=1))["items"][0]


async def test_preview_comes_after_the_ack_as_a_change(config: Config, store: Postgres) -> None:
    async with site(config) as (daemon, server), daemon.pair() as (alice, bob, conversation):
        ack = await alice.send(conversation, f"look: {url_of(server)}!")
        assert "preview" not in (await bob.event("message.new"))["message"]
        event = await preview_event(bob)
        expected = {
            "url": url_of(server),
            "title": "Tea",
            "description": "a drink",
            "image": url_of(server, "/tea.png"),
        }
        assert (event["rev"], event["message"]["preview"], "by" in event) == (ack.rev + 1, expected, False)
        changes = await alice.call("conversation.sync", conversation=conversation, rev=ack.rev)
        assert [one["preview"] for one in changes["messages"]] == [expected]
        # Known now: also for the same link in an attachment, and in a forwarded message.
        await bob.send(conversation, "this", attachments=[{"url": url_of(server)}])
        assert (await preview_event(alice))["message"]["preview"] == expected
        assert [(asked.method, asked.path, asked.headers["user-agent"]) for asked in server.asked] == [
            ("GET", "/tea", "chatd (link preview)")
        ]
        assert "cookie" not in server.asked[0].headers
        assert await store.value("select count(*) from link_previews") == 1


async def test_nothing_is_requested_by_default(config: Config) -> None:
    async with outside(tea) as server, running(config) as daemon, daemon.pair() as (alice, _, conversation):
        await alice.send(conversation, url_of(server))
        await alice.is_served()
        assert server.asked == []


async def test_private_addresses_are_refused(config: Config) -> None:
    async with site(config, allow_private=False) as (daemon, server), daemon.pair() as (alice, _, conversation):
        await alice.send(conversation, url_of(server))
        await outcome(daemon, "address")
        await alice.send(conversation, "http://127.0.0.1/")
        await outcome(daemon, "failed")
        assert server.asked == []


async def loops(asked: Asked) -> bytes:
    return answer(b"", "302 Found", Location=asked.path + "x")


async def slow(_: Asked) -> bytes:
    await trio.sleep_forever()
    raise AssertionError


def always(response: bytes) -> Callable[[Asked], Awaitable[bytes]]:
    async def answers(_: Asked) -> bytes:
        return response

    return answers


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        (loops, "redirects"),
        (slow, "timeout"),
        (always(b"garbage\r\n\r\n"), "failed"),
        (always(page(b"x" * 10_000_000)), "failed"),
        (always(answer(PAGE, "404 Not Found", Content_Type="text/html")), "status"),
        (always(page(content_type="image/png")), "not_html"),
        (always(page(Content_Encoding="br")), "not_html"),
        (always(page(content_type="text/html; charset=zip")), "charset"),
        (always(page(b"\x00\xff" * 100)), "no_title"),
        (always(answer(b"", "301 Moved", Location="ftp://x.test/")), "address"),
        (always(answer(b"", "301 Moved", Location="http://user:password@127.0.0.1/")), "address"),
        (always(answer(b"", "301 Moved", Location="http://[")), "address"),
    ],
)
async def test_pages_without_a_preview(config: Config, answers: Callable[[Asked], Awaitable[bytes]], why: str) -> None:
    """They are counted, and not requested again for a while."""
    timeout = 0.5 if why == "timeout" else ON.timeout
    async with site(config, answers, timeout=timeout) as (daemon, server), daemon.pair() as (alice, _, conversation):
        await alice.send(conversation, url_of(server))
        await outcome(daemon, why)
        requests = len(server.asked)
        await alice.send(conversation, url_of(server))
        await outcome(daemon, "known")
        assert (len(server.asked), "preview" in await last(alice, conversation)) == (requests, False)


async def test_redirects_are_followed(config: Config) -> None:
    async def moved(asked: Asked) -> bytes:
        return page() if asked.path == "/new/tea" else answer(b"", "308 Moved", Location="/new/tea#top")

    async with site(config, moved) as (daemon, server), daemon.pair() as (alice, bob, conversation):
        await alice.send(conversation, url_of(server))
        preview = (await preview_event(bob))["message"]["preview"]
        assert (preview["url"], preview["image"]) == (url_of(server), url_of(server, "/tea.png"))


async def test_redirects_over_several_hosts(config: Config) -> None:
    """As many as are allowed, absolute and relative ones; none with a cookie, or to a link that the filters refuse."""
    elsewhere: Outside

    async def start(asked: Asked) -> bytes:
        steps = asked.path.count("x")
        return answer(b"", "302 Found", Location=url_of(elsewhere, f"/deep/{'x' * steps}"), Set_Cookie="a=b")

    async def further(asked: Asked) -> bytes:
        _, _, left = asked.path.partition("/deep/")
        return answer(b"", "307 Moved", Location=f"../deep/{left[1:]}", Set_Cookie="a=b") if left else page()

    filters = FilterSettings(links_denied=["denied.test"])
    async with (
        outside(further) as elsewhere,
        site(config.using(filters), start, redirects=3) as (daemon, server),
        daemon.pair() as (alice, bob, conversation),
    ):
        await alice.send(conversation, url_of(server, "/xx"))
        preview = (await preview_event(bob))["message"]["preview"]
        assert (preview["url"], preview["image"]) == (url_of(server, "/xx"), url_of(elsewhere, "/tea.png"))
        assert [asked.path for asked in elsewhere.asked] == ["/deep/xx", "/deep/x", "/deep/"]
        assert not any({"cookie", "referer", "authorization"} & set(asked.headers) for asked in elsewhere.asked)
        await alice.send(conversation, url_of(server, "/xxx"))
        await outcome(daemon, "redirects")
        assert len(elsewhere.asked) == 6

    async def denied(_: Asked) -> bytes:
        return answer(b"", "302 Found", Location="http://denied.test/")

    async with site(config.using(filters), denied) as (daemon, server), daemon.pair() as (alice, _, conversation):
        await alice.send(conversation, url_of(server))
        await outcome(daemon, "filtered")


async def test_requests_to_one_host_are_limited(config: Config) -> None:
    """With all users together, and with redirects. The other host of the same machine has a limit of its own."""

    async def once(asked: Asked) -> bytes:
        return page() if asked.path != "/moved" else answer(b"", "302 Found", Location="/b")

    async with (
        site(config, once, per_host_per_minute=3) as (daemon, server),
        daemon.pair() as (alice, bob, conversation),
    ):
        await alice.send(conversation, url_of(server, "/a"))
        await outcome(daemon, "attached")
        await bob.send(conversation, url_of(server, "/moved"))
        await outcome(daemon, "attached", 2)
        await alice.send(conversation, url_of(server, "/c"))
        await outcome(daemon, "host_limited")
        await alice.send(conversation, url_of(server, "/c").replace("127.0.0.1", "localhost"))
        await outcome(daemon, "attached", 3)
        # The page may be requested when there is room again: it is not known to have no preview.
        await bob.send(conversation, url_of(server, "/c"))
        await outcome(daemon, "host_limited", 2)


async def test_a_slow_host_does_not_delay_others(config: Config) -> None:
    async with (
        outside(tea) as fast,
        site(config, slow, timeout=30.0, concurrency=4) as (daemon, server),
        daemon.pair() as (alice, bob, conversation),
    ):
        for number in range(10):
            await alice.send(conversation, url_of(server, f"/{number}"))
        await outcome(daemon, "host_limited", 8)
        await bob.send(conversation, url_of(fast).replace("127.0.0.1", "localhost"))
        assert (await preview_event(alice))["message"]["preview"]["title"] == "Tea"


async def test_no_preview_for_a_link_that_was_edited_away(config: Config) -> None:
    waiting = trio.Event()

    async def late(_: Asked) -> bytes:
        await waiting.wait()
        return page()

    async with site(config, late) as (daemon, server), daemon.pair() as (alice, _, conversation):
        ack = await alice.send(conversation, url_of(server))
        await poll_until(lambda: trio.to_thread.run_sync(lambda: bool(server.asked)))
        await alice.call("message.edit", conversation=conversation, message=ack.message, text="nothing")
        waiting.set()
        await outcome(daemon, "changed")
        assert "preview" not in await last(alice, conversation)


async def test_edit_keeps_the_preview_of_a_link_that_stays(config: Config) -> None:
    async with site(config) as (daemon, server), daemon.pair() as (alice, bob, conversation):
        ack = await alice.send(conversation, url_of(server))
        await preview_event(bob)
        fields = {"conversation": conversation, "message": ack.message}
        edited = await alice.call("message.edit", text=f"see {url_of(server)}", **fields)
        assert edited["message"]["preview"]["title"] == "Tea"
        edited = await alice.call("message.edit", text="see", **fields)
        assert "preview" not in edited["message"]


async def test_an_edit_changes_the_preview(config: Config) -> None:
    """It is that of the first link, also if an edit adds it, or makes the link another one, and by the server API."""

    async def some(asked: Asked) -> bytes:
        return page(f"<title>{asked.path}</title>".encode()) if asked.path != "/none" else page(b"")

    async with site(config, some) as (daemon, server), daemon.pair() as (alice, bob, conversation):
        sent = await alice.send(conversation, "no link")
        one = {"conversation": conversation, "message": sent.message}

        async def edited(text: str) -> Any:
            await alice.call("message.edit", **one, text=text)
            return (await preview_event(bob))["message"].get("preview", {}).get("title")

        a, b = url_of(server, "/a"), url_of(server, "/b")
        assert await edited(f"first {a}") == "/a"
        assert await edited(f"{b}, then {a}") == "/b"
        assert await edited(f"{b}2") == "/b2"
        assert await edited(f"{url_of(server, '/none')} and {b}2") is None
        assert "preview" not in await last(alice, conversation)
        backend = await backend_of(daemon)
        await backend.done("PATCH", f"/conversations/{conversation}/messages/{sent.message}", {"text": a})
        assert (await preview_event(bob))["message"]["preview"]["title"] == "/a"
        # The same link again is not requested.
        await alice.call("message.edit", **one, text=f"{a} again")
        assert (await last(alice, conversation))["preview"]["title"] == "/a"
        assert [asked.path for asked in server.asked] == ["/a", "/b", "/b2", "/none"]


async def test_no_preview_in_a_match(config: Config) -> None:
    async with site(config) as (daemon, server), matched(daemon) as (alice, bob, _, conversation):
        await alice.send(conversation, url_of(server))
        await bob.event("message.new")
        await alice.is_served()
        assert server.asked == []


async def test_texts_of_a_page_pass_the_filters(config: Config) -> None:
    masking = config.using(FilterSettings(words=["tea"], action="mask"))
    async with site(masking) as (daemon, server), daemon.pair() as (alice, bob, conversation):
        await alice.send(conversation, url_of(server, "/"))
        preview = (await preview_event(bob))["message"]["preview"]
        assert preview == {"url": url_of(server, "/"), "title": "***", "description": "a drink"}
    rejecting = config.using(FilterSettings(words=["drink"]))
    async with site(rejecting) as (daemon, server), daemon.pair() as (alice, _, conversation):
        await alice.send(conversation, url_of(server, "/"))
        await outcome(daemon, "filtered")


async def test_links_of_one_user_are_limited(config: Config) -> None:
    async with site(config, per_user_per_minute=2) as (daemon, server), daemon.pair() as (alice, bob, conversation):
        for number in range(4):
            await alice.send(conversation, url_of(server, f"/{number}"))
        await outcome(daemon, "limited", 2)
        assert len(server.asked) == 2
        await bob.send(conversation, url_of(server, "/bob"))
        await outcome(daemon, "attached", 3)


async def test_preview_that_the_sender_gives(config: Config) -> None:
    link = {"url": "https://x.test/", "title": "Given", "description": "by the sender", "image": "https://x.test/a.png"}
    async with site(config) as (daemon, server), daemon.pair() as (alice, bob, conversation):
        await alice.send(conversation, url_of(server), attachments=[{"type": "link", **link}])
        assert (await bob.event("message.new"))["message"]["attachments"] == [{"type": "link", **link}]
        await alice.is_served()
        assert server.asked == []
        for wrong in ({"image": "javascript:x"}, {"title": "x" * 201}):
            refused = await alice.refused(
                "message.send", conversation=conversation, client_id="w", attachments=[{**link, **wrong}]
            )
            assert refused.code == "bad_request"


async def test_given_previews_pass_the_filters(config: Config) -> None:
    filters = FilterSettings(words=["spam"], links="listed", link_hosts=["x.test"])
    async with running(config.using(filters)) as daemon, daemon.pair() as (alice, _, conversation):
        for wrong in ({"title": "spam"}, {"description": "spam"}, {"image": "https://y.test/"}):
            link = {"url": "https://x.test/", **wrong}
            refused = await alice.refused("message.send", conversation=conversation, client_id="w", attachments=[link])
            assert refused.code == "forbidden"


async def test_expired_previews_are_deleted(config: Config, store: Postgres) -> None:
    async with site(config, keep=0.01) as (daemon, server), daemon.pair() as (alice, bob, conversation):
        for number in range(2):
            await alice.send(conversation, url_of(server))
            await preview_event(bob)
            await trio.sleep(0.05)
            assert len(server.asked) == number + 1
        await store.run(service.SQL.sweep, 10)
        assert await store.value("select count(*) from link_previews") == 0
