"""Opening, creating and listing conversations."""

import trio

from tests.support import NOBODY, Daemon, covers, shared

daemon = shared


@covers("conversation.open")
async def test_pair_of_users_has_one_direct_conversation(daemon: Daemon) -> None:
    async with daemon.person("alice") as alice, daemon.person("bob") as bob:
        first = await alice.call("conversation.open", user=bob.user)
        assert first["created"] is True
        assert first.conversation.kind == "direct"
        assert {member["name"] for member in first["conversation"]["members"]} == {"alice", "bob"}
        assert (await bob.event("conversation.update"))["conversation"]["id"] == first.conversation.id
        second = await bob.call("conversation.open", user=alice.user)
        assert (second["created"], second.conversation.id) == (False, first.conversation.id)


async def test_simultaneous_open_returns_the_same_conversation(daemon: Daemon) -> None:
    async with daemon.people(2) as (alice, bob):
        found: list[str] = []

        async def open_it(one: int) -> None:
            me, you = (alice, bob) if one else (bob, alice)
            found.append((await me.call("conversation.open", user=you.user)).conversation.id)

        for _ in range(5):
            async with trio.open_nursery() as nursery:
                for one in (0, 1):
                    nursery.start_soon(open_it, one)
        assert len(set(found)) == 1


@covers("conversation.open", "not_found")
async def test_open_requires_another_existing_user(daemon: Daemon) -> None:
    async with daemon.person() as alice:
        assert (await alice.refused("conversation.open", user=NOBODY)).code == "not_found"
        assert (await alice.refused("conversation.open", user=alice.user)).code == "bad_request"
        assert (await alice.refused("conversation.open", user="x")).code == "bad_request"


@covers("conversation.create")
async def test_new_group_gets_messages_immediately(daemon: Daemon) -> None:
    async with daemon.people(3) as (alice, bob, carol):
        made = await alice.call("conversation.create", title="Us", members=[bob.user, carol.user, bob.user])
        assert (made.conversation.kind, made.conversation.title, made.conversation.member_count) == ("group", "Us", 3)
        for other in (bob, carol):
            assert (await other.event("conversation.update"))["conversation"]["title"] == "Us"
        await bob.send(made.conversation.id, "hi")
        for other in (alice, carol):
            assert (await other.event("message.new"))["message"]["text"] == "hi"


@covers("conversation.create", "not_found")
async def test_group_with_unknown_members_is_refused(daemon: Daemon) -> None:
    async with daemon.person() as alice:
        assert (await alice.refused("conversation.create", members=[NOBODY])).code == "not_found"
        assert (await alice.call("conversation.list"))["items"] == []


@covers("conversation.create", "too_large")
async def test_group_size_is_bounded(daemon: Daemon) -> None:
    async with daemon.person() as alice:
        many = [f"00000000-0000-7000-8000-{number:012}" for number in range(10_000)]
        answer = await daemon.rest("POST", "/v1/conversations", {"members": many[:1500]}, alice.account.access_token)
        assert (answer.status, answer.body["code"]) == (404, "not_found")
        too_big = await daemon.rest("POST", "/v1/conversations", {"members": many}, alice.account.access_token)
        assert (too_big.status, too_big.body["code"]) == (413, "too_large")


@covers("conversation.get")
@covers("conversation.get", "not_found")
async def test_conversation_get_returns_a_conversation(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, conversation), daemon.person() as stranger:
        await alice.send(conversation, "one")
        found = (await bob.call("conversation.get", conversation=conversation)).conversation
        assert (found.unread, found.seq, found.last_message.text) == (1, 1, "one")
        assert (await stranger.refused("conversation.get", conversation=conversation)).code == "not_found"


@covers("conversation.list")
async def test_conversation_list_is_sorted_by_activity_and_paged(daemon: Daemon) -> None:
    async with daemon.people(5) as (alice, *others):
        ids = [(await alice.call("conversation.open", user=other.user)).conversation.id for other in others]
        await others[1].send(ids[1], "latest")
        await alice.event("message.new")
        first = await alice.call("conversation.list", limit=3)
        rest = await alice.call("conversation.list", limit=3, cursor=first["cursor"])
        listed = [item["id"] for item in first["items"] + rest["items"]]
        assert listed[0] == ids[1]
        assert sorted(listed) == sorted(ids)
        assert (first["items"][0]["unread"], rest["cursor"]) == (1, None)
        for wrong in ("1;drop", "9" * 30 + ".x", f"1.{NOBODY} "):
            assert (await alice.refused("conversation.list", cursor=wrong)).code == "bad_request"


@covers("conversation.list")
async def test_conversation_moving_between_pages_is_listed_once(daemon: Daemon) -> None:
    """Also a conversation that keeps moving, and a new one."""
    async with daemon.person() as alice, daemon.person() as bob:
        ids = [(await alice.call("conversation.create", members=[bob.user]))["conversation"]["id"] for _ in range(7)]
        for limit in (1, 2, 3):
            seen, cursor, pages = list[str](), None, 0
            while pages == 0 or cursor is not None:
                page = await alice.call(
                    "conversation.list", limit=limit, **({} if cursor is None else {"cursor": cursor})
                )
                seen += [item["id"] for item in page["items"]]
                cursor, pages = page["cursor"], pages + 1
                if pages < 4:
                    # What was not listed yet moves to the top, and one of them again and again.
                    unseen = [id_ for id_ in ids if id_ not in seen]
                    for id_ in {*unseen[:1], *unseen[-1:]}:
                        await bob.send(id_)
                if pages == 2:
                    ids.append((await bob.call("conversation.create", members=[alice.user]))["conversation"]["id"])
                assert pages < 40
            assert set(seen) == set(ids), limit
        for wrong in ("1", f"1.{ids[0]}~", f"1.{ids[0]}~x.{ids[0]}", "~"):
            assert (await alice.refused("conversation.list", cursor=wrong)).code == "bad_request"
