"""Attachments: what a client names, what others are shown of it, and what is refused."""

from typing import Any

import trio_asyncio

from chatd.core.config import PostgresSection
from chatd.db.postgres import open_postgres
from chatd.moderation import reports
from tests.files import MP4, PDF, fetched, picture, stored
from tests.support import Daemon, Person, covers, operator, poll_until, shared

daemon = shared

FORGED: list[Any] = [
    {"url": "javascript:alert(1)"},
    {"type": "link", "url": "JaVaScRiPt:alert(1)"},
    {"url": "java\tscript:alert(1)"},
    {"url": "data:text/html,x"},
    {"url": "file:///etc/passwd"},
    {"url": "ftp://x.test/a"},
    {"url": "vbscript:x"},
    {"url": "//x.test/a"},
    {"url": "/v1/uploads/x"},
    {"url": "x.test"},
    {"url": "https:x.test"},
    {"url": "https://"},
    {"url": "https:///x.test"},
    {"url": "https:\\\\x.test"},
    {"url": "https://x.test/a b"},
    {"url": "https://x.test/\n"},
    {"url": "https://x.test/\u202egpj.exe"},
    {"url": "https://x.test/\u200b"},
    {"url": 'https://x.test/"onerror=x'},
    {"url": " https://x.test/"},
    *(
        {"url": f"https://{place}/a"}
        for place in (":", ":80", ".", "..", "a..b", "-", "_", "&", "!", "%00", "a%2fb", "x.test:abc")
    ),
    *(
        {"url": f"https://{place}"}
        for place in ("x.test:99999", "a:b:c", "[::1", "[zz]", "[::1]x", "u@", "@", "u:p@:80", "\u3002")
    ),
    {"url": f"https://{'a' * 64}.test/"},
    {"url": ""},
    {"url": "https://x.test/" + "a" * 2048},
    {"url": None},
    {"url": 1},
    {},
    {"type": "image"},
    {"type": "link"},
    {"type": "location", "lat": 1, "lon": 1},
    {"type": "contact", "name": "Eve"},
    {"type": "script", "url": "https://x.test/"},
    {"type": "image", "url": "https://x.test/a.png"},
    {"upload": "x"},
    {"upload": 7},
    {"upload": ["x"]},
    {"kind": "place"},
    "https://x.test/",
    None,
    [],
]


HOSTS = (
    "x.test:8443", "x.test.", "[2001:db8::1]:80", "192.0.2.1", "b\u00fccher.example", "\u4f8b\u3048.jp", "a-b_c.test", "x:",
    "u:p@x.test",
)  # fmt: skip


async def test_links_to_any_valid_host_are_accepted(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, conversation):
        for host in HOSTS:
            link = {"type": "link", "url": f"HTTPS://{host}/%20?q=[1]&r='#top"}
            await alice.send(conversation, attachments=[link])
            assert (await bob.event("message.new"))["message"]["attachments"] == [link]


async def uploaded(daemon: Daemon, person: Person, data: bytes, name: str | None = "cat.png") -> dict[str, Any]:
    return await stored(daemon, person.account.access_token, data, name)


def facts(upload: dict[str, Any], type_: str) -> dict[str, Any]:
    """What others must be shown of an upload."""
    sizes = {name: upload[name] for name in ("width", "height") if upload[name] is not None}
    return {
        "type": type_,
        "upload": upload["id"],
        **{name: upload[name] for name in ("url", "mime", "size", "name")},
        **sizes,
    }


@covers("message.send")
async def test_only_an_upload_or_a_web_link_is_an_attachment(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, conversation):
        for number, wrong in enumerate(FORGED):
            for command, more in (("message.send", {}), ("message.schedule", {"at": 2**42})):
                fields = {
                    "conversation": conversation,
                    "client_id": f"{command}{number}",
                    "attachments": [wrong],
                    **more,
                }
                assert (await alice.refused(command, **fields, text="look")).code == "bad_request", wrong
        upload = (await uploaded(daemon, alice, picture()))["id"]
        own = {"type": "image", "upload": upload}
        for beside in (
            {"url": "https://evil.test/"}, {"mime": "text/html"}, {"size": 1}, {"name": "x"}, {"width": 1}, {"thumbnail": "x"},
            {"type": "video"}, {"type": "audio"}, {"type": "voice"}, {"type": "link"}, {"type": "Image"}, {"type": "image/png"},
        ):  # fmt: skip
            fields = {"conversation": conversation, "client_id": "beside", "attachments": [{**own, **beside}]}
            assert (await alice.refused("message.send", **fields)).code == "bad_request", beside
        assert (await bob.call("message.history", conversation=conversation))["items"] == []
        assert (await alice.call("schedule.list"))["items"] == []


async def test_attachments_show_the_facts_of_the_upload(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, conversation):
        image, film, pdf = [
            await uploaded(daemon, alice, data, name)
            for data, name in ((picture(), "cat.png"), (MP4, None), (PDF, "a.pdf"))
        ]
        link = {"type": "link", "url": "https://x.test/a?b=c#d"}
        given = [
            {"upload": image["id"]}, {"type": "file", "upload": image["id"]}, {"upload": film["id"]},
            {"type": "voice", "upload": film["id"]}, {"upload": pdf["id"]}, {"url": link["url"]},
        ]  # fmt: skip
        expected = [
            facts(image, "image"), facts(image, "file"), facts(film, "video"), facts(film, "voice"), facts(pdf, "file"), link,
        ]  # fmt: skip
        sent = await alice.send(conversation, "look", attachments=given)
        assert (await bob.event("message.new"))["message"]["attachments"] == expected
        await shown_everywhere(daemon, bob, conversation, sent["message"], expected)
        got = await fetched(daemon, bob.account.access_token, expected[0]["url"].rpartition("/")[2])
        assert (got.status, len(got.body)) == (200, image["size"])


async def shown_everywhere(
    daemon: Daemon, person: Person, conversation: str, message: str, expected: list[dict[str, Any]]
) -> None:
    token, place = person.account.access_token, {"conversation": conversation}
    assert (await person.call("message.history", **place))["items"][0]["attachments"] == expected
    assert (await person.call("conversation.sync", **place, rev=0))["messages"][0]["attachments"] == expected
    assert (await person.call("conversation.list"))["items"][0]["last_message"]["attachments"] == expected
    answer = await daemon.rest("GET", f"/v1/conversations/{conversation}/messages", None, token)
    assert answer.body["items"][0]["attachments"] == expected
    await person.call("message.star", **place, message=message)
    assert (await person.call("message.starred"))["items"][0]["message"]["attachments"] == expected
    await person.call("message.pin", **place, message=message)
    assert (await person.event("message.update"))["message"]["attachments"] == expected
    assert (await person.call("message.pins", **place))["items"][0]["attachments"] == expected
    found = await poll_until(
        lambda: person.call("message.search", query="look has:image"), lambda found: found["items"]
    )
    assert found["items"][0]["message"]["attachments"] == expected
    await person.call(
        "message.forward", conversation=conversation, client_id="again", source=conversation, message=message
    )
    assert (await person.call("message.history", **place))["items"][-1]["attachments"] == expected


async def test_edited_and_scheduled_messages_keep_attachments(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, conversation):
        image = await uploaded(daemon, alice, picture())
        sent = await alice.send(conversation, "look", attachments=[{"upload": image["id"]}])
        await alice.call("message.edit", conversation=conversation, message=sent["message"], text="see")
        assert (await bob.event("message.update"))["message"]["attachments"] == [facts(image, "image")]
        now = (await alice.call("ping", ts=1))["server_time"]
        given = {"type": "file", "upload": image["id"]}
        fields = {"conversation": conversation, "client_id": "later", "attachments": [given], "at": now + 300}
        await alice.call("message.schedule", **fields)
        assert (await alice.call("schedule.list"))["items"][0]["attachments"] == [given]
        new = (await bob.event("message.new"))["message"]
        while new["client_id"] != "later":
            new = (await bob.event("message.new"))["message"]
        assert new["attachments"] == [facts(image, "file")]


async def test_report_keeps_attachment_facts(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, conversation):
        image = await uploaded(daemon, bob, picture())
        bad = await bob.send(conversation, "bad", attachments=[{"upload": image["id"]}])
        fields = {"conversation": conversation, "message": bad["message"], "reason": "spam"}
        report = (await alice.call("report.create", **fields))["report"]
        async with trio_asyncio.open_loop(), open_postgres(daemon.config.postgres.dsn, PostgresSection()) as db:
            full = await db.in_transaction(reports.read, operator(), report)
        (kept,) = full["transcript"][0]["attachments"]
        assert {**kept, "url": image["url"]} == facts(image, "image")
