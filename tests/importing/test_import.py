"""`chatd import`: what an import writes, what it refuses, and what happens after a break."""

import json
import os
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from chatd.accounts.external_ids import user_id_of
from chatd.accounts.settings import AuthSettings
from chatd.app.audit_log import AuditActor
from chatd.core.config import Config
from chatd.db.postgres import Postgres
from chatd.importing.known import Known, message_id_of
from chatd.importing.lines import UserLine
from chatd.importing.writer import Disturbed, Progress, Writer
from chatd.server_api.external_ids import conversation_id_of
from tests.conftest import Servers
from tests.forked import run_chatd
from tests.support import poll_until, running

CHATD = Path(sys.executable).parent / "chatd"
ANN, BEN, CAT = (user_id_of("default", name) for name in ("ann", "ben", "cat"))
GROUP = conversation_id_of("default", "g1")
SYSTEM = "00000000-0000-0000-0000-000000000000"
T = 1_600_000_000_000
EXPORT: list[dict[str, Any]] = [
    {"type": "user", "id": "ann", "name": "Ann", "created_at": T},
    {"type": "user", "id": "ben", "name": "Ben", "roles": ["vip"], "locale": "de"},
    {"type": "user", "id": "cat"},
    {"type": "conversation", "id": "g1", "kind": "group", "title": "Trip", "creator": "ann", "members": ["ben"],
     "created_at": "2020-09-13T12:26:40Z"},
    {"type": "member", "conversation": "g1", "user": "ann", "role": "owner", "joined_at": T},
    {"type": "message", "conversation": "g1", "id": "m1", "sender": "ann", "text": "Where do we meet?", "created_at": T + 1000},
    {"type": "message", "conversation": "g1", "id": "m2", "sender": "ben", "text": "At the station", "reply_to": "m1",
     "mentions": ["ann"], "created_at": T + 2000, "edited_at": T + 2500, "meta": {"place": 7},
     "actions": [[{"label": " Go ", "data": "go"}]]},
    {"type": "reaction", "conversation": "g1", "message": "m2", "user": "ann", "emoji": "👍"},
    {"type": "read", "conversation": "g1", "user": "ben", "message": "m2"},
    {"type": "message", "conversation": "g1", "id": "m3", "text": "Ann changed the title", "created_at": T + 3000},
    {"type": "message", "conversation": "g1", "id": "m4", "sender": "cat", "created_at": T + 3000, "deleted_at": T + 4000},
    {"type": "conversation", "id": "d1", "kind": "direct", "members": ["ann", "cat"]},
    {"type": "message", "conversation": "d1", "id": "m1", "sender": "cat", "text": "hello Ann",
     "attachments": [{"url": "https://example.org/"}], "created_at": T + 9000},
]  # fmt: skip


@dataclass
class Import:
    """Runs `chatd import` in a folder, on the database of the test."""

    folder: Path
    environment: dict[str, str]

    def write(self, lines: list[Any]) -> None:
        texts = [one if isinstance(one, str) else json.dumps(one) for one in lines]
        (self.folder / "export.jsonl").write_text("".join(f"{text}\n" for text in texts))

    def __call__(self, lines: list[Any], *options: str) -> Any:
        """The summary of an import of these lines."""
        self.write(lines)
        done = run_chatd(("import", "export.jsonl", "--json", *options), self.folder, self.environment)
        assert "Traceback" not in done.stderr, done.stderr
        assert done.returncode in (0, 1), done.stderr
        return json.loads(done.stdout) if done.stdout else done.stderr


@pytest.fixture
def chatd(config: Config, servers: Servers, dsn: str, tmp_path: Path) -> Import:
    environment = os.environ | {
        "CHATD_POSTGRES__DSN": dsn,
        "CHATD_REDIS__URL": servers.redis,
        "CHATD_REDIS__PREFIX": config.redis.prefix,
        "CHATD_AUTH__SECRET": config.get(AuthSettings).secret,
        "CHATD_DATA__SECRET": config.data.secret,
        "CHATD_POSTGRES__ALLOW_UNSAFE_DURABILITY": "true",
    }
    return Import(tmp_path, environment)


async def test_an_import_is_what_users_see(config: Config, chatd: Import, store: Postgres) -> None:
    summary = chatd(EXPORT)
    assert summary["errors"] == []
    assert summary["new"] == {
        "users": 3,
        "conversations": 2,
        "members": 4,
        "messages": 5,
        "reactions": 1,
        "reads": 1,
        "files": 0,
    }
    row = await store.one("select seq, rev, members, active_at, external_id from conversations where id = $1", GROUP)
    assert tuple(row or ()) == (4, 8, 2, T + 3000, "g1")
    async with running(config) as daemon:
        token = daemon.token("ann")
        seen = (await daemon.rest("GET", f"/v1/conversations/{GROUP}", token=token)).body["conversation"]
        assert (seen["title"], seen["role"], seen["seq"], seen["unread"], seen["mentions"]) == (
            "Trip",
            "owner",
            4,
            2,
            1,
        )
        history = (await daemon.rest("GET", f"/v1/conversations/{GROUP}/messages", token=token)).body["items"]
        assert [one["text"] for one in history] == [
            "Where do we meet?",
            "At the station",
            "Ann changed the title",
            None,
        ]
        assert [one["sender"] for one in history] == [ANN, BEN, SYSTEM, CAT]
        assert [one["created_at"] for one in history] == [T + 1000, T + 2000, T + 3000, T + 3000]
        second = history[1]
        assert (second["id"], second["quote"]["text"]) == (message_id_of(GROUP, "m2"), "Where do we meet?")
        assert (second["reactions"], second["mine"], second["meta"]) == ({"👍": 1}, ["👍"], {"place": 7})
        assert (second["mentions"], second["edited_at"]) == ([ANN], T + 2500)
        assert second["actions"] == [[{"label": "Go", "data": "go"}]]
        assert history[3]["deleted_at"] == T + 4000
        of_ben = (await daemon.rest("GET", f"/v1/conversations/{GROUP}", token=daemon.token("ben"))).body[
            "conversation"
        ]
        assert (of_ben["read_seq"], of_ben["unread"]) == (2, 1)

        async def found() -> list[str]:
            answer = await daemon.rest("GET", "/v1/search?query=station", token=token)
            return [one["message"]["id"] for one in answer.body.get("items", [])]

        assert await poll_until(found) == [message_id_of(GROUP, "m2")]


async def test_a_second_run_changes_nothing(chatd: Import, store: Postgres) -> None:
    """Of the same file, and of a longer one."""
    chatd(EXPORT)
    before = await everything(store)
    again = chatd(EXPORT)
    assert (set(again["new"].values()), again["resumed_at"]) == ({0}, len(EXPORT))
    assert await everything(store) == before
    more = {
        "type": "message",
        "conversation": "g1",
        "id": "m5",
        "sender": "ann",
        "text": "more",
        "created_at": T + 9000,
    }
    longer = chatd([*EXPORT, more])
    assert (longer["new"]["messages"], sum(longer["new"].values())) == (1, 1)
    assert await store.value("select seq from conversations where id = $1", GROUP) == 5


async def everything(store: Postgres) -> list[Any]:
    tables = ("users", "conversations", "members", "messages", "reactions", "mentions")
    return [
        [
            str({name: value for name, value in row.items() if name != "changed"})
            for row in await store.all(f"select * from {table} order by 1, 2, 3")
        ]
        for table in tables
    ]


async def test_a_dry_run_writes_nothing(chatd: Import, store: Postgres) -> None:
    summary = chatd(EXPORT, "--dry-run")
    assert (summary["failed"], summary["lines"]["message"], set(summary["new"].values())) == (0, 5, {0})
    assert await store.value("select count(*) from users") == 0
    assert await store.value("select count(*) from imports") == 0


WRONG: list[tuple[Any, str]] = [
    ("not json", "malformed"),
    ("[]", "$"),
    ("\x00", "malformed"),
    ('{"type": "user", "id": "\\u0000"}', "$.id"),
    ('{"type": "user", "id": "\\ud800"}', "$"),
    ({"type": "nothing"}, "nothing"),
    ({"type": "user", "id": ""}, "$.id"),
    ({"type": "user", "id": "x", "nickname": "X"}, "nickname"),
    ({"type": "user", "id": SYSTEM}, "$.id"),
    ({"type": "user", "id": "é" * 200}, "$.id"),
    ({"type": "user", "id": "x", "picture_url": "ftp://x"}, "$.picture_url"),
    ({"type": "user", "id": "x", "created_at": "yesterday"}, "$.created_at"),
    ({"type": "user", "id": "x", "created_at": "2024-01-01T00:00:00"}, "time zone"),
    ({"type": "user", "id": "x", "created_at": 2**52}, "in the past"),
    ({"type": "user", "id": "x", "created_at": -1}, "$.created_at"),
    ({"type": "conversation", "id": "g1", "kind": "direct", "members": ["ann", "ben"]}, "$.id"),
    ({"type": "conversation", "id": "d2", "kind": "direct", "members": ["ann"]}, "$.members"),
    ({"type": "conversation", "id": "d2", "kind": "direct", "members": ["ann", "cat"]}, "another id"),
    ({"type": "conversation", "id": "d1", "kind": "direct", "members": ["ann", "ben"]}, "not a member"),
    ({"type": "conversation", "id": "g2", "kind": "group", "members": ["nobody"]}, "$.members"),
    ({"type": "conversation", "id": "g2", "kind": "match"}, "$.kind"),
    ({"type": "member", "conversation": "g2", "user": "ann"}, "$.conversation"),
    ({"type": "member", "conversation": "d1", "user": "ben"}, "direct"),
    ({"type": "member", "conversation": "g1", "user": "ben", "role": "owner"}, "owner"),
    ({"type": "message", "conversation": "g1", "id": "m9", "sender": "ann", "text": " ", "created_at": T + 9000}, "visible"),
    ({"type": "message", "conversation": "g1", "id": "m9", "sender": "dan", "text": "x", "created_at": T + 9000}, "$.sender"),
    ({"type": "message", "conversation": "g1", "id": "m9", "sender": "ann", "text": "x", "created_at": T}, "order of time"),
    ({"type": "message", "conversation": "g1", "id": "m1", "sender": "ann", "text": "x", "created_at": T + 9000}, "line before"),
    ({"type": "message", "conversation": "g1", "id": "m9", "text": "x" * 20_000, "created_at": T + 9000}, "bytes"),
    ({"type": "message", "conversation": "g1", "id": "m9", "text": "x", "meta": {"x": "y" * 9000}, "created_at": T + 9000}, "meta"),
    ({"type": "message", "conversation": "g1", "id": "m9", "text": "x", "reply_to": "m0", "created_at": T + 9000}, "$.reply_to"),
    ({"type": "message", "conversation": "d1", "id": "m9", "text": "x", "reply_to": "m2", "created_at": T + 9000}, "$.reply_to"),
    ({"type": "message", "conversation": "g1", "id": "m9", "text": "x", "edited_at": T, "created_at": T + 9000}, "$.edited_at"),
    ({"type": "message", "conversation": "g1", "id": "m9", "attachments": [{"url": "x"}], "created_at": T + 9000}, "url"),
    ({"type": "message", "conversation": "g1", "id": "m9", "text": "x", "created_at": T + 9000, "sender": "ann",
      "actions": [[{"label": "x", "kind": "url", "url": "http://x.test"}]]}, "$.actions[0][0].url"),
    ({"type": "message", "conversation": "g1", "id": "m9", "text": "x", "created_at": T + 9000,
      "actions": [[{"label": "x", "data": "d"}]]}, "sender"),
    ({"type": "reaction", "conversation": "g1", "message": "m0", "user": "ann", "emoji": "👍"}, "$.message"),
    ({"type": "reaction", "conversation": "g1", "message": "m1", "user": "ann", "emoji": "thumbs"}, "$.emoji"),
    ({"type": "read", "conversation": "g1", "user": "cat"}, "not a member"),
    ({"type": "read", "conversation": "g1", "user": "ann", "message": "m0"}, "$.message"),
]  # fmt: skip


async def test_every_wrong_line_is_named_and_nothing_is_written(chatd: Import, store: Postgres) -> None:
    summary = chatd([*EXPORT, *(line for line, _ in WRONG)])
    assert summary["failed"] == len(WRONG)
    found = {one["line"]: one["message"] for one in summary["errors"]}
    for number, (line, part) in enumerate(WRONG, len(EXPORT) + 1):
        assert part in found[number], (line, found.get(number))
    assert await store.value("select count(*) from users") == 0


async def test_long_lines_and_a_missing_end(chatd: Import, store: Postgres) -> None:
    summary = chatd(
        [*EXPORT, '{"type": "user", "id": "x", "name": "' + "x" * 3_000_000 + '"}', {"type": "user", "id": 5}]
    )
    assert [one["line"] for one in summary["errors"]] == [len(EXPORT) + 1, len(EXPORT) + 2]
    assert chatd([])["lines"] == {}
    assert chatd(["", "  ", EXPORT[0]])["new"]["users"] == 1


async def test_an_erased_user_is_not_imported_again(chatd: Import, store: Postgres) -> None:
    chatd(EXPORT)
    await store.run("update users set erased_at = 1, external_id = null where id = $1", CAT)
    summary = chatd([*EXPORT, {"type": "user", "id": "dan"}])
    assert "erased" in summary["errors"][0]["message"]


async def test_an_import_continues_after_a_break(chatd: Import, store: Postgres, config: Config) -> None:
    """The database ends the connection in the middle: the progress is that of the rows."""
    users = [{"type": "user", "id": f"u{number}"} for number in range(5)]
    group = {"type": "conversation", "id": "big", "kind": "group", "members": [one["id"] for one in users]}
    messages = [
        {
            "type": "message",
            "conversation": "big",
            "id": f"m{n}",
            "sender": f"u{n % 5}",
            "text": f"text {n}",
            "created_at": T + n,
        }
        for n in range(5000)
    ]
    await store.run(
        "create function fail() returns trigger language plpgsql as $$ begin"
        " if new.text = 'text 3500' then raise exception 'broken'; end if; return new; end $$"
    )
    await store.run("create trigger broken before insert on messages for each row execute function fail()")
    with pytest.raises(AssertionError):
        chatd([*users, group, *messages])
    stored = await store.value("select count(*) from messages")
    assert stored == 2994, "whole batches"
    assert await store.value("select lines from imports") == 3000
    await store.run("drop trigger broken on messages")
    summary = chatd([*users, group, *messages])
    assert (summary["resumed_at"], summary["new"]["messages"]) == (3000, 5000 - stored)
    rows = await store.all("select seq, text from messages order by seq")
    assert [(row["seq"], row["text"]) for row in rows] == [(n + 1, f"text {n}") for n in range(5000)]
    row = await store.one("select seq, rev from conversations")
    assert tuple(row or ()) == (5000, 5005)


async def test_an_import_continues_after_kill_9(chatd: Import, store: Postgres) -> None:
    """Wherever the process ends: each message is there once, in its place."""
    group = {"type": "conversation", "id": "big", "kind": "group", "members": ["ann"]}
    messages = [
        {
            "type": "message",
            "conversation": "big",
            "id": f"m{n}",
            "sender": "ann",
            "text": f"text {n}",
            "created_at": T + n,
        }
        for n in range(20_000)
    ]
    lines = [{"type": "user", "id": "ann"}, group, *messages]
    chatd.write(lines)
    async with trio.open_nursery() as nursery:
        process = await nursery.start(
            partial(
                trio.run_process,
                [CHATD, "import", "export.jsonl"],
                check=False,
                cwd=chatd.folder,
                env=chatd.environment,
            )
        )
        progress = partial(store.value, "select coalesce(max(lines), 0) from imports")
        at = await poll_until(progress, lambda lines: lines >= 2000, 60)
        process.kill()
    assert at < len(lines)
    summary = chatd(lines)
    assert summary["resumed_at"] >= at
    row = await store.one("select count(*), min(seq), max(seq), count(distinct text), max(rev) from messages")
    assert tuple(row or ()) == (20_000, 1, 20_000, 20_000, 20_001)
    assert await store.value("select bool_and(text = 'text ' || seq - 1) from messages")


async def test_live_messages_are_never_between_imported_ones(config: Config, chatd: Import, store: Postgres) -> None:
    async with running(config) as daemon, daemon.person("ann") as ann, daemon.person("ben") as ben:
        users = [{"type": "user", "id": person.user} for person in (ann, ben)]
        opened = await ann.call("conversation.open", user=ben.user)
        direct = {"type": "conversation", "id": "d1", "kind": "direct", "members": [ann.user, ben.user]}
        old = {"type": "message", "conversation": "d1", "id": "m1", "sender": ann.user, "text": "old", "created_at": T}
        summary = await in_thread(chatd, [*users, direct, old])
        assert summary["new"] == {
            "users": 0,
            "conversations": 0,
            "members": 0,
            "messages": 1,
            "reactions": 0,
            "reads": 0,
            "files": 0,
        }
        conversation = opened["conversation"]["id"]
        assert await store.value("select external_id from conversations") == "d1"
        behind = await ben.event("behind")
        assert behind["conversation"] == conversation
        live = await ann.send(conversation, "live")
        assert live["seq"] == 2
        assert (await ben.event("message.new"))["message"]["seq"] == 2
        late = {**old, "id": "m2", "created_at": T + 1}
        summary = await in_thread(chatd, [*users, direct, old, late])
        assert [one["line"] for one in summary["errors"]] == [5]
        seen = await ben.call("message.history", conversation=conversation)
        assert [one["text"] for one in seen["items"]] == ["old", "live"]


async def test_a_request_is_not_imported(chatd: Import, store: Postgres) -> None:
    """The other user is no member, and has not accepted the conversation."""
    chatd(EXPORT[:3])
    low, high = sorted((ANN, BEN))
    await store.run(
        "insert into conversations (tenant, id, kind, pair_low, pair_high, creator, members, created_at, active_at, max_seq)"
        " values ('default', gen_random_uuid(), 'direct', $1, $2, $3, 1, 0, 0, 1)",
        low,
        high,
        ANN,
    )
    direct = {"type": "conversation", "id": "d1", "kind": "direct", "members": ["ann", "ben"]}
    assert "accepted" in chatd([*EXPORT[:3], direct])["errors"][0]["message"]


async def test_a_connected_user_gets_an_imported_group(config: Config, chatd: Import, store: Postgres) -> None:
    async with running(config) as daemon, daemon.person("ann") as ann, daemon.person("ben") as ben:
        users = [{"type": "user", "id": person.user} for person in (ann, ben)]
        group = {"type": "conversation", "id": "g", "kind": "group", "members": [ann.user, ben.user]}
        await in_thread(chatd, [*users, group])
        conversation = conversation_id_of("default", "g")
        await ann.event("behind")
        await ann.send(conversation, "live")
        assert (await ben.event("message.new"))["message"]["text"] == "live"


async def in_thread(run: Import, lines: list[Any]) -> Any:
    return await trio.to_thread.run_sync(run, lines)


async def test_two_runs_at_the_same_time(chatd: Import, store: Postgres, config: Config) -> None:
    """The second one ends, and says why."""
    chatd([])
    actor, known = AuditActor("default", "me", T), Known()
    one, other = (Writer(store, actor, b"x" * 32, known) for _ in range(2))
    start = await one.begin()
    assert await other.begin() == start
    await one.write([UserLine(id="ann")], start, Progress(1, 10))
    with pytest.raises(Disturbed):
        await other.write([UserLine(id="ben")], start, Progress(1, 10))
    assert await store.value("select count(*) from users") == 1
    known.close()
