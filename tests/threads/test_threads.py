"""Threads: replies, their count at the root, who follows them, and what each member may see."""

from typing import Any

import pytest

from tests.conversations.test_groups import group, synced
from tests.reply import Reply
from tests.support import NOBODY, Daemon, Person, covers, shared

daemon = shared


async def threads(person: Person, **fields: Any) -> dict[str, int]:
    """The unread replies of the threads that somebody follows, by the text of the root."""
    items, cursor = list[Reply](), dict[str, str]()
    while True:
        page = await person.call("thread.list", **fields, **cursor)
        items += page["items"]
        if page["cursor"] is None:
            return {item["thread"]["text"]: item["unread"] for item in items}
        cursor = {"cursor": page["cursor"]}


async def root_of(person: Person, conversation: str, root: str) -> Reply:
    """The root as it is in the history."""
    items = (await person.call("message.history", conversation=conversation, limit=200))["items"]
    return next(item for item in items if item["id"] == root)


@covers("message.send")
@covers("thread.history")
async def test_replies_are_messages_and_counted_at_the_root(daemon: Daemon) -> None:
    async with group(daemon, 3) as (id_, (ann, ben, sam)):
        root = await ann.send(id_, "lunch?")
        await sam.event("message.new")
        first = await ben.send(id_, "yes", thread=root.message)
        new = await sam.event("message.new")
        assert (new["message"]["thread"], new["rev"]) == (root.message, first.rev)
        update = await sam.event("thread.update")
        assert update == {
            "t": "thread.update",
            "conversation": id_,
            "rev": first.rev + 1,
            "thread": root.message,
            "replies": {
                "count": 1,
                "last_seq": first.seq,
                "last_at": first.created_at,
                "participants": [ben.user],
            },
        }
        assert await ben.event("thread.update") == update
        last = await sam.send(id_, "me too", thread=root.message, reply_to=first.message)
        shown = await root_of(ann, id_, root.message)
        assert (shown["replies"]["count"], shown["replies"]["participants"]) == (2, [ben.user, sam.user])
        assert (shown["replies"]["last_seq"], shown["rev"]) == (last.seq, last.rev + 1)
        changes = await synced(ann, id_, root.rev)
        assert [(one["text"], one.get("thread")) for one in changes["messages"]] == [
            ("yes", root.message),
            ("me too", root.message),
            ("lunch?", None),
        ]
        history = {"conversation": id_, "thread": root.message}
        page = await ann.call("thread.history", **history)
        assert [(one["text"], "quote" in one) for one in page["items"]] == [("yes", False), ("me too", True)]
        latest = await ann.call("thread.history", **history, limit=1)
        assert ([one["text"] for one in latest["items"]], latest["more"]) == (["me too"], True)
        older = await ann.call("thread.history", **history, before=last.seq)
        newer = await ann.call("thread.history", **history, after=first.seq)
        assert [[one["text"] for one in page["items"]] for page in (older, newer)] == [["yes"], ["me too"]]
        assert (await ann.refused("thread.history", **history, before=1, after=1)).code == "bad_request"


@covers("message.send", "not_found", "conflict")
async def test_replies_that_cannot_be_are_refused(daemon: Daemon) -> None:
    async with group(daemon, 2) as (id_, (ann, ben)):
        other = (await ann.call("conversation.create", members=[ben.user])).conversation.id
        elsewhere = (await ann.send(other, "elsewhere")).message
        root = (await ann.send(id_, "root")).message
        reply = (await ben.send(id_, "reply", thread=root)).message
        hidden = (await ann.send(id_, "hidden")).message
        deleted = (await ann.send(id_, "deleted")).message
        await ann.call("conversation.edit", conversation=id_, title="New")
        system = next(one for one in (await synced(ann, id_))["messages"] if "system" in one)["id"]
        await ben.call("message.delete", conversation=id_, message=hidden, scope="me")
        await ann.call("message.delete", conversation=id_, message=deleted)
        before = (await synced(ann, id_))["rev"]
        for thread, code in [
            (NOBODY, "not_found"),
            (elsewhere, "not_found"),
            (hidden, "not_found"),
            (reply, "conflict"),
            (deleted, "conflict"),
            (system, "conflict"),
        ]:
            fields = {"conversation": id_, "client_id": f"to {thread}", "text": "no", "thread": thread}
            assert (await ben.refused("message.send", **fields)).code == code
            if code == "not_found" or thread != deleted:
                assert (await ben.refused("thread.follow", conversation=id_, thread=thread)).code == code
        assert (await synced(ann, id_))["rev"] == before
        await ann.send(id_, "still open for others", thread=hidden)


@covers("thread.follow")
@covers("thread.unfollow")
@covers("thread.list")
@covers("thread.read")
async def test_who_follows_and_what_is_unread(daemon: Daemon) -> None:
    async with group(daemon, 4) as (id_, (ann, ben, sam, zoe)):
        root = (await ann.send(id_, "root")).message
        here = {"conversation": id_, "thread": root}
        first = await ben.send(id_, "one", thread=root, mentions=[sam.user])
        assert [await threads(one) for one in (ann, ben, sam, zoe)] == [{"root": 1}, {"root": 0}, {"root": 1}, {}]
        await ann.send(id_, "two", thread=root)
        assert [await threads(one) for one in (ann, ben, sam)] == [{"root": 1}, {"root": 1}, {"root": 2}]
        followed = (await zoe.call("thread.follow", **here))["thread"]
        assert (followed["following"], followed["unread"], followed["thread"]["id"]) == (True, 0, root)
        last = await ben.send(id_, "three", thread=root)
        assert await threads(zoe) == {"root": 1}
        read = (await sam.call("thread.read", **here, seq=first.seq))["thread"]
        assert (read["read_seq"], read["unread"]) == (first.seq, 2)
        assert (await sam.call("thread.read", **here, seq=last.seq))["thread"]["unread"] == 0
        assert (await sam.call("thread.read", **here, seq=1))["thread"]["read_seq"] == last.seq
        assert await threads(sam, unread=True) == {}
        assert (await sam.call("thread.unfollow", **here))["thread"]["following"] is False
        await ann.send(id_, "four", thread=root, mentions=[sam.user])
        assert await threads(sam) == {}
        await sam.send(id_, "five", thread=root)
        await ann.send(id_, "six", thread=root)
        assert await threads(sam) == {"root": 1}
        unfollowed = (await ann.call("thread.unfollow", **here))["thread"]
        assert (await ann.call("thread.read", **here, seq=last.seq))["thread"] == unfollowed


async def test_an_edit_that_mentions_somebody_makes_them_follow(daemon: Daemon) -> None:
    async with group(daemon, 3) as (id_, (ann, ben, sam)):
        root = (await ann.send(id_, "root")).message
        reply = (await ben.send(id_, "reply", thread=root)).message
        edited = await ben.call("message.edit", conversation=id_, message=reply, text="@sam", mentions=[sam.user])
        assert edited.message["thread"] == root
        assert await threads(sam) == {"root": 1}


async def test_own_devices_learn_of_threads_by_sync(daemon: Daemon) -> None:
    async with group(daemon, 2) as (id_, (ann, ben)), daemon.connected(ben.account) as tablet:
        root = (await ann.send(id_, "root")).message
        cursor = (await tablet.call("session.sync"))["cursor"]
        sent = await ben.send(id_, "reply", thread=root)
        state = await tablet.call("session.sync", cursor=cursor)
        mark = {"conversation": id_, "thread": root, "following": True, "read_seq": sent.seq}
        assert state["threads"] == [mark]
        later = await ann.send(id_, "more", thread=root)
        state = await tablet.call("session.sync", cursor=state["cursor"])
        assert "threads" not in state
        await ben.call("thread.read", conversation=id_, thread=root, seq=later.seq)
        await tablet.event("session.behind")
        state = await tablet.call("session.sync", cursor=state["cursor"])
        assert state["threads"] == [{**mark, "read_seq": later.seq}]
        await ben.call("thread.unfollow", conversation=id_, thread=root)
        await tablet.event("session.behind")
        (mark,) = (await tablet.call("session.sync", cursor=state["cursor"]))["threads"]
        assert mark["following"] is False


@covers("thread.follow", "not_found")
@covers("thread.unfollow", "not_found")
@covers("thread.read", "not_found")
@covers("thread.history", "not_found")
@covers("thread.follow", "conflict")
@covers("thread.unfollow", "conflict")
async def test_commands_of_threads_are_refused(daemon: Daemon) -> None:
    async with group(daemon, 2) as (id_, (ann, ben)), daemon.person() as eve:
        root = await ann.send(id_, "root")
        reply = await ben.send(id_, "reply", thread=root.message)
        for person, thread in ((eve, root.message), (ann, NOBODY)):
            for command, more in (
                ("thread.follow", {}),
                ("thread.unfollow", {}),
                ("thread.read", {"seq": 1}),
                ("thread.history", {}),
            ):
                refused = await person.refused(command, conversation=id_, thread=thread, **more)
                assert refused.code == "not_found", command
        for command in ("thread.follow", "thread.unfollow"):
            assert (await ann.refused(command, conversation=id_, thread=reply.message)).code == "conflict"
        far = {"conversation": id_, "thread": root.message, "seq": 10**6}
        assert (await ann.refused("thread.read", **far)).code == "not_found"
        assert (await ann.refused("thread.list", cursor="1.0.x")).code == "bad_request"
        for number in range(3):
            more = (await ann.send(id_, f"root {number}")).message
            await ben.send(id_, "reply", thread=more)
        cursor = (await ann.call("thread.list", limit=1))["cursor"]
        assert (await ann.refused("thread.list", cursor=cursor, unread=True)).code == "bad_request"


@covers("thread.list")
async def test_the_list_is_complete_while_threads_move(daemon: Daemon) -> None:
    async with group(daemon, 2) as (id_, (ann, ben)):
        roots = [(await ann.send(id_, f"r{number}")).message for number in range(7)]
        for root in roots:
            await ben.send(id_, "reply", thread=root)
        assert list(await threads(ann, limit=3)) == [f"r{number}" for number in (6, 5, 4, 3, 2, 1, 0)]
        seen, cursor = set[str](), dict[str, str]()
        while True:
            page = await ann.call("thread.list", limit=2, **cursor)
            seen |= {item["thread"]["id"] for item in page["items"]}
            if page["cursor"] is None:
                break
            cursor = {"cursor": page["cursor"]}
            unseen = [root for root in roots if root not in seen]
            for root in {*unseen[:1], *unseen[-1:]}:
                await ben.send(id_, "again", thread=root)
        assert seen == set(roots)


async def test_deleted_replies_do_not_count_and_a_deleted_root_keeps_its_replies(daemon: Daemon) -> None:
    async with group(daemon, 3) as (id_, (ann, ben, sam)):
        root = (await ann.send(id_, "root")).message
        one = await ben.send(id_, "one", thread=root)
        two = await sam.send(id_, "two", thread=root)
        await ben.call("message.delete", conversation=id_, message=one.message)
        while (update := await ann.event("thread.update"))["replies"]["count"] != 1 or update["rev"] < two.rev:
            pass
        assert update["replies"]["participants"] == [sam.user]
        assert await threads(ann) == {"root": 1}
        items = (await ann.call("thread.history", conversation=id_, thread=root))["items"]
        assert [(item["text"], item["thread"], "deleted_at" in item) for item in items] == [
            (None, root, True),
            ("two", root, False),
        ]
        await ann.call("message.delete", conversation=id_, message=root)
        gone = await root_of(sam, id_, root)
        assert (gone["text"], gone["replies"]["count"]) == (None, 1)
        assert len((await sam.call("thread.history", conversation=id_, thread=root))["items"]) == 2
        await sam.call("message.delete", conversation=id_, message=two.message)
        assert "replies" not in await root_of(sam, id_, root)


async def test_later_members_see_no_thread_of_an_earlier_root(daemon: Daemon) -> None:
    async with group(daemon, 2, history="joined") as (id_, (ann, ben)), daemon.person() as eve:
        root = (await ann.send(id_, "root")).message
        await ben.send(id_, "early", thread=root)
        await ann.call("member.add", conversation=id_, users=[eve.user])
        late = await ben.send(id_, "late", thread=root, mentions=[eve.user])
        items = (await eve.call("message.history", conversation=id_))["items"]
        assert [item["thread"] for item in items if item["text"] == "late"] == [root]
        for command in ("thread.history", "thread.follow"):
            assert (await eve.refused(command, conversation=id_, thread=root)).code == "not_found"
        fields = {"conversation": id_, "client_id": "x", "text": "x", "thread": root}
        assert (await eve.refused("message.send", **fields)).code == "not_found"
        assert await threads(eve) == {}
        assert not [body for _, body in eve.log if body["t"] == "thread.update"]
        while (await eve.event("behind"))["rev"] < late.rev + 1:
            pass
        assert (await root_of(ann, id_, root))["replies"]["count"] == 2


async def test_threads_of_a_match_name_aliases(daemon: Daemon) -> None:
    async with daemon.people(2) as (ann, ben):
        for person in (ann, ben):
            await person.call("match.find", queue="threads")
        met = await ann.event("match.found")
        id_, alias = met["conversation"], (await ben.event("match.found"))["alias"]
        root = (await ann.send(id_, "root")).message
        await ben.send(id_, "reply", thread=root, mentions=[met["alias"]])
        assert (await ann.event("thread.update"))["replies"]["participants"] == [alias]
        (thread,) = (await ann.call("thread.list"))["items"]
        assert (thread["thread"]["replies"]["participants"], thread["unread"]) == ([alias], 1)
        assert ben.user not in str(ann.log) + str(thread)
        for person in (ann, ben):
            await person.call("match.keep")
        await ann.event("match.kept")
        assert (await root_of(ann, id_, root))["replies"]["participants"] == [ben.user]


@covers("thread.list")
async def test_threads_over_rest(daemon: Daemon) -> None:
    async with group(daemon, 2) as (id_, (ann, ben)):
        tokens = {person: person.account.access_token for person in (ann, ben)}
        root = (await ann.send(id_, "root")).message
        path = f"/v1/conversations/{id_}"
        sent = await daemon.rest(
            "POST", f"{path}/messages", {"client_id": "r", "text": "reply", "thread": root}, token=tokens[ben]
        )
        assert sent.status == 200
        listed = await daemon.rest("GET", "/v1/threads?unread=true", token=tokens[ann])
        assert [(item["thread"]["id"], item["unread"]) for item in listed.body["items"]] == [(root, 1)]
        replies = await daemon.rest("GET", f"{path}/threads/{root}", token=tokens[ann])
        assert [item["text"] for item in replies.body["items"]] == ["reply"]
        read = await daemon.rest("POST", f"{path}/threads/{root}/read", {"seq": sent.body["seq"]}, token=tokens[ann])
        assert read.body["thread"]["unread"] == 0
        gone = await daemon.rest("DELETE", f"{path}/threads/{root}/follow", token=tokens[ann])
        assert gone.body["thread"]["following"] is False


@pytest.mark.parametrize("count", [3])
async def test_search_finds_replies(daemon: Daemon, count: int) -> None:
    async with group(daemon, 2) as (id_, (ann, ben)):
        root = (await ann.send(id_, "root")).message
        for number in range(count):
            await ben.send(id_, f"walrus {number}", thread=root)
        while len(found := (await ann.call("message.search", query="walrus"))["items"]) < count:
            pass
        assert {hit["message"]["thread"] for hit in found} == {root}


async def test_participants_are_refilled_when_one_has_no_replies_left(daemon: Daemon) -> None:
    """The list has ten of them; the place of one whose replies are deleted goes to the next one."""
    async with group(daemon, 12) as (id_, people):
        root = await people[0].send(id_, "who comes?")
        sent = [await person.send(id_, "I do", thread=root.message) for person in people]
        again = await people[2].send(id_, "for sure", thread=root.message)

        async def participants() -> list[str]:
            return list((await root_of(people[0], id_, root.message))["replies"]["participants"])

        users = [person.user for person in people]
        assert await participants() == users[:10]
        for place in (1, 2):
            await people[place].call("message.delete", conversation=id_, message=sent[place].message)
        assert await participants() == [users[0], *users[2:11]]
        await people[2].call("message.delete", conversation=id_, message=again.message)
        assert await participants() == [users[0], *users[3:12]]
        await people[3].call("message.delete", conversation=id_, message=sent[3].message)
        assert await participants() == [users[0], *users[4:12]]
