"""Erasure of a user: no sign-in, no data left, and everything of other users stays consistent."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import jwt
import outcome
import pytest
import trio
from msgspec.structs import replace

from chatd.accounts.settings import TenantSettings
from chatd.app import effects
from chatd.app.context import Ctx, Node
from chatd.app.documents import stored_by
from chatd.app.jobs import Job
from chatd.client import Account, sign_up
from chatd.conversations import erasure as conversations_erasure
from chatd.conversations.log.entries import NewMessage
from chatd.conversations.log.writer import MessageLog
from chatd.core.clock import now_ms
from chatd.core.config import ClusterTimes, Config
from chatd.core.errors import Refused
from chatd.core.ids import uuid7
from chatd.core.settlement import settlement
from chatd.db.postgres import Postgres
from chatd.privacy import erasure
from chatd.privacy.erasure import ErasureTunables
from chatd.subsystems import SUBSYSTEMS, all_personal_data
from tests.cluster.test_two_nodes import nodes
from tests.support import NOBODY, PATIENCE, Daemon, Person, altered, covers, eventually, only_jobs, poll_until, running

# Tables whose rows of an erased user are deleted, and the column that names the user. Other rows may name the user as
# somebody that others point at, never with what they wrote or set.
ROWS_OF = {
    table.name: table.users.rows_of for table in stored_by(SUBSYSTEMS).tables if table.users and table.users.rows_of
}


# Do not wait for sessions that no control message could close.
SETTLED = ErasureTunables(settled_ms=0)
ERASURE = Job("erasure", partial(erasure.erase_next, tunables=SETTLED), 0.1)


@pytest.fixture
async def daemon(config: Config) -> AsyncIterator[Daemon]:
    async with running(config, altered(ERASURE)) as started:
        yield started


async def done(store: Postgres, user: str) -> None:
    await poll_until(
        lambda: store.value("select done_at from erasures where user_id = $1", user), patience=3 * PATIENCE
    )


async def check_gone(store: Postgres, user: str) -> None:
    for table, column in ROWS_OF.items():
        assert await store.value(f"select count(*) from {table} where {column} = $1", user) == 0, table
    left = "select count(*) from messages where sender = $1 and system is null and deleted_at is null"
    assert await store.value(left, user) == 0
    assert await store.value("select count(*) from messages where sender = $1 and text is not null", user) == 0
    row = await store.one("select name, erased_at from users where id = $1", user)
    assert row is not None
    assert (row["name"], row["erased_at"] > 0) == (None, True)
    roles = "select count(*) from members b join conversations c on c.id = b.conversation where b.user_id = $1 and kind <> 'direct'"
    assert await store.value(roles, user) == 0
    await check_counts(store)


async def check_counts(store: Postgres) -> None:
    """Counts of reactions and members equal a recount, seq has no gap, no rev occurs twice or exceeds the
    conversation's.
    """
    assert not await store.all(
        "select m.seq, m.reactions, n.counts from messages m left join lateral ("
        " select jsonb_object_agg(emoji, found) as counts from ("
        "  select emoji, count(*) as found from reactions r where r.conversation = m.conversation and r.seq = m.seq group by 1"
        " ) as c) as n on true where m.reactions is distinct from n.counts"
    )
    assert not await store.all(
        "select 1 from conversations c where members <> (select count(*) from members b where b.conversation = c.id)"
        " or seq <> (select count(*) from messages m where m.conversation = c.id)"
        " or rev < (select coalesce(max(rev), 0) from messages m where m.conversation = c.id)"
    )
    assert not await store.all("select 1 from messages group by conversation, rev having count(*) > 1")


async def settle(alice: Person, bob: Person, carol: Person) -> dict[str, str]:
    """Alice has left traces everywhere."""
    direct = (await alice.call("conversation.open", user=bob.user)).conversation.id
    group = (await alice.call("conversation.create", title="Us", members=[bob.user, carol.user])).conversation.id
    other = (await bob.call("conversation.create", members=[alice.user, carol.user])).conversation.id
    for place in (direct, group, other):
        mine = await alice.send(place, f"mine {place}", mentions=[bob.user])
        theirs = await bob.send(place, f"theirs {place}", reply_to=mine.message)
        await alice.call("message.edit", conversation=place, message=mine.message, text="mine, edited")
        await bob.call("reaction.add", conversation=place, message=mine.message, emoji="👍")
        for person, emoji in ((alice, "👍"), (bob, "👍"), (alice, "🎉")):
            await person.call("reaction.add", conversation=place, message=theirs.message, emoji=emoji)
        await alice.call("message.star", conversation=place, message=theirs.message)
        await alice.call("conversation.settings", conversation=place, draft="I was about to say", muted_until=2**53 - 1)
    await alice.call("message.schedule", conversation=direct, client_id="s", text="one day", at=now_ms() + 3_600_000)
    await alice.call("contact.add", user=carol.user)
    await carol.call("user.settings", allow_groups="nobody")
    await alice.call("conversation.create", members=[carol.user])
    await alice.call("user.block", user=carol.user)
    await alice.call("user.settings", notify="none")
    await alice.call("auth.ticket")
    return {"direct": direct, "group": group, "other": other}


@covers("me.erase")
async def test_erasure_deletes_all_rows(daemon: Daemon, store: Postgres) -> None:
    async with daemon.people(3) as (alice, bob, carol), daemon.connected(alice.account) as tablet:
        places = await settle(alice, bob, carol)
        bob.events.clear()
        assert (await alice.refused("me.erase", confirm=False)).code == "bad_request"
        assert (await alice.call("me.erase", confirm=True))["t"] == "me.erased"
        for session in (alice, tablet):
            assert (await session.ended()).code == 4404
        await done(store, alice.user)
        await check_gone(store, alice.user)
        audit = await store.one("select actor, act, subject from audit_log")
        assert audit is not None
        assert tuple(audit) == (alice.user, "user.erase", alice.user)
        for name, place in places.items():
            items = (await bob.call("message.history", conversation=place))["items"]
            spoken = [item for item in items if "system" not in item]
            assert [(item["text"], "deleted_at" in item) for item in spoken] == [
                (None, True),
                (f"theirs {place}", False),
            ]
            assert (spoken[1]["reactions"], spoken[1]["mine"]) == ({"👍": 1}, ["👍"])
            assert (spoken[1]["quote"]["text"], spoken[1]["quote"]["deleted"]) == (None, True)
            members = {one["user"]: one for one in (await bob.call("member.list", conversation=place))["items"]}
            assert (alice.user in members) == (name == "direct")
        assert (await bob.call("member.list", conversation=places["direct"]))["items"][0]["name"] in (None, "p1")
        roles = [one["role"] for one in (await bob.call("member.list", conversation=places["group"]))["items"]]
        assert sorted(roles) == ["member", "owner"]
        total = (await bob.call("unread.total"))["total"]
        assert total["mentions"] == 0


async def test_erasure_is_sent_to_other_members(daemon: Daemon, store: Postgres) -> None:
    async with daemon.people(3) as (alice, bob, carol):
        places = await settle(alice, bob, carol)
        await bob.is_served()
        bob.events.clear()
        before = (await bob.call("conversation.get", conversation=places["direct"])).conversation.rev
        await alice.call("me.erase", confirm=True)
        await done(store, alice.user)
        events: dict[str, list[Any]] = {}
        while (
            len(events.get("message.update", ())) < 9
            or len(events.get("member.left", ())) < 2
            or "member.update" not in events
        ):
            await eventually(lambda: bob.events)
            event = bob.events.popleft()
            events.setdefault(event["t"], []).append(event)
        changes = sorted(event["change"] for event in events["message.update"])
        assert changes == ["delete"] * 3 + ["reaction"] * 6
        assert {event["by"] for event in events["message.update"]} == {alice.user}
        assert {event["departure"]["user"] for event in events["member.left"]} == {alice.user}
        assert None in [event["member"]["name"] for event in events["member.update"]]
        changed = await bob.call("conversation.sync", conversation=places["direct"], rev=before)
        assert len(changed["messages"]) == 2
        assert changed["members"][0]["name"] is None


async def test_erased_user_cannot_sign_in(config: Config, store: Postgres) -> None:
    """Neither with the tokens of before, nor with one that another service makes now, nor with the device."""
    async with (
        running(config, altered(ERASURE)) as daemon,
        daemon.person("al", device="d" * 32) as alice,
        daemon.person("bob") as bob,
    ):
        ticket = (await daemon.rest("POST", "/v1/auth/ticket", {}, alice.account.access_token)).body["ticket"]
        await alice.call("me.erase", confirm=True)
        for token in (alice.account.access_token, daemon.token(alice.user)):
            answer = await daemon.rest("GET", "/v1/conversations", token=token)
            assert (answer.status, answer.body["code"]) == (401, "unauthenticated")
            with pytest.raises(BaseException):  # noqa: B017, PT011
                async with daemon.connected(Account(daemon.addresses.http, alice.user, token, "")):
                    pass
        fresh = await daemon.rest("POST", "/v1/auth/refresh", {"refresh_token": alice.account.refresh_token})
        assert fresh.status == 401
        assert await store.value("select count(*) from connection_tickets") == 0, ticket
        again = await sign_up(daemon.addresses.http, name="al", device="d" * 32)
        assert again.user != alice.user
        for command, fields in (
            ("conversation.open", {"user": alice.user}), ("conversation.create", {"members": [alice.user]}),
        ):  # fmt: skip
            assert (await bob.refused(command, **fields)).code == "not_found"
        group = (await bob.call("conversation.create", members=[])).conversation.id
        assert (await bob.refused("member.add", conversation=group, users=[alice.user])).code == "not_found"
        assert await store.value("select erased_at from users where id = $1", alice.user) > 0


async def test_files_are_released(daemon: Daemon, store: Postgres) -> None:
    async with daemon.pair() as (alice, bob, conversation):
        for number, owner in enumerate((alice.user, alice.user, bob.user)):
            id_ = f"00000000-0000-7000-8000-00000000010{number}"
            await store.run(
                "insert into uploads (tenant, id, owner, key, mime, size, sha256, name, created_at)"
                " values ('default', $1, $2, $1::uuid::text, 'image/png', 1, '', 'me.png', 0)", id_, owner,
            )  # fmt: skip
            await store.run("insert into upload_uses values ('default', $1, $2, 1)", id_, conversation)
        await alice.call("me.erase", confirm=True)
        await done(store, alice.user)
        rows = await store.all("select owner::text, removed_at is null as there, name from uploads order by id")
        assert [tuple(row) for row in rows] == [(alice.user, False, None)] * 2 + [(bob.user, True, "me.png")]
        assert await store.value("select count(*) from upload_uses") == 1


Work = Callable[[Node], Awaitable[Any]]
Inside = Callable[[Work], Awaitable[Any]]


@asynccontextmanager
async def node_at_rest(config: Config) -> AsyncIterator[tuple[Daemon, Inside]]:
    """A daemon that does nothing by itself, and a way to do something inside of it."""
    ask, asked = trio.open_memory_channel[Work](0)
    answer, answered = trio.open_memory_channel[Any](1)

    async def run(node: Node) -> bool:
        work = await asked.receive()
        await answer.send(await outcome.acapture(work, node))
        return True

    async def inside(work: Work) -> Any:
        await ask.send(work)
        return (await answered.receive()).unwrap()

    async with running(config, only_jobs(Job("test", run, 0.0))) as daemon:
        yield daemon, inside


async def test_interrupted_erasure_is_finished(
    config: Config, store: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process dies after a commit, before its effects, each time a little later; nothing is lost or counted wrong."""
    erase_next = partial(erasure.erase_next, tunables=ErasureTunables(settled_ms=0, batch_size=4))
    async with node_at_rest(config) as (daemon, inside), daemon.people(3) as (alice, bob, carol):
        places = await settle(alice, bob, carol)
        for number in range(12):
            sent = await bob.send(places["direct"], f"b{number}")
            await alice.call("reaction.add", conversation=places["direct"], message=sent.message, emoji="👍")
            await alice.send(places["direct"], f"a{number}")
        await alice.call("me.erase", confirm=True)
        attempts = 0
        while await store.value("select count(*) from erasures where done_at is null"):
            attempts += 1
            await store.run("update erasures set claimed_until = null")
            with monkeypatch.context() as patch:
                patch.setattr(conversations_erasure, "deliver", dying(attempts))
                with suppress(Killed):
                    await inside(erase_next)
        assert attempts > 3
        await check_gone(store, alice.user)
        assert await store.value("select count(*) from messages where text like 'b%' and reactions is null") == 12
        assert not await store.in_transaction(
            erasure.begin, all_personal_data(), "default", alice.user, "again", now_ms()
        )
        assert not await inside(erase_next)


class Killed(Exception):
    """Represents the end of the process by a signal."""


def dying(after: int) -> Callable[..., Awaitable[None]]:
    """A `deliver` that works this many times."""
    left = iter(range(after))

    async def deliver(*args: Any) -> None:
        if next(left, None) is None:
            raise Killed
        await effects.deliver(*args)

    return deliver


async def test_a_message_that_was_on_its_way_is_found_by_the_next_pass(
    config: Config, store: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with node_at_rest(config) as (daemon, inside), daemon.pair() as (alice, _, conversation):
        await alice.send(conversation, "before", client_id="m")
        await alice.call("me.erase", confirm=True)
        late = NewMessage("default", conversation, alice.user, "a", uuid7(now_ms()), "late", None, None, None)

        async def publish(_: object) -> None:
            pass

        async def deliver(ctx: Ctx, made: effects.Effects) -> None:
            await effects.deliver(ctx, made)
            await settlement(partial(ctx.node.get(MessageLog).append, late, publish, ctx.began))

        monkeypatch.setattr(conversations_erasure, "deliver", deliver)
        await inside(ERASURE.run)
        await check_gone(store, alice.user)
        assert await store.value("select count(*) from messages where client_id = 'a'") == 1


async def test_messages_of_an_unclosed_session_are_erased(config: Config, store: Postgres) -> None:
    """The erasure runs at once, and again when such a session must have ended."""
    erase_next = partial(erasure.erase_next, tunables=ErasureTunables(settled_ms=3_600_000))
    async with node_at_rest(config) as (daemon, inside), daemon.pair() as (alice, _, conversation):
        await alice.send(conversation, "before", client_id="m")
        assert await store.in_transaction(
            erasure.begin, all_personal_data(), "default", alice.user, "operator", now_ms()
        )
        assert await inside(erase_next)
        assert await store.value("select count(*) from messages where text is not null") == 0
        await alice.send(conversation, "late", client_id="a")
        await alice.call("conversation.settings", conversation=conversation, draft="late")
        await alice.call("user.settings", notify="none")
        assert not await inside(erase_next)
        assert await store.value("select done_at from erasures") is None
        await store.run("update erasures set requested_at = 1, claimed_until = null")
        assert await inside(erase_next)
        assert await store.value("select done_at from erasures") > 0
        await check_gone(store, alice.user)
        assert await store.value("select count(*) from members where draft is not null") == 0


async def test_two_nodes_erase_at_the_same_time(config: Config, store: Postgres) -> None:
    """Also when the lease of the first one is over although it lives."""
    tunables = ErasureTunables(settled_ms=0, lease_ms=0, batch_size=5)
    busy = set[str]()

    async def erase_next(node: Node) -> bool:
        busy.add(node.cluster.name)
        try:
            return await erasure.erase_next(node, tunables)
        finally:
            busy.remove(node.cluster.name)

    subsystems = altered(Job("erasure", erase_next, 0.5))
    async with nodes(config, 2, subsystems) as (one, two), one.person("al") as alice, two.person("bob") as bob:
        place = (await alice.call("conversation.open", user=bob.user)).conversation.id
        for number in range(40):
            sent = await bob.send(place, f"b{number}")
            await alice.call("reaction.add", conversation=place, message=sent.message, emoji="👍")
            await alice.send(place, f"a{number}")
        group = (await alice.call("conversation.create", members=[bob.user])).conversation.id
        await alice.call("me.erase", confirm=True)
        await done(store, alice.user)
        await eventually(lambda: not busy)
        await check_gone(store, alice.user)
        assert (await bob.call("conversation.get", conversation=group)).conversation.member_count == 1


async def test_sessions_close_although_the_control_message_was_lost(config: Config, store: Postgres) -> None:
    """What an operator has begun, on a machine that reaches no node."""
    sweeping = replace(config, cluster=ClusterTimes(heartbeat=0.1))
    async with running(sweeping, altered(ERASURE)) as daemon, daemon.person("al") as alice:
        assert await store.in_transaction(
            erasure.begin, all_personal_data(), "default", alice.user, "operator", now_ms()
        )
        assert (await alice.ended(12.0)).code == 4404


async def test_same_id_of_another_tenant_is_another_user(config: Config, store: Postgres) -> None:
    settings = config.using_named(TenantSettings, {"other": TenantSettings(secret="o" * 32)})
    async with running(settings, altered(ERASURE)) as daemon, daemon.pair() as (alice, _, conversation):
        foreign = jwt.encode({"sub": alice.user, "exp": 2**31, "jti": "x", "tid": "other"}, "o" * 32, algorithm="HS256")
        twin = await daemon.rest("POST", "/v1/conversations", {"members": [], "title": "mine"}, foreign)
        assert twin.status == 200, twin.body
        theirs = twin.body["conversation"]["id"]
        message = {"client_id": "x", "text": "kept"}
        assert (await daemon.rest("POST", f"/v1/conversations/{theirs}/messages", message, foreign)).status == 200
        await alice.send(conversation, "gone")
        assert (await daemon.rest("POST", "/v1/me/erase", {"confirm": True}, alice.account.access_token)).status == 200
        await done(store, alice.user)
        items = (await daemon.rest("GET", f"/v1/conversations/{theirs}/messages", token=foreign)).body["items"]
        assert [item["text"] for item in items] == ["kept"]
        assert await store.value("select count(*) from users where id = $1 and erased_at is null", alice.user) == 1


async def test_user_in_a_match_is_erased(daemon: Daemon, store: Postgres) -> None:
    async with daemon.people(2) as (alice, bob):
        for person in (alice, bob):
            await person.call("match.find")
        found = await bob.event("match.found")
        await alice.send(found["conversation"], "hello stranger")
        await alice.call("me.erase", confirm=True)
        assert (await bob.event("match.ended"))["match"] == found["match"]
        await done(store, alice.user)
        await check_gone(store, alice.user)


async def test_an_unknown_user_cannot_be_erased(daemon: Daemon, store: Postgres) -> None:
    with pytest.raises(Refused):
        await store.in_transaction(erasure.begin, all_personal_data(), "default", NOBODY, "me", now_ms())
    assert await store.value("select count(*) from audit_log") == 0
