"""What admins see of users, conversations and settings."""

from dataclasses import replace

from chatd.core.config import Config
from chatd.people.settings import PeopleSettings
from chatd.people.subsystem import PEOPLE
from tests.admins import BEN, NOBODY, acts, administered, daemon, db, done, refused
from tests.support import Daemon, altered, covers, poll_until, running

__all__ = ["daemon", "db"]


@covers("admin.users")
async def test_users_are_found_by_id_name_and_handle(config: Config) -> None:
    quick = altered(*(replace(job, every_s=0.05) for job in PEOPLE.jobs))
    named = administered(config).using(PeopleSettings(search="names"))
    async with (
        running(named, quick) as daemon,
        daemon.person("Anna Ölander") as anna,
        daemon.person("Bob") as bob,
    ):
        await bob.call("user.update", handle="bobby.b")

        async def found(**fields: object) -> list[str]:
            return [item["user"] for item in (await done(daemon, "users", **fields))["items"]]

        await poll_until(lambda: found(query="oland"), lambda users: users == [anna.user])
        assert await found(query="ann") == [anna.user]
        assert await found(query="bobby") == [bob.user]
        assert await found(query=bob.user.upper()) == [bob.user]
        assert await found() == sorted((anna.user, bob.user), reverse=True)
        first = (await done(daemon, "users", limit=1))["items"][0]["user"]
        page = await done(daemon, "users", limit=1, before=first)
        assert (len(page["items"]), page["more"]) == (1, False)
        assert await found(query=anna.user, token=BEN, tenant="acme") == []
        for query in ("%", "_", "'", "\u202e", "nobody"):
            assert await found(query=query) == []


@covers("admin.user.details")
@covers("admin.user.details", "not_found")
async def test_details_of_a_user_are_shown(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, _):
        await alice.call("user.update", status_text="away")
        await done(daemon, "strike", user=alice.user, reason="spam")
        await done(daemon, "ban", user=alice.user, reason="flood", lasts=60)
        shown = await done(daemon, "user.details", user=alice.user)
        assert shown["status_text"] == "away"
        assert [strike["reason"] for strike in shown["strikes"]] == ["spam"]
        assert [(ban["reason"], ban["kind"]) for ban in shown["bans"]] == [("flood", "user")]
        assert [login["ended_at"] is not None for login in shown["logins"]] == [True]
        assert [login["ended_at"] for login in (await done(daemon, "user.details", user=bob.user))["logins"]] == [None]
        assert await refused(daemon, "user.details", user=NOBODY) == "not_found"
        assert await refused(daemon, "user.details", user=alice.user, tenant="acme") == "not_found"


@covers("admin.conversations")
@covers("admin.conversation")
@covers("admin.conversation", "not_found")
async def test_conversations_are_shown_without_their_messages(daemon: Daemon) -> None:
    async with daemon.people(3) as (alice, bob, carol):
        direct = (await alice.call("conversation.open", user=bob.user))["conversation"]["id"]
        group = await alice.call("conversation.create", title="Plans", members=[carol.user])
        await alice.send(direct, "a secret")
        listed = await done(daemon, "conversations")
        assert [item["conversation"] for item in listed["items"]] == [group["conversation"]["id"], direct]
        assert (await done(daemon, "conversations", user=bob.user))["items"][0]["messages"] == 1
        assert (await done(daemon, "conversations", user=NOBODY))["items"] == []
        page = await done(daemon, "conversations", limit=1)
        assert page["more"] is True
        assert [
            item["kind"] for item in (await done(daemon, "conversations", before=group["conversation"]["id"]))["items"]
        ] == ["direct"]
        shown = await done(daemon, "conversation", conversation=direct)
        assert {member["user"] for member in shown["some_members"]} == {alice.user, bob.user}
        assert "a secret" not in str(listed) + str(shown)
        for wrong in ({"conversation": NOBODY}, {"conversation": direct, "tenant": "acme"}):
            assert await refused(daemon, "conversation", **wrong) == "not_found"
        assert await acts(daemon) == []


@covers("admin.conversation.messages")
@covers("admin.conversation.messages", "not_found")
async def test_messages_are_read_for_a_reason(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, _, conversation):
        for text in ("one", "two", "three"):
            await alice.send(conversation, text)
        reason = "order of the court, 4 C 118/26"
        page = await done(daemon, "conversation.messages", conversation=conversation, reason=reason, limit=2)
        assert ([item["text"] for item in page["items"]], page["more"]) == (["two", "three"], True)
        page = await done(daemon, "conversation.messages", conversation=conversation, reason=reason, before=2)
        assert [item["text"] for item in page["items"]] == ["one"]
        assert await acts(daemon) == [("ann", "conversation.read", conversation)] * 2
        for wrong in ({"reason": "x"}, {}):
            assert await refused(daemon, "conversation.messages", conversation=conversation, **wrong) == "bad_request"
        for fields in ({"conversation": NOBODY}, {"conversation": conversation, "tenant": "acme"}):
            assert await refused(daemon, "conversation.messages", reason=reason, **fields) == "not_found"
        assert len(await acts(daemon)) == 2


@covers("admin.settings")
@covers("admin.settings", "forbidden")
async def test_settings_are_shown_with_their_source_and_without_secrets(daemon: Daemon) -> None:
    shown = {item["key"]: item for item in (await done(daemon, "settings"))["items"]}
    assert shown["gateway.path"] == {"key": "gateway.path", "value": "'/v1/ws'", "source": "default"}
    assert shown["auth.secret"]["value"] == shown["admins.ann.token"]["value"] == "[secret]"
    assert daemon.secret not in str(shown)
    assert await refused(daemon, "settings", token=BEN, tenant="acme") == "forbidden"
