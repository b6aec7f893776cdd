"""Attachments: what a client names, what others are shown of it, and what is refused."""

from pathlib import Path
from typing import Any

import trio_asyncio
from msgspec.structs import replace

from chatd.core.config import Config, PostgresSection
from chatd.db.postgres import open_postgres
from chatd.filters.settings import FilterSettings
from chatd.moderation import reports
from chatd.uploads.blobs import thumbnail_key
from tests.files import MP4, PDF, fetched, picture, stored
from tests.support import PATIENCE, Daemon, Person, covers, operator, poll_until, running, shared
from tests.uploads.test_media import SAMPLES

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
    {"type": "location"},
    {"type": "location", "latitude": 1},
    {"type": "location", "latitude": 90.1, "longitude": 0},
    {"type": "location", "latitude": 0, "longitude": -180.5},
    {"type": "location", "latitude": "1", "longitude": 0},
    {"type": "location", "latitude": 1, "longitude": 1, "url": "https://x.test/"},
    {"type": "location", "latitude": 1, "longitude": 1, "accuracy": -1},
    {"type": "location", "latitude": 1, "longitude": 1, "name": ""},
    {"type": "location", "latitude": 1, "longitude": 1, "address": "a" * 201},
    {"latitude": 1, "longitude": 1},
    {"type": "contact", "name": "Eve"},
    {"type": "contact", "phones": ["+351 1"]},
    {"type": "contact", "name": "Eve", "phones": []},
    {"type": "contact", "name": "Eve", "phones": ["javascript:1"]},
    {"type": "contact", "name": "Eve", "phones": ["1234567\n"]},
    {"type": "contact", "name": "Eve", "phones": ["1234567"] * 6},
    {"type": "contact", "name": "Eve", "emails": ["eve"]},
    {"type": "contact", "name": "Eve", "emails": ["https://x.test/@y"]},
    {"type": "contact", "name": "Eve", "emails": ["<b>@x.test"]},
    {"type": "contact", "name": "Eve", "emails": ["a\u202eb@x.test"]},
    {"type": "contact", "name": "Eve", "emails": ["a\\b@x.test"]},
    {"type": "contact", "name": "", "phones": ["1234567"]},
    {"type": "contact", "name": "Eve", "phones": ["1234567"], "latitude": 1},
    {"type": "voice", "waveform": [1, 2, 3]},
    {"type": "link", "url": "https://x.test/", "name": "x"},
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


async def test_locations_and_contacts_are_accepted(daemon: Daemon) -> None:
    given = [
        {"type": "location", "latitude": 38.7, "longitude": -9.14},
        {
            "type": "location",
            "latitude": -90,
            "longitude": 180,
            "accuracy": 12.5,
            "name": "Pole",
            "address": "1 Ice Road",
        },
        {"type": "contact", "name": "Eve", "phones": ["+351 (21) 123-456"], "emails": ["eve@example.org"]},
        {"type": "contact", "name": "Bücherei", "emails": ["büro@bücher.example"]},
    ]
    async with daemon.pair() as (alice, bob, conversation):
        sent = await alice.send(conversation, attachments=given)
        assert (await bob.event("message.new"))["message"]["attachments"] == given
        assert (await bob.call("message.history", conversation=conversation))["items"][0]["attachments"] == given
        await alice.call(
            "message.forward", conversation=conversation, client_id="f", source=conversation, message=sent["message"]
        )
        assert (await bob.event("message.new"))["message"]["attachments"] == given


async def test_texts_of_locations_and_contacts_are_filtered(config: Config) -> None:
    wrong = (
        {"type": "location", "latitude": 1, "longitude": 1, "name": "a grue"},
        {"type": "location", "latitude": 1, "longitude": 1, "address": "a grue"},
        {"type": "contact", "name": "a grue", "phones": ["1234567"]},
    )
    filtering = config.using(replace(config.get(FilterSettings), words=["grue"]))
    async with running(filtering) as daemon, daemon.pair() as (alice, _, conversation):
        for number, one in enumerate(wrong):
            fields = {"conversation": conversation, "client_id": str(number), "attachments": [one]}
            assert (await alice.refused("message.send", **fields)).code == "forbidden"


async def test_waveform_of_the_sender_is_used_if_there_is_no_other(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, conversation):
        decoded = await uploaded(daemon, alice, SAMPLES["voice.ogg"], "a.ogg")
        opaque = await uploaded(daemon, alice, SAMPLES["voice.webm"], "a.webm")
        assert (len(decoded["waveform"]), opaque["waveform"]) == (64, None)
        for upload, expected in ((decoded, decoded["waveform"]), (opaque, [0, 50, 100])):
            voice = {"type": "voice", "upload": upload["id"], "waveform": [0, 50, 100]}
            await alice.send(conversation, attachments=[voice])
            (shown,) = (await bob.event("message.new"))["message"]["attachments"]
            assert shown == {**facts(upload, "voice"), "waveform": expected}
            assert 1.9 < shown["duration"] < 2.1
        await alice.send(conversation, attachments=[{"upload": opaque["id"]}])
        assert (await bob.event("message.new"))["message"]["attachments"] == [facts(opaque, "audio")]
        huge = {"type": "voice", "upload": opaque["id"], "waveform": [1] * 1_000_000}
        body = {"client_id": "huge", "attachments": [huge]}
        answer = await daemon.rest(
            "POST", f"/v1/conversations/{conversation}/messages", body, alice.account.access_token
        )
        assert answer.body["code"] == "too_large"


async def test_members_can_read_the_thumbnail(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, conversation), daemon.person() as carol:
        image = await uploaded(daemon, alice, picture(size=(800, 600)))
        await alice.send(conversation, attachments=[{"upload": image["id"]}])
        (shown,) = (await bob.event("message.new"))["message"]["attachments"]
        assert shown == facts(image, "image")
        assert shown["thumbnail"] == f"{image['url']}/thumbnail"
        path = f"/v1/uploads/{image['id']}/thumbnail"
        for person, status in ((alice, 200), (bob, 200), (carol, 404)):
            answer = await daemon.rest("GET", path, None, person.account.access_token)
            assert answer.status == status
            if status == 200:
                assert (answer.headers["content-type"], answer.body[8:12]) == ("image/webp", b"WEBP")
        assert (await daemon.rest("GET", path)).status == 401
        small = await uploaded(daemon, alice, picture())
        answer = await daemon.rest("GET", f"/v1/uploads/{small['id']}/thumbnail", None, alice.account.access_token)
        assert (answer.status, small["thumbnail"]) == (404, None)
        await alice.call("upload.delete", upload=image["id"])
        assert (await daemon.rest("GET", path, None, alice.account.access_token)).status == 404
        unused = await uploaded(daemon, alice, picture(size=(800, 600)))
        folder = Path(daemon.config.data.dir) / "uploads"
        keys = (unused["key"], thumbnail_key(unused["key"]))
        assert all([*folder.rglob(key)] for key in keys)
        await alice.call("upload.delete", upload=unused["id"])
        assert not any([*folder.rglob(key)] for key in keys)


async def uploaded(daemon: Daemon, person: Person, data: bytes, name: str | None = "cat.png") -> dict[str, Any]:
    return await stored(daemon, person.account.access_token, data, name)


def facts(upload: dict[str, Any], type_: str) -> dict[str, Any]:
    """What others must be shown of an upload."""
    names = ("width", "height", "duration", "thumbnail", "placeholder", *(("waveform",) if type_ == "voice" else ()))
    sizes = {name: upload[name] for name in names if upload[name] is not None}
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
            {"duration": 1}, {"placeholder": "x"}, {"waveform": [1]}, {"latitude": 1.0}, {"phones": ["1234567"]},
            {"type": "voice", "waveform": [101]}, {"type": "voice", "waveform": []}, {"type": "voice", "waveform": [1] * 129},
            {"type": "voice", "waveform": [0.5]}, {"type": "voice", "waveform": "x"},
            {"type": "video"}, {"type": "audio"}, {"type": "voice"}, {"type": "link"}, {"type": "Image"}, {"type": "image/png"},
        ):  # fmt: skip
            fields = {"conversation": conversation, "client_id": "beside", "attachments": [{**own, **beside}]}
            assert (await alice.refused("message.send", **fields)).code == "bad_request", beside
        plain = (await uploaded(daemon, alice, b"plain text"))["id"]
        given = {"conversation": conversation, "client_id": "m", "attachments": [{"type": "image", "upload": plain}]}
        refused = (await alice.refused("message.send", **given)).message
        assert refused.endswith("the upload is application/octet-stream; send it as file")
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
        async with (
            trio_asyncio.open_loop(),
            open_postgres(daemon.config.postgres.dsn, PostgresSection(timeout=PATIENCE)) as db,
        ):
            full = await db.in_transaction(reports.read, operator(), report)
        (kept,) = full["transcript"][0]["attachments"]
        assert {**kept, "url": image["url"]} == facts(image, "image")
