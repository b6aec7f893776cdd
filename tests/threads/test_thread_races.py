"""Replies that race: with the deletion of their root, with each other, and with a retry of what was committed."""

import trio

from chatd.conversations.log.entries import NewMessage
from chatd.conversations.log.statements import SQL as LOG
from chatd.conversations.log.statements import transposed
from chatd.core.clock import now_ms
from chatd.core.config import Config
from chatd.core.errors import Refused
from chatd.core.ids import uuid7
from chatd.db.jsonb import to_jsonb
from chatd.db.postgres import Postgres
from tests.cluster.test_two_nodes import nodes, pair_on
from tests.conversations.test_groups import group, synced
from tests.support import PATIENCE, Daemon, Person

COUNTED = """
select r.root_seq, (m.replies ->> 'count')::int as stored, count(*) filter (where x.deleted_at is null)::int as counted
from thread_replies r
join messages m on m.conversation = r.conversation and m.seq = r.root_seq
join messages x on x.conversation = r.conversation and x.seq = r.seq
where r.conversation = $1 group by 1, 2
"""


async def counts(store: Postgres, conversation: str) -> list[tuple[int, int]]:
    """The stored and the counted replies of each root."""
    return [(row["stored"] or 0, row["counted"]) for row in await store.all(COUNTED, conversation)]


async def replies_and_deletion(two: Daemon, alice: Person, bob: Person, conversation: str, name: str) -> None:
    """Six replies over REST, and the deletion of their root by its author, all at once."""
    root = (await alice.send(conversation, "root")).message
    outcomes = list[str]()

    async def reply(number: int) -> None:
        fields = {"client_id": f"{name} {number}", "text": "x", "thread": root}
        path = f"/v1/conversations/{conversation}/messages"
        answer = await two.rest("POST", path, fields, bob.account.access_token)
        outcomes.append("ok" if answer.status == 200 else answer.body["code"])

    async def delete() -> None:
        await alice.call("message.delete", conversation=conversation, message=root)

    async with trio.open_nursery() as nursery:
        for number in range(6):
            nursery.start_soon(reply, number)
            if number == 2:
                nursery.start_soon(delete)
    assert set(outcomes) <= {"ok", "conflict"}
    items = (await bob.call("thread.history", conversation=conversation, thread=root))["items"]
    assert len(items) == outcomes.count("ok")


async def test_a_root_that_is_deleted_while_replies_arrive(config: Config, store: Postgres) -> None:
    """Each reply is committed before the deletion, or refused after it. On both nodes all events arrive without gaps."""
    async with nodes(config) as (one, two), pair_on(one, two) as (alice, bob, id_):
        for attempt in range(5):
            await replies_and_deletion(two, alice, bob, id_, f"{attempt}")
        assert all(stored == counted for stored, counted in await counts(store, id_))
        last = (await synced(alice, id_, 10**6))["rev"]
        for person in (alice, bob):
            with trio.fail_after(PATIENCE):
                while last not in revs(person, id_):
                    await trio.sleep(0.05)
            assert not [body for _, body in person.log if body["t"] == "behind"]


def revs(person: Person, conversation: str) -> list[int]:
    return [body["rev"] for _, body in person.log if body.get("conversation") == conversation and "rev" in body]


async def test_replies_of_many_at_once_and_deletions_are_counted_exactly(daemon: Daemon, store: Postgres) -> None:
    async with group(daemon, 4) as (id_, people):
        roots = [(await people[0].send(id_, f"root {number}")).message for number in range(2)]

        async def chat(person: Person, name: str) -> None:
            for number in range(10):
                sent = await person.send(id_, f"{name} {number}", thread=roots[number % 2])
                if number % 3 == 0:
                    await person.call("message.delete", conversation=id_, message=sent.message)

        async with trio.open_nursery() as nursery:
            for number, person in enumerate(people):
                nursery.start_soon(chat, person, f"p{number}")
        assert await counts(store, id_) == [(12, 12), (12, 12)]
        (first, second) = (await people[0].call("thread.list"))["items"]
        for thread in (first, second):
            assert set(thread["thread"]["replies"]["participants"]) == {person.user for person in people}


async def test_a_reply_that_is_sent_again_is_counted_once(daemon: Daemon, store: Postgres) -> None:
    async with group(daemon, 2) as (id_, (ann, ben)):
        root = (await ann.send(id_, "root")).message
        fields = {"conversation": id_, "client_id": "again", "text": "reply", "thread": root}
        first = await ben.call("message.send", **fields)
        again = await ben.call("message.send", **fields)
        assert (again["duplicate"], again["rev"]) == (True, first["rev"])
        await ann.call("message.delete", conversation=id_, message=root)
        assert (await ben.call("message.send", **fields))["duplicate"] is True
        assert await counts(store, id_) == [(1, 1)]


async def test_a_second_attempt_of_what_was_committed_changes_nothing(daemon: Daemon, store: Postgres) -> None:
    """The connection breaks after the commit: the log sends the same entries again, mentions included."""
    async with group(daemon, 2) as (id_, (ann, ben)):
        root = (await ann.send(id_, "root")).message
        tenant = ann.hello.tenant
        extra = to_jsonb({"mentions": [ann.user], "thread": root})
        one = NewMessage(tenant, id_, ben.user, "twice", uuid7(now_ms()), "reply", None, None, None, extra)
        attempts = [await store.all(LOG.append_messages, *transposed([one]), now_ms()) for _ in range(2)]
        assert [[row["outcome"] for row in rows] for rows in attempts] == [["new", "thread"], ["duplicate"]]
        assert [attempts[1][0][name] for name in ("id", "seq", "rev")] == [
            attempts[0][0][name] for name in ("id", "seq", "rev")
        ]
        assert await counts(store, id_) == [(1, 1)]
        assert (await synced(ann, id_))["rev"] == attempts[0][1]["rev"]


async def test_of_a_user_a_thousand_threads_are_remembered(daemon: Daemon, store: Postgres) -> None:
    async with group(daemon, 2) as (id_, (ann, ben)):
        roots = [(await ann.send(id_, f"root {number}")).message for number in range(3)]
        seqs = [row["seq"] for row in (await synced(ann, id_))["messages"] if row["id"] in roots]
        await store.run(
            "insert into messages (tenant, conversation, seq, rev, id, sender, client_id, created_at)"
            " select $1, $2, g, g, gen_random_uuid(), $3, 'm' || g, g from generate_series(1000, 1999) g",
            ann.hello.tenant,
            id_,
            ann.user,
        )
        await store.run(
            "insert into thread_followers (tenant, user_id, conversation, root_seq, following, read_seq, followed_at)"
            " select $1, $3, $2, g, true, 0, g from generate_series(1000, 1999) g",
            ann.hello.tenant,
            id_,
            ben.user,
        )
        await ben.send(id_, "reply", thread=roots[0])
        await ben.call("thread.follow", conversation=id_, thread=roots[1])
        followed = await store.all("select root_seq from thread_followers where user_id = $1", ben.user)
        assert len(followed) == 1000
        assert {1000, 1001} & {row["root_seq"] for row in followed} == set()
        assert {seqs[0], seqs[1]} <= {row["root_seq"] for row in followed}


async def test_a_blocked_user_cannot_reply(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, id_):
        root = (await alice.send(id_, "root")).message
        await alice.call("user.block", user=bob.user)
        refused: Refused = await bob.refused("message.send", conversation=id_, client_id="x", text="reply", thread=root)
        assert refused.code == "blocked"
        assert "replies" not in (await alice.call("message.history", conversation=id_))["items"][0]
