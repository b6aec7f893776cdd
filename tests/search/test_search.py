"""Search: results in each script, and visibility."""

from typing import Any
from urllib.parse import quote

import jwt
import pytest
import trio

from chatd.accounts.settings import TenantSettings
from chatd.core.config import Config
from chatd.db.postgres import Postgres
from chatd.search.settings import SearchSettings
from tests.conversations.test_groups import group
from tests.files import PDF, picture, stored
from tests.support import NOBODY, Daemon, Person, covers, poll_until, running, with_frequent_jobs


async def texts(person: Person, query: str = "", **fields: Any) -> list[str]:
    """The texts of one page, the newest first."""
    return [item["message"]["text"] for item in (await person.call("message.search", query=query, **fields))["items"]]


async def found(person: Person, query: str, expected: list[str], **fields: Any) -> None:
    """The index follows some moments later."""
    await poll_until(lambda: texts(person, query, **fields), lambda found: found == expected)


async def marked(person: Person, query: str) -> list[list[str]]:
    """What is highlighted in each message."""
    items = (await person.call("message.search", query=query))["items"]
    return [[item["message"]["text"][start:end] for start, end in item["highlights"]] for item in items]


@covers("message.search")
async def test_words_of_all_scripts_are_found(daemon: Daemon) -> None:
    messages = [
        "Die Größe der Straße",
        "我们明天去北京大学",
        "東京都に住んでいます",
        "ｶﾞｷﾞのカタカナ",
        "ภาษาไทยไม่มีช่องว่าง",
        "한국어 검색입니다",
        "مُحَمَّد كتب رسالة",
        "привет, Йосиф",
        "well done 👍🏽",
        "mail me at jane.doe@example.org",
    ]
    async with daemon.pair() as (alice, bob, conversation):
        for text in messages:
            await alice.send(conversation, text)
        await found(bob, "example.org", [messages[9]])
        for query, text, mark in (
            ("grosse strasse", messages[0], ["Größe", "Straße"]),
            ("北京", messages[1], ["北京"]),
            ("北京大学", messages[1], ["北京大学"]),
            ("学", messages[1], ["学"]),
            ("東京", messages[2], ["東京"]),
            ("ガギ", messages[3], ["ｶﾞｷﾞ"]),
            ("ไทย", messages[4], ["ไทย"]),
            ("ไม่", messages[4], ["ไม่"]),
            ("검색", messages[5], ["검색"]),
            ("국어", messages[5], ["국어"]),
            ("محمد", messages[6], ["مُحَمَّد"]),
            ("йосиф", messages[7], ["Йосиф"]),
            ("👍", messages[8], ["👍"]),
            ("DOE@example", messages[9], ["doe@example"]),
        ):
            assert (query, await texts(bob, query), await marked(bob, query)) == (query, [text], [mark])
        assert await texts(bob, "北学") == []
        assert await texts(bob, "京東") == []


@covers("message.search")
async def test_filters_restrict_the_results(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, here), daemon.person("carol") as carol:
        there = (await alice.call("conversation.open", user=carol.user))["conversation"]["id"]
        await alice.send(here, "the first plan")
        await bob.send(here, "plan second: https://example.org")
        image = (await stored(daemon, carol.account.access_token, picture()))["id"]
        await carol.send(there, "third plan", attachments=[{"upload": image}])
        document = (await stored(daemon, alice.account.access_token, PDF))["id"]
        ack = await alice.send(
            there, "fourth plans", attachments=[{"upload": document}, {"url": "https://files.test/a.pdf"}]
        )
        everything = ["fourth plans", "third plan", "plan second: https://example.org", "the first plan"]
        await found(alice, "plan", everything)
        assert await texts(alice, "pla plan") == []
        assert await texts(alice, '"plan"') == everything[1:]
        assert await texts(alice, "plan -third -second") == ["fourth plans", "the first plan"]
        assert await texts(alice, '"first plan"') == ["the first plan"]
        assert await texts(alice, '"plan first"') == []
        assert await texts(alice, f"plan in:{here}") == await texts(alice, "plan", conversation=here) == everything[2:]
        assert await texts(alice, f"plan from:{bob.user}") == await texts(alice, sender=bob.user) == everything[2:3]
        assert await texts(alice, f"from:{bob.user}", sender=alice.user) == []
        assert await texts(alice, "has:file") == everything[:2]
        assert await texts(alice, has="image") == await texts(alice, "has:image plan") == everything[1:2]
        assert await texts(alice, "has:link") == [everything[0], everything[2]]
        at = ack["created_at"]
        assert await texts(alice, "plan", before=at) == everything[1:]
        assert await texts(alice, f"plan after:{at}") == everything[:1]
        assert await texts(alice, "plan before:2020-01-01") == await texts(alice, "plan after:2100-01-01") == []
        assert await texts(alice, "plan after:2020-01-01 before:2100-01-01") == everything
        assert await texts(alice, "in:nowhere plan") == []
        assert await texts(alice, "") == await texts(alice, f"in:{here}") == await texts(alice, "-plan") == []


async def test_pages_are_complete_and_cursors_belong_to_one_query_of_one_user(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, conversation):
        for number in range(25):
            await alice.send(conversation, f"page {number}")
        await found(bob, "page", [f"page {number}" for number in reversed(range(5, 25))])
        pages, cursor = [], None
        while cursor or not pages:
            page = await bob.call("message.search", query="page", limit=7, cursor=cursor)
            pages.append([item["message"]["text"] for item in page["items"]])
            cursor, last = page["cursor"], cursor
        assert [text for page in pages for text in page] == [f"page {number}" for number in reversed(range(25))]
        assert [len(page) for page in pages] == [7, 7, 7, 4]
        assert (await bob.call("message.search", query=" PAGE ", limit=7, cursor=last))["items"]
        for person, fields in (
            (bob, {"query": "pages"}),
            (bob, {"query": "page", "conversation": conversation}),
            (bob, {"query": "page", "after": 1}),
            (alice, {"query": "page"}),
        ):
            assert (await person.refused("message.search", cursor=last, **fields)).code == "bad_request"
        for wrong in ("1;drop", "x", f"1.{NOBODY}.1", last + "\n", last.replace(".", "..", 1), "9" * 200):
            assert (await bob.refused("message.search", query="page", cursor=wrong)).code == "bad_request"


async def test_edits_and_deletions_update_the_index(daemon: Daemon, db: Postgres) -> None:
    async with daemon.pair() as (alice, bob, conversation):
        first = (await alice.send(conversation, "the old wording")).message
        second = (await alice.send(conversation, "a secret word")).message
        third = (await alice.send(conversation, "hidden word")).message
        await found(bob, "word", ["hidden word", "a secret word", "the old wording"])
        await alice.call("message.edit", conversation=conversation, message=first, text="the new phrasing")
        assert await texts(bob, "wording") == []
        await found(bob, "phrasing", ["the new phrasing"])
        await alice.call("message.delete", conversation=conversation, message=second)
        await bob.call("message.delete", conversation=conversation, message=third, scope="me")
        assert await texts(bob, "word") == []
        assert await texts(alice, "word") == ["hidden word"]
        stale = "select count(*) from search_index where words @@ 'secret' or words @@ 'wording'"
        await poll_until(lambda: db.value(stale), lambda count: count == 0)
        assert await db.value("select count(*) from search_index") == 2
        await db.run("delete from messages where id = $1", third)
        assert await db.value("select count(*) from search_index") == 1


async def test_search_finds_visible_messages_only(daemon: Daemon) -> None:
    """For removed, former, late and non-members; system messages are not found."""
    async with group(daemon, 3, history="joined") as (id_, (ann, ben, eve)), daemon.person("late") as late:
        await ann.send(id_, "needle before")
        await ann.call("member.add", conversation=id_, users=[late.user])
        await ann.send(id_, "needle after")
        both = ["needle after", "needle before"]
        await found(ann, "needle", both)
        assert await texts(ben, "needle") == await texts(eve, "needle") == both
        assert await texts(late, "needle") == ["needle after"]
        page = await eve.call("message.search", query="needle", limit=1)
        await ann.call("member.remove", conversation=id_, user=eve.user)
        await ben.call("conversation.leave", conversation=id_)
        for gone in (ben, eve):
            assert (
                await texts(gone, "needle")
                == await texts(gone, f"in:{id_} needle")
                == await texts(gone, sender=ann.user)
                == []
            )
        assert (await eve.call("message.search", query="needle", limit=1, cursor=page["cursor"]))["items"] == []
        assert len(await texts(ann, sender=ann.user)) == 2


async def test_blocks_do_not_affect_search(daemon: Daemon) -> None:
    """As in the history."""
    async with daemon.pair() as (alice, bob, conversation):
        await alice.send(conversation, "needle")
        await bob.call("user.block", user=alice.user)
        await found(bob, "needle", ["needle"])
        assert await texts(alice, "needle") == ["needle"]


async def test_another_tenant_finds_nothing(config: Config) -> None:
    """Neither the same user id in another tenant, nor a user there who knows the ids."""
    key = "fedcba9876543210fedcba9876543210"
    two = config.using_named(TenantSettings, {"other": TenantSettings(secret=key)})
    async with running(two) as daemon, daemon.pair() as (alice, bob, conversation):
        await alice.send(conversation, "needle")
        await found(bob, "needle", ["needle"])
        claims = {"sub": bob.user, "exp": 2**31, "jti": "x", "tid": "other", "scope": "user"}
        token = jwt.encode(claims, key, algorithm="HS256")
        for query in ("query=needle", f"query=needle&conversation={conversation}", f"sender={alice.user}"):
            answer = await daemon.rest("GET", f"/v1/search?{query}", token=token)
            assert (answer.status, answer.body["items"]) == (200, [])


HOSTILE = (
    *(
        "a & ",
        "'",
        ":*",
        "<->",
        '"',
        '"a',
        "a' | 'b",
        "!",
        "!!a",
        "(a",
        "a)",
        "\\",
        "\\'",
        "a\\",
        "%",
        "_",
        "*",
        "a:*",
        "a:ABCD",
    ),
    *(
        "' or 1=1 --",
        "@c",
        "@dfile",
        "in:",
        "from:x",
        "before:9999-99-99",
        "before:0000-00-00",
        "after:99999999999999999999",
    ),
    *(
        "has:",
        "has:%",
        "-",
        "--",
        '-"',
        "\u0301",
        "\u200d",
        "\ufdfa" * 100,
        "x" * 500,
        "a " * 250,
        "ab" * 250,
        "東" * 500,
    ),
    *(
        "👍" * 500,
        "<b>x</b>",
        "a\nb\tc",
        "\u202e",
        "aaa " * 125,
        "-a " * 160,
        "\x7f\x01",
        "before:1700000000000 " * 22,
        "to_tsquery('a')",
    ),
)


@pytest.mark.parametrize("transport", ["socket", "rest"])
async def test_hostile_queries_are_harmless(daemon: Daemon, transport: str) -> None:
    """Found or not, never an internal error."""
    async with daemon.pair() as (alice, bob, conversation):
        await alice.send(conversation, "a<b>x</b> 東東 it's 100% _fine_")
        await found(bob, "fine", ["a<b>x</b> 東東 it's 100% _fine_"])
        for query in HOSTILE:
            if transport == "socket":
                await bob.call("message.search", query=query)
            else:
                answer = await daemon.rest("GET", f"/v1/search?query={quote(query)}", token=bob.account.access_token)
                assert answer.status == 200, (query, answer.body)
        assert await marked(bob, "<b>x</b>") == [["b>x</b"]]


async def test_field_limits_are_enforced(daemon: Daemon) -> None:
    async with daemon.pair() as (_, bob, _):
        for fields in (
            {"query": "x" * 501},
            {"limit": 0},
            {"limit": -1},
            {"limit": 10**9},
            {"has": "sort"},
            {"sort": "x"},
        ):
            assert (await bob.refused("message.search", **fields)).code == "bad_request"
        for path in ("limit=-1", "limit=1e9", "cursor=1;drop", "sort=x", "query=" + "x" * 501, "conversation=%25"):
            answer = await daemon.rest("GET", f"/v1/search?{path}", token=bob.account.access_token)
            assert answer.status == 400
        assert (
            await daemon.rest("GET", "/v1/search?query=" + "x" * 100_000, token=bob.account.access_token)
        ).status in (
            400,
            414,
            431,
        )


@covers("message.search")
async def test_slow_search_times_out_and_the_next_one_works(daemon: Daemon, db: Postgres) -> None:
    """After a second, whatever holds it up."""
    async with daemon.pair() as (alice, bob, conversation):
        await alice.send(conversation, "needle")
        await found(bob, "needle", ["needle"])

        locked, released = trio.Event(), trio.Event()

        async def hold(connection: Any) -> None:
            async with connection.transaction():
                await connection.execute("lock table search_index in access exclusive mode")
                locked.set()
                while not released.is_set():
                    await connection.execute("select pg_sleep(0.02)")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(db.run_on_connection, hold)
            await locked.wait()
            for query in ("needle", '"needle"'):
                assert (await bob.refused("message.search", query=query)).code == "timeout"
            await alice.send(conversation, "sending goes on")
            await bob.event("message.new")
            released.set()
        assert await texts(bob, "needle") == ["needle"]


async def test_old_messages_are_paged(daemon: Daemon, db: Postgres) -> None:
    """Every window of time, and nothing twice."""
    async with daemon.pair() as (alice, bob, conversation):
        day, now = 86_400_000, 1_700_000_000_000
        ages = [0, 1, 2, 7, 8, 9, 40, 63, 64, 65, 72, 73, 74, 500, 584, 585, 586, 3000]
        for age in ages:
            await alice.send(conversation, f"days ago {age}")
        await found(bob, "ago", [f"days ago {age}" for age in reversed(ages)], limit=50)
        await db.run("update messages set created_at = $1 - $2 * substr(text, 10)::bigint", now, day)
        await db.run("delete from search_index; delete from search_positions")
        expected = [f"days ago {age}" for age in ages]
        await found(bob, "ago", expected, limit=50)
        got, cursor = [], None
        while cursor or not got:
            page = await bob.call("message.search", query="ago", limit=3, cursor=cursor)
            got += [item["message"]["text"] for item in page["items"]]
            cursor = page["cursor"]
        assert got == expected
        assert await texts(bob, "ago", after=now - 9 * day, before=now - day) == expected[2:6]


INDEX_NEEDLE = """
    insert into search_index (tenant, conversation, created_at, seq, words) values ('default', $1, $2, 1, 'needle')
"""


@pytest.mark.parametrize("delete", ["message.delete", "me.erase"])
async def test_words_are_deleted_with_the_message(config: Config, store: Postgres, delete: str) -> None:
    """Also while no indexer runs."""
    frequent = with_frequent_jobs(0.1)
    async with running(config.using(SearchSettings(indexer="off")), frequent) as daemon, daemon.pair() as pair:
        alice, _, conversation = pair
        sent = await alice.send(conversation, "needle")
        await store.run(INDEX_NEEDLE, conversation, sent.created_at)
        if delete == "me.erase":
            await alice.call("me.erase", confirm=True)
        else:
            await alice.call("message.delete", conversation=conversation, message=sent.message)
        await poll_until(lambda: store.value("select count(*) from search_index"), lambda count: count == 0)
