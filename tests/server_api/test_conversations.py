"""Conversations and members of a backend."""

import pytest
from msgspec.structs import replace

from chatd.conversations.settings import ConversationLimits
from chatd.core.config import Config
from tests.server_api.backend import Backend, backend_of
from tests.support import NOBODY, Daemon, covers, running, shared

daemon = shared
SYSTEM = "00000000-0000-0000-0000-000000000000"


@pytest.fixture
async def backend(daemon: Daemon) -> Backend:
    return await backend_of(daemon)


@covers("server.conversation.create")
async def test_a_group_is_created_and_sent_to_its_members(daemon: Daemon, backend: Backend) -> None:
    async with daemon.people(2) as (alice, bob):
        body = {"members": [alice.user, bob.user], "title": "Order", "external_id": f"order-{alice.user}"}
        made = await backend.done("POST", "/conversations", body)
        assert (made["created"], made["external_id"]) == (True, body["external_id"])
        group = made["conversation"]["id"]
        for person in (alice, bob):
            event = await person.event("conversation.update")
            assert (event["conversation"]["id"], event["conversation"]["title"]) == (group, "Order")
            assert "role" not in event["conversation"]
        await alice.send(group)
        assert (await bob.event("message.new"))["conversation"] == group
        again = await backend.done("POST", "/conversations", {**body, "title": "Other"})
        assert (again["created"], again["conversation"]["title"]) == (False, "Order")


async def test_a_group_has_the_owner_that_is_given(daemon: Daemon, backend: Backend) -> None:
    async with daemon.people(2) as (alice, bob):
        group = await backend.group(bob.user, owner=alice.user)
        roles = {one["user"]: one["role"] for one in (await alice.call("member.list", conversation=group))["items"]}
        assert roles == {alice.user: "owner", bob.user: "member"}
        orphan = await backend.group(bob.user)
        roles = {one["user"]: one["role"] for one in (await bob.call("member.list", conversation=orphan))["items"]}
        assert roles == {bob.user: "member"}


@covers("server.conversation.create", "not_found", "conflict")
async def test_groups_that_are_refused(daemon: Daemon, backend: Backend) -> None:
    async with daemon.people(2) as (alice, bob):
        for members in ([NOBODY], [SYSTEM]):
            assert await backend.refused("POST", "/conversations", {"members": members}) == "not_found"
        for path, body in (
            ("/conversations", {"members": [alice.user]}),
            ("/conversations/direct", {"user": alice.user, "other": bob.user}),
        ):
            for external in ("", "x" * 256, "é" * 128, "a\0"):
                assert await backend.refused("POST", path, {**body, "external_id": external}) == "bad_request"
        many = [f"00000000-0000-7000-8000-{number:012}" for number in range(10_000)]
        assert await backend.refused("POST", "/conversations", {"members": many}) == "not_found"
        external = f"pair-{alice.user}"
        await backend.done(
            "POST", "/conversations/direct", {"user": alice.user, "other": bob.user, "external_id": external}
        )
        body = {"members": [alice.user], "external_id": external}
        assert await backend.refused("POST", "/conversations", body) == "conflict"


@covers("server.conversation.direct")
async def test_two_users_have_one_direct_conversation(daemon: Daemon, backend: Backend) -> None:
    async with daemon.people(2) as (alice, bob):
        body = {"user": alice.user, "other": bob.user, "external_id": f"pair-{bob.user}"}
        made = await backend.done("POST", "/conversations/direct", body)
        assert (made["created"], made["external_id"]) == (True, body["external_id"])
        assert (await bob.event("conversation.update"))["conversation"]["id"] == made["conversation"]["id"]
        again = await backend.done("POST", "/conversations/direct", {"user": bob.user, "other": alice.user})
        assert (again["created"], again["conversation"]["id"]) == (False, made["conversation"]["id"])
        opened = await bob.call("conversation.open", user=alice.user)
        assert opened["conversation"]["id"] == made["conversation"]["id"]


@covers("server.conversation.direct", "not_found", "blocked", "conflict")
async def test_direct_conversations_that_are_refused(daemon: Daemon, backend: Backend) -> None:
    async with daemon.people(3) as (alice, bob, carol):
        path = "/conversations/direct"
        assert await backend.refused("POST", path, {"user": alice.user, "other": alice.user}) == "bad_request"
        assert await backend.refused("POST", path, {"user": alice.user}) == "bad_request"
        assert await backend.refused("POST", path, {"user": alice.user, "other": NOBODY}) == "not_found"
        assert await backend.refused("POST", path, {"user": alice.user, "other": SYSTEM}) == "not_found"
        await alice.call("user.block", user=bob.user)
        assert await backend.refused("POST", path, {"user": bob.user, "other": alice.user}) == "blocked"
        external = f"pair-{carol.user}"
        await backend.done("POST", path, {"user": alice.user, "other": carol.user, "external_id": external})
        other = {"user": bob.user, "other": carol.user, "external_id": external}
        assert await backend.refused("POST", path, other) == "conflict"


@covers("server.conversation.edit")
async def test_a_conversation_is_changed(daemon: Daemon, backend: Backend) -> None:
    async with daemon.people(2) as (alice, bob):
        group = await backend.group(alice.user, bob.user)
        edited = await backend.done("PATCH", f"/conversations/{group}", {"title": "Order 7", "announce": True})
        assert (edited["conversation"]["title"], edited["conversation"]["announce"]) == ("Order 7", True)
        event = await alice.event("message.new")
        assert (event["message"]["sender"], event["message"]["system"]["act"]) == (SYSTEM, "conversation.edited")
        seen = await bob.call("conversation.get", conversation=group)
        assert (seen["conversation"]["title"], seen["conversation"]["rev"]) == (
            "Order 7",
            edited["conversation"]["rev"],
        )


@covers("server.conversation.edit", "not_found", "forbidden")
async def test_changes_that_are_refused(daemon: Daemon, backend: Backend) -> None:
    async with daemon.pair() as (_, _, direct):
        assert await backend.refused("PATCH", f"/conversations/{direct}", {"announce": True}) == "forbidden"
        assert await backend.refused("PATCH", f"/conversations/{direct}", {}) == "bad_request"
        assert await backend.refused("PATCH", f"/conversations/{NOBODY}", {"title": "x"}) == "not_found"


@covers("server.conversation.dissolve")
async def test_a_group_is_dissolved(daemon: Daemon, backend: Backend) -> None:
    async with daemon.people(2) as (alice, bob):
        group = await backend.group(alice.user, bob.user)
        assert (await backend.done("DELETE", f"/conversations/{group}"))["t"] == "ok"
        assert (await bob.event("conversation.gone"))["conversation"] == group
        assert (await alice.refused("conversation.get", conversation=group)).code == "not_found"


@covers("server.conversation.dissolve", "not_found", "forbidden")
async def test_a_direct_conversation_is_not_dissolved(daemon: Daemon, backend: Backend) -> None:
    async with daemon.pair() as (alice, _, direct):
        assert await backend.refused("DELETE", f"/conversations/{direct}") == "forbidden"
        assert await backend.refused("DELETE", f"/conversations/{NOBODY}") == "not_found"
        group = await backend.group(alice.user)
        await backend.done("DELETE", f"/conversations/{group}")
        assert await backend.refused("DELETE", f"/conversations/{group}") == "not_found"


@covers("server.member.add")
@covers("server.member.remove")
async def test_members_are_added_and_removed(daemon: Daemon, backend: Backend) -> None:
    async with daemon.people(3) as (alice, bob, carol):
        group = await backend.group(alice.user, owner=bob.user)
        await carol.call("conversation.list")
        added = await backend.done("POST", f"/conversations/{group}/members", {"users": [carol.user, alice.user]})
        assert [one["user"] for one in added["items"]] == [carol.user]
        assert (await carol.event("conversation.update"))["conversation"]["id"] == group
        event = await alice.event("message.new")
        assert (event["message"]["sender"], event["message"]["system"]["act"]) == (SYSTEM, "member.added")
        again = await backend.done("POST", f"/conversations/{group}/members", {"users": [carol.user]})
        assert again["items"] == []
        await backend.done("DELETE", f"/conversations/{group}/members/{bob.user}")
        left = await bob.event("member.left")
        assert left["departure"]["actor"] is None
        owners = [
            one for one in (await carol.call("member.list", conversation=group))["items"] if one["role"] == "owner"
        ]
        assert [one["user"] for one in owners] == [alice.user], "the longest member owns it now"


@covers("server.member.add", "not_found", "forbidden")
@covers("server.member.remove", "not_found", "forbidden")
@covers("server.member.role", "not_found", "forbidden")
async def test_changes_of_members_that_are_refused(daemon: Daemon, backend: Backend) -> None:
    async with daemon.pair() as (alice, bob, direct), daemon.person() as carol:
        group = await backend.group(alice.user)
        for place in (direct, NOBODY):
            code = "forbidden" if place == direct else "not_found"
            assert await backend.refused("POST", f"/conversations/{place}/members", {"users": [carol.user]}) == code
            assert await backend.refused("DELETE", f"/conversations/{place}/members/{bob.user}") == code
            role = {"role": "admin"}
            assert await backend.refused("PUT", f"/conversations/{place}/members/{bob.user}/role", role) == code
        for user in (NOBODY, SYSTEM):
            users = {"users": [user]}
            assert await backend.refused("POST", f"/conversations/{group}/members", users) == "not_found"
        assert await backend.refused("DELETE", f"/conversations/{group}/members/{carol.user}") == "not_found"
        path = f"/conversations/{group}/members/{carol.user}/role"
        assert await backend.refused("PUT", path, {"role": "admin"}) == "not_found"
        assert (await alice.call("conversation.get", conversation=group))["conversation"]["rev"] == 1, "nothing changed"


@covers("server.member.role")
async def test_roles_are_changed(daemon: Daemon, backend: Backend) -> None:
    async with daemon.people(2) as (alice, bob):
        group = await backend.group(bob.user, owner=alice.user)
        path = f"/conversations/{group}/members/{bob.user}/role"
        assert (await backend.done("PUT", path, {"role": "moderator"}))["member"]["role"] == "moderator"
        assert (await bob.event("member.update"))["member"]["role"] == "moderator"
        assert (await backend.done("PUT", path, {"role": "owner"}))["member"]["role"] == "owner"
        roles = {one["user"]: one["role"] for one in (await alice.call("member.list", conversation=group))["items"]}
        assert roles == {alice.user: "admin", bob.user: "owner"}
        rev = (await alice.call("conversation.get", conversation=group))["conversation"]["rev"]
        await backend.done("PUT", path, {"role": "owner"})
        assert (await alice.call("conversation.get", conversation=group))["conversation"]["rev"] == rev


@covers("server.conversation.get")
@covers("server.conversation.list")
@covers("server.member.list")
@covers("server.message.history")
async def test_a_backend_reads(daemon: Daemon) -> None:
    reader = await backend_of(daemon, "read")
    async with daemon.pair() as (alice, bob, conversation):
        for number in range(3):
            await alice.send(conversation, f"message {number}")
        seen = (await reader.done("GET", f"/conversations/{conversation}"))["conversation"]
        assert (seen["seq"], seen["kind"], len(seen["members"]), "unread" in seen) == (3, "direct", 2, False)
        listed = await reader.done("GET", f"/users/{bob.user}/conversations")
        assert [(one["id"], one["unread"]) for one in listed["items"]] == [(conversation, 3)]
        assert (await reader.done("GET", f"/users/{NOBODY}/conversations"))["items"] == []
        first = await reader.done("GET", f"/conversations/{conversation}/members?limit=1")
        last = await reader.done("GET", f"/conversations/{conversation}/members?limit=1&cursor={first['cursor']}")
        assert [one["user"] for one in first["items"] + last["items"]] == sorted([alice.user, bob.user])
        assert last["cursor"] is None
        path = f"/conversations/{conversation}/messages"
        assert [one["seq"] for one in (await reader.done("GET", f"{path}?limit=2"))["items"]] == [2, 3]
        assert [one["seq"] for one in (await reader.done("GET", f"{path}?before=3&limit=1"))["items"]] == [2]
        page = await reader.done("GET", f"{path}?after=0&limit=2")
        assert ([one["text"] for one in page["items"]], page["more"]) == (["message 0", "message 1"], True)
        assert await reader.refused("GET", f"{path}?after=0&before=2") == "bad_request"


@covers("server.conversation.get", "not_found")
@covers("server.member.list", "not_found")
@covers("server.message.history", "not_found")
async def test_unknown_conversations_are_not_found(daemon: Daemon) -> None:
    reader = await backend_of(daemon, "read")
    for path in ("", "/members", "/messages"):
        assert await reader.refused("GET", f"/conversations/{NOBODY}{path}") == "not_found"


@covers("server.conversation.create", "too_large")
@covers("server.conversation.direct", "too_large")
@covers("server.member.add", "too_large")
async def test_limits_of_conversations_apply(config: Config) -> None:
    limits = replace(config.get(ConversationLimits), members=2, conversations_per_user=2)
    async with running(config.using(limits)) as daemon, daemon.people(3) as (alice, bob, carol):
        backend = await backend_of(daemon)
        everybody = {"members": [alice.user, bob.user, carol.user]}
        assert await backend.refused("POST", "/conversations", everybody) == "too_large"
        group = await backend.group(alice.user, bob.user)
        users = {"users": [carol.user]}
        assert await backend.refused("POST", f"/conversations/{group}/members", users) == "too_large"
        await backend.group(alice.user)
        assert await backend.refused("POST", "/conversations", {"members": [alice.user]}) == "too_large"
        pair = {"user": alice.user, "other": carol.user}
        assert await backend.refused("POST", "/conversations/direct", pair) == "too_large"
