"""All texts that others read pass the filters, in all commands; names are normalized and contain nothing invisible."""

import unicodedata
from typing import Any

import pytest
import trio

from chatd.client import Refused, sign_up
from chatd.core.clock import now_ms
from chatd.core.config import Config
from chatd.core.text_forms import is_seen
from chatd.filters.settings import FilterSettings
from chatd.matching.settings import MatchSettings
from tests.conversations.test_groups import group
from tests.files import PDF, stored, upload
from tests.support import Daemon, Person, covers, running, shared

daemon = shared

BAD = ("darn", "D\u0430RN", "ｄａｒｎ", "d\u200barn", "evil.com", "https://evil.com/x")
INVISIBLE = (
    " ",
    "\u200b",
    "\u200b\u200d\ufeff",
    "\u3164",
    "\u00ad",
    "\u2800\u2800",
    "\t\n",
    "\u202e",
    "\u0301",
    "\u2060 \u200e",
    "\U000e0041",
    "\U000e0080",
    "\U000e0fff\U000e01f0",
    "\U0001d159",
    "\U0001fffe\U0010ffff",
    "\u2065",
)


@covers("message.edit")
async def test_messages_of_invisible_characters_are_refused(daemon: Daemon) -> None:
    """Of every kind, alone and combined, in both codecs; with an attachment, any text is accepted."""
    kinds = {unicodedata.category(char): char for char in map(chr, range(1, 0x110000)) if not is_seen(char)}
    texts = [
        *INVISIBLE,
        *(char * 3 for kind, char in kinds.items() if kind != "Cs"),
        "\u200b" * 5000,
        "".join(INVISIBLE),
    ]
    assert {"Zs", "Zl", "Zp", "Cc", "Cf", "Cn", "Mn", "Me", "Mc"} <= kinds.keys()
    async with daemon.pair() as (alice, bob, conversation):
        sent = await alice.send(conversation, "seen")
        for number, text in enumerate(texts):
            for person in (alice, bob):
                send = {"conversation": conversation, "client_id": f"c{number}", "text": text}
                assert (await person.refused("message.send", **send)).code == "bad_request", ascii(text)
                later = {**send, "at": now_ms() + 3_600_000}
                assert (await person.refused("message.schedule", **later)).code == "bad_request", ascii(text)
            edit = {"conversation": conversation, "message": sent["message"], "text": text}
            assert (await alice.refused("message.edit", **edit)).code == "bad_request", ascii(text)
        for text in (" a", "\u200b\u00e9", SCOTLAND, "\u0915\u094d", "\U0001fae9", "\ue000", "\U000e0041!"):
            assert (await alice.send(conversation, text))["seq"]
        link = [{"type": "link", "url": "https://x.test/a"}]
        assert (await alice.send(conversation, "\u200b", attachments=link))["seq"]


SCOTLAND = "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f"


def filtering(config: Config, **more: Any) -> Config:
    return config.using(FilterSettings(words=["darn"], links_denied=["evil.com"], **more))


@covers("conversation.create", "forbidden")
@covers("conversation.edit", "forbidden")
@covers("match.find", "forbidden")
@covers("reaction.add", "forbidden")
async def test_filters_apply_to_texts_of_all_commands(config: Config) -> None:
    async with running(filtering(config)) as daemon, group(daemon) as (id_, (ann, ben, _)):
        await ann.call("conversation.edit", conversation=id_, joining="open")
        sent = await ann.send(id_, "fine")
        here = {"conversation": id_}
        file = (await stored(daemon, ann.account.access_token, PDF, "fine.pdf"))["id"]
        for number, bad in enumerate(BAD):
            roads: list[tuple[str, dict[str, Any]]] = [
                ("conversation.create", {"members": [], "title": bad}),
                ("conversation.edit", {**here, "title": bad}),
                ("conversation.edit", {**here, "description": f"first line\n{bad}"}),
                ("conversation.join", {**here, "text": bad}),
                ("match.find", {"tags": ["music", bad]}),
                ("match.find", {"attributes": {"about": bad}}),
                ("match.find", {"attributes": {bad: True}}),
                ("message.send", {**here, "text": bad}),
                ("message.send", {**here, "text": "x", "meta": {"card": [{"title": bad}]}}),
                ("message.send", {**here, "text": "x", "meta": {bad: 1}}),
                ("message.edit", {**here, "message": sent["message"], "text": bad}),
            ]
            for command, fields in roads:
                own = {"client_id": f"{number}"} if command == "message.send" else {}
                assert (await ann.refused(command, **fields, **own)).code == "forbidden", (command, fields)
            with pytest.raises(Refused) as caught:
                await sign_up(daemon.addresses.http, name=bad)
            assert caught.value.code == "forbidden"
            # A file called evil.com.pdf leads nowhere.
            answer = await upload(daemon, ann.account.access_token, PDF, name=f"{bad.rpartition('/')[2]}.pdf")
            assert answer.status == (200 if "/" in bad or bad == "evil.com" else 403), bad
        links = [{"url": "https://evil.com/a"}, {"upload": file}]
        assert (await ann.refused("message.send", **here, client_id="a", attachments=links)).details == {
            "filter": "links"
        }
        links = [{"upload": file}, {"url": "https://good.com/darn"}]
        assert (await ann.refused("message.send", **here, client_id="a", attachments=links)).details == {
            "filter": "words"
        }
        assert (await ann.refused("reaction.add", **here, message=sent["message"], emoji=":darn:")).code == "forbidden"
        assert [one["text"] for one in (await ben.call("message.history", **here))["items"] if one["text"]] == ["fine"]


async def test_values_are_masked_and_keys_are_refused(config: Config) -> None:
    async with running(filtering(config, action="mask")) as daemon, daemon.person("darn it") as ann:
        made = (await ann.call("conversation.create", members=[], title="darn it"))["conversation"]
        assert (made["title"], made["members"][0]["name"]) == ("**** it", "**** it")
        here = {"conversation": made["id"]}
        info = (await ann.call("conversation.edit", **here, description="a darn\nb"))["conversation"]
        assert info["description"] == "a ****\nb"
        file = await stored(daemon, ann.account.access_token, PDF, "darn.pdf")
        assert file["name"] == "****.pdf"
        await ann.call(
            "message.send", **here, client_id="a", text="x", meta={"a": ["darn", {"b": "darn it"}], "n": 1.5}
        )
        message = (await ann.call("message.history", **here))["items"][-1]
        assert message["meta"] == {"a": ["****", {"b": "**** it"}], "n": 1.5}
        for fields in ({"tags": ["darn"]}, {"attributes": {"a": "darn"}}):
            assert (await ann.refused("match.find", **fields)).code == "forbidden"
        await ann.call("match.find", attributes={"a": "fine"}, accept={"must_not": {"a": "darn"}})


async def test_private_texts_are_not_filtered(config: Config) -> None:
    async with running(filtering(config)) as daemon, daemon.pair() as (alice, bob, conversation):
        await alice.call("conversation.settings", conversation=conversation, draft="darn")
        await alice.call("message.search", query="darn")
        await alice.call("report.create", user=bob.user, reason="abuse", text="he said darn, and evil.com")


# --- the form of names --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("  Ann \t\n Lee ", "Ann Lee"),
        ("Ann\u202e\u2066gpj.exe\u2069", "Anngpj.exe"),
        ("A\x00\x07\x1b[31m\x9fnn".replace("\x00", ""), "A[31mnn"),
        ("\ufeffA\u200bn\u00adn\u2060", "Ann"),
        ("Ann\u3164\uffa0", "Ann"),
        ("A\U000e0fffn\U0001d159n\U0001ffff", "Ann"),
        ("\u2800Ann\u2800\u2800Lee\u2800", "Ann Lee"),
        ("Cafe\u0301", "Caf\u00e9"),
        ("👩\u200d💻 Ann \u200d", "👩\u200d💻 Ann"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        (f"{SCOTLAND}\U000e0041", SCOTLAND),
        ("\U0001fa77\U0001facd", "\U0001fa77\U0001facd"),
        ("葛\U000e0100城", "葛\U000e0100城"),
    ],
)  # fmt: skip
async def test_names_and_titles_contain_no_invisible_characters(daemon: Daemon, given: str, kept: str) -> None:
    async with daemon.person(given) as ann:
        made = (await ann.call("conversation.create", members=[], title=given))["conversation"]
        assert (made["title"], made["members"][0]["name"]) == (kept, kept)
        edited = (await ann.call("conversation.edit", conversation=made["id"], title=f"x {given}"))["conversation"]
        assert edited["title"] == f"x {kept}"


async def test_invisible_names_are_refused(daemon: Daemon) -> None:
    async with daemon.person("ann") as ann:
        id_ = (await ann.call("conversation.create", members=[], title="x"))["conversation"]["id"]
        for nothing in INVISIBLE:
            await refused_everywhere(daemon, ann, id_, nothing)
        assert (await ann.call("conversation.edit", conversation=id_, title=""))["conversation"]["title"] is None


async def refused_everywhere(daemon: Daemon, ann: Person, id_: str, nothing: str) -> None:
    for command, fields in (
        ("conversation.create", {"members": [], "title": nothing}),
        ("conversation.edit", {"conversation": id_, "title": nothing}),
        ("conversation.edit", {"conversation": id_, "description": nothing}),
        ("conversation.join", {"conversation": id_, "text": nothing}),
        ("match.find", {"tags": [nothing]}),
        ("match.find", {"attributes": {nothing: 1}}),
    ):
        assert (await ann.refused(command, **fields)).code == "bad_request", (command, nothing)
    with pytest.raises(Refused) as caught:
        await sign_up(daemon.addresses.http, name=nothing)
    assert caught.value.code == "bad_request"


async def test_search_conditions_are_normalized_like_the_compared_texts(config: Config) -> None:
    often = config.using(MatchSettings(recent=0))
    spellings = (("Cafe\u0301", "Caf\u00e9"), ("Caf\u00e9", " Cafe\u0301 "), ("a\u200bb", "ab"), ("ab", "a\u00adb"))
    async with running(often) as daemon, daemon.person("ann") as ann, daemon.person("ben") as ben:
        for number, (own, asked) in enumerate(spellings):
            condition = asked if number % 2 else [asked, "x"]
            await ann.call("match.find", attributes={own: own})
            await ben.call("match.find", accept={"must": {asked: condition}, "must_not": {f"x{asked}": asked}})
            assert (await ann.event("match.found"))["matched_on"] == (await ben.event("match.found"))["matched_on"]
            await ann.call("match.leave")
            await ben.event("match.ended")
            await ann.call("match.find", queue="other", attributes={own: own})
            await ben.call("match.find", queue="other", accept={"must_not": {asked: condition}})
            # In which the two would be matched, if their conditions permitted it.
            await trio.sleep(0.1)
            for person in (ann, ben):
                await person.call("match.cancel")
        assert (await ben.refused("match.find", accept={"must": {"\u200b": 1}})).code == "bad_request"


# --- may this user say this here now ------------------------------------------------------------------------------


@covers("message.edit", "forbidden")
async def test_new_texts_pass_the_same_filter_in_all_commands(daemon: Daemon) -> None:
    """In announcement mode, sending, forwarding and editing are refused alike; higher roles may do all three."""
    async with group(daemon) as (id_, (ann, ben, _)):
        old = await ben.send(id_, "hello")
        other = (await ben.call("conversation.open", user=ann.user))["conversation"]["id"]
        source = await ben.send(other, "elsewhere")
        await ann.call("conversation.edit", conversation=id_, announce=True)
        forward = {"conversation": id_, "client_id": "f", "source": other, "message": source["message"]}
        for command, fields in (
            ("message.send", {"conversation": id_, "client_id": "a", "text": "x"}),
            ("message.forward", forward),
            ("message.edit", {"conversation": id_, "message": old["message"], "text": "buy this"}),
        ):
            assert (await ben.refused(command, **fields)).code == "forbidden", command
        message = await ann.send(id_, "news")
        await ann.call("message.edit", conversation=id_, message=message["message"], text="good news")
        await ben.call("message.delete", conversation=id_, message=old["message"])


async def test_an_edit_counts_in_slow_mode(daemon: Daemon) -> None:
    async with group(daemon) as (id_, (ann, ben, _)):
        message = await ben.send(id_, "hello")
        await ann.call("conversation.edit", conversation=id_, slow_seconds=600)
        edit = {"conversation": id_, "message": message["message"]}
        await ben.call("message.edit", **edit, text="first")
        refused = await ben.refused("message.edit", **edit, text="second")
        assert (refused.code, 0 < (refused.retry_after or 0) <= 600) == ("rate_limited", True)
        assert (await ben.refused("message.send", conversation=id_, client_id="b", text="x")).code == "rate_limited"
        history = (await ann.call("message.history", conversation=id_))["items"]
        assert next(one for one in history if one["id"] == message["message"])["text"] == "first"


# --- mentions and times -------------------------------------------------------------------------------------------


async def test_unknown_ids_are_not_mentioned(daemon: Daemon) -> None:
    async with group(daemon) as (id_, (ann, ben, _)), daemon.person("eve") as eve:
        strangers = [f"0190a3c4-7f00-7000-8000-{number:012x}" for number in range(40)]
        await ann.send(id_, "@ben", mentions=[*strangers, ben.user, eve.user, ben.user])
        assert (await ben.event("message.new"))["message"]["mentions"] == [ben.user, eve.user]
        await ann.send(id_, "@all", mentions=strangers)
        assert "mentions" not in (await ben.event("message.new"))["message"]
        last = (await ben.call("message.history", conversation=id_))["items"][-2:]
        assert [one.get("mentions") for one in last] == [[ben.user, eve.user], None]


async def test_times_in_seconds_are_refused(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, _, conversation):
        now = (await alice.call("ping", ts=1))["server_time"]
        here = {"conversation": conversation}
        for wrong in (1, now // 1000, now * 1000):
            for command, fields in (
                ("conversation.settings", {**here, "muted_until": wrong}),
                ("message.schedule", {**here, "client_id": "x", "text": "x", "at": wrong}),
                ("message.search", {"query": "x", "before": wrong}),
                ("message.search", {"query": "x", "after": wrong}),
                ("message.search", {"query": f"x before:{min(wrong, 10**15 - 1)}"}),
            ):
                refused = await alice.refused(command, **fields)
                assert (refused.code, "milliseconds" in refused.message) == ("bad_request", True), (command, wrong)
        for right in (0, now + 1000, 2**53 - 1):
            await alice.call("conversation.settings", **here, muted_until=right)
