"""The export contains everything that is stored about a user, and nothing about others."""

import json
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from email.message import Message
from functools import partial
from typing import Any
from uuid import uuid4

import trio
from msgspec.structs import replace

from chatd.accounts.settings import TenantSettings
from chatd.core.clock import now_ms
from chatd.core.config import Config
from chatd.db.postgres import Postgres
from chatd.privacy import export
from chatd.privacy.routes import MAX_READERS
from chatd.subsystems import all_personal_data
from tests.http.raw import HttpPort
from tests.support import PATIENCE, Daemon, Person, poll_until, running

Lines = list[dict[str, Any]]


def download(daemon: Daemon, token: str) -> tuple[int, dict[str, str], bytes]:
    asked = urllib.request.Request(
        f"{daemon.addresses.http}/v1/me/export", headers={"Authorization": f"Bearer {token}"}
    )
    try:
        with urllib.request.urlopen(asked, timeout=PATIENCE) as answer:
            return answer.status, lower(answer.headers), answer.read()
    except urllib.error.HTTPError as error:
        return error.code, lower(error.headers), error.read()


def lower(headers: Message) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


async def exported(daemon: Daemon, person: Person) -> Lines:
    status, headers, data = await trio.to_thread.run_sync(download, daemon, person.account.access_token)
    assert status == 200, data
    assert headers["content-type"] == "application/x-ndjson"
    assert headers["content-disposition"] == f'attachment; filename="chatd-{person.user}.jsonl"'
    assert headers["cache-control"] == "no-store"
    return [json.loads(line) for line in data.splitlines()]


def of(lines: Lines, kind: str) -> Lines:
    return [line for line in lines if line["type"] == kind]


async def traces(alice: Person, bob: Person, carol: Person, store: Postgres) -> tuple[str, str]:
    """Alice and the others have sent messages and changed data; what is not Alice's has SECRET in it."""
    direct = (await alice.call("conversation.open", user=bob.user)).conversation.id
    group = (
        await bob.call("conversation.create", title="SECRET title", members=[alice.user, carol.user])
    ).conversation.id
    for place in (direct, group):
        mine = await alice.send(place, "my words", meta={"mood": 1}, mentions=[bob.user])
        theirs = await bob.send(
            place,
            "SECRET words",
            reply_to=mine.message,
            meta={"SECRET": 1},
            attachments=[{"url": "https://x.test/SECRET"}],
        )
        await alice.call("message.edit", conversation=place, message=mine.message, text="better words")
        await alice.send(place, "an answer", reply_to=theirs.message)
        await alice.call("reaction.add", conversation=place, message=theirs.message, emoji="🎉")
        await bob.call("reaction.add", conversation=place, message=mine.message, emoji="👍")
        await alice.call("message.star", conversation=place, message=theirs.message)
        root = await bob.send(place, "SECRET root")
        await alice.call("thread.follow", conversation=place, thread=root.message)
        await alice.call("conversation.settings", conversation=place, draft="my draft", labels=["mine"])
        await bob.call("conversation.settings", conversation=place, draft="SECRET draft", labels=["SECRET label"])
    for source in (theirs, mine):
        forward = {"conversation": direct, "client_id": str(uuid4()), "source": group, "message": source.message}
        await alice.call("message.forward", **forward)
    for person, text in ((alice, "my plan"), (bob, "SECRET plan")):
        await person.call("message.schedule", conversation=direct, client_id="p", text=text, at=now_ms() + 3_600_000)
    await alice.call("user.block", user=carol.user)
    await alice.call("user.settings", notify="mentions")
    await store.run(
        "insert into uploads (tenant, id, owner, key, mime, size, sha256, name, created_at) values"
        " ('default', $1, $1, 'SECRET key', 'image/png', 5, 'x', 'me.png', 0),"
        " ('default', $2, $2, 'k', 'x/y', 5, 'x', 'SECRET', 0)",
        alice.user, bob.user,
    )  # fmt: skip
    return direct, group


async def test_export_contains_all_data_of_one_user_only(daemon: Daemon, store: Postgres) -> None:
    async with daemon.people(3) as (alice, bob, carol):
        direct, group = await traces(alice, bob, carol, store)
        lines = await exported(daemon, alice)
        assert "SECRET" not in json.dumps(lines)
        assert "p1" not in json.dumps([line for line in lines if line["type"] != "message"])
        assert [line["type"] for line in lines[:2]] == ["profile", "settings"]
        assert lines[-1] == {"type": "end", "rows": len(lines) - 3}
        profile, settings = lines[:2]
        assert (profile["user"], profile["name"], profile["devices"], profile["logins"]) == (alice.user, "p0", 0, 1)
        assert settings["notify"] == "mentions"
        assert [line["user"] for line in of(lines, "block")] == [carol.user]
        places = {line["conversation"]: line for line in of(lines, "conversation")}
        assert set(places) == {direct, group}
        assert (places[direct]["with_user"], places[direct]["draft"], places[group]["role"]) == (
            bob.user,
            "my draft",
            "member",
        )
        assert places[direct]["labels"] == ["mine"]
        assert {line["conversation"] for line in of(lines, "thread")} == {direct, group}
        messages = sorted((line.get("text", ""), line["conversation"]) for line in of(lines, "message"))
        own = [
            ("an answer", direct),
            ("an answer", group),
            ("better words", direct),
            ("better words", direct),
            ("better words", group),
        ]
        assert messages == sorted([("", direct), *own])
        (edited,) = (line for line in of(lines, "message") if "edits" in line and line["conversation"] == group)
        assert [edit["text"] for edit in edited["edits"]] == ["my words"]
        assert (edited["meta"], edited["mentions"]) == ({"mood": 1}, [bob.user])
        assert sorted(line["conversation"] for line in of(lines, "reaction")) == sorted([direct, group])
        assert {line["emoji"] for line in of(lines, "reaction")} == {"🎉"}
        assert len(of(lines, "mark")) == 2
        assert [(line["upload"], line["name"]) for line in of(lines, "upload")] == [(alice.user, "me.png")]
        assert [line["body"]["text"] for line in of(lines, "scheduled")] == ["my plan"]


async def test_export_has_no_control_characters_and_is_lossless(daemon: Daemon, store: Postgres) -> None:
    """Printing the file shows its content, whatever the texts contain."""
    odd = [
        chr(code)
        for code in (*range(1, 32), *range(127, 160), 0x061C, *range(0x2028, 0x202F), *range(0x2066, 0x206A), 0xFEFF)
    ]
    text = "a" + "".join(odd) + "é👍"
    async with daemon.pair() as (alice, _, conversation):
        await alice.send(conversation, "a")
        await store.run("update messages set text = $1, meta = jsonb_build_object('k', $1::text)", text)
        _, _, data = await trio.to_thread.run_sync(download, daemon, alice.account.access_token)
        assert not [sign for sign in data.decode().replace("\n", "") if sign in odd]
        (line,) = of([json.loads(part) for part in data.split(b"\n") if part], "message")
        assert (line["text"], line["meta"]["k"]) == (text, text)


async def test_export_is_paged_and_complete(daemon: Daemon, store: Postgres) -> None:
    async with daemon.people(2) as (alice, bob):
        place = (await alice.call("conversation.open", user=bob.user)).conversation.id
        for number in range(10):
            sent = await bob.send(place, "theirs")
            await alice.send(place, str(number))
            for emoji in ("👍", "🎉"):
                await alice.call("reaction.add", conversation=place, message=sent.message, emoji=emoji)
            await alice.call("message.star", conversation=place, message=sent.message)
        data = [page async for page in export.pages(store, all_personal_data(), "default", alice.user, page_size=3)]
        assert max(page.count(b"\n") for page in data) == 3
        lines = [json.loads(line) for page in data for line in page.splitlines()]
        assert sorted(int(line["text"]) for line in of(lines, "message")) == list(range(10))
        assert (
            len({(line["message"], line["emoji"]) for line in of(lines, "reaction")})
            == len(of(lines, "reaction"))
            == 20
        )
        assert len({line["message"] for line in of(lines, "mark")}) == 10
        # One conversation, one login, and the above.
        assert lines[-1]["rows"] == 42


async def test_export_excludes_expired_messages(daemon: Daemon, store: Postgres) -> None:
    async with daemon.pair() as (alice, _, conversation):
        await alice.send(conversation, "gone")
        await store.run("update messages set expires_at = 1")
        (line,) = of(await exported(daemon, alice), "message")
        assert "text" not in line
        assert line["deleted_at"]


async def test_export_is_rate_limited_and_for_the_own_account(config: Config) -> None:
    settings = config.using_named(TenantSettings, {"other": TenantSettings(secret="o" * 32)})
    async with running(settings) as daemon, daemon.people(2) as (alice, bob):
        assert download_status(await trio.to_thread.run_sync(download, daemon, "x.y.z")) == (401, "unauthenticated")
        for _ in range(4):
            await exported(daemon, alice)
        refused = await trio.to_thread.run_sync(download, daemon, alice.account.access_token)
        assert download_status(refused) == (429, "rate_limited")
        assert int(refused[1]["retry-after"]) > 60
        assert (await exported(daemon, bob))[0]["user"] == bob.user
        await alice.call("auth.logout")
        assert download_status(await trio.to_thread.run_sync(download, daemon, alice.account.access_token))[0] == 401


def download_status(found: tuple[int, dict[str, str], bytes]) -> tuple[int, str]:
    return found[0], json.loads(found[2])["code"]


async def test_export_releases_its_slot(daemon: Daemon, store: Postgres) -> None:
    """Also after a disconnect during the export."""
    async with daemon.people(6) as people:
        for person in people:
            host, _, port = daemon.addresses.http.removeprefix("http://").partition(":")
            async with await trio.open_tcp_stream(host, int(port)) as stream:
                head = f"GET /v1/me/export HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {person.account.access_token}\r\n\r\n"
                await stream.send_all(head.encode())
        with trio.fail_after(PATIENCE):
            while True:
                answers = [await trio.to_thread.run_sync(download, daemon, one.account.access_token) for one in people]
                if {status for status, *_ in answers} == {200}:
                    return
                await trio.sleep(0.1)


COPY = """insert into messages (tenant, conversation, seq, rev, id, sender, client_id, text, created_at)
select tenant, conversation, seq + n, rev + n, gen_random_uuid(), sender, n::text, text, created_at
from messages, generate_series(1, 200) n where conversation = $1"""


async def test_slow_export_readers_do_not_block_others(config: Config, store: Postgres) -> None:
    """More of them than pages are read at once. Each user has one at a time, which the next one has to wait for."""
    trusting = replace(config, gateway=replace(config.gateway, trusted_proxies=["127.0.0.1"]))
    async with running(trusting) as daemon, daemon.people(MAX_READERS + 2) as (fast, *slow), AsyncExitStack() as stack:
        for number, person in enumerate(slow):
            place = (await person.call("conversation.open", user=fast.user)).conversation.id
            await person.send(place, "x" * 16_000)
            await store.run(COPY, place)
            stream = await stack.enter_async_context(asked(daemon, person, f"203.0.113.{number}"))
            assert (await stream.receive_some(12)) == b"HTTP/1.1 200"
        for _ in range(2):
            # The one before ends after its last byte was read.
            own = partial(daemon.rest, "GET", "/v1/me/export", token=fast.account.access_token)
            await poll_until(own, lambda answer: answer.status == 200)
        again = await daemon.rest(
            "GET", "/v1/me/export", token=slow[0].account.access_token, X_Forwarded_For="203.0.113.99"
        )
        assert (again.status, again.body["message"]) == (429, "too many exports of one user at a time: at most 1")
        await stack.aclose()
        token = slow[0].account.access_token
        await poll_until(lambda: daemon.rest("GET", "/v1/me/export", token=token), lambda answer: answer.status == 200)


@asynccontextmanager
async def asked(daemon: Daemon, person: Person, address: str) -> AsyncIterator[trio.SocketStream]:
    """A connection that has requested the export."""
    sock = trio.socket.socket()
    sock.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, 4096)
    door = HttpPort.of(daemon)
    await sock.connect((door.host, door.port))
    head = f"Host: a\r\nAuthorization: Bearer {person.account.access_token}\r\nX-Forwarded-For: {address}\r\n"
    async with trio.SocketStream(sock) as stream:
        await stream.send_all(f"GET /v1/me/export HTTP/1.1\r\n{head}\r\n".encode())
        yield stream
