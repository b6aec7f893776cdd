"""Messages that a user may not see, or has hidden, appear in no answer; private marks are shown to their owner only."""

from tests.conversations.test_groups import group, synced
from tests.support import Daemon, shared

daemon = shared


async def test_new_member_gets_nothing_from_before_joining_in_updates_and_quotes(daemon: Daemon) -> None:
    async with group(daemon, history="joined") as (id_, (ann, ben, _)), daemon.person() as eve:
        old = (await ann.send(id_, "a secret")).message
        await ann.call("member.add", conversation=id_, users=[eve.user])
        await eve.event("message.new")
        rev = (await synced(eve, id_))["rev"]
        edits = [
            ("message.edit", {"text": "another secret"}), ("reaction.add", {"emoji": "👍"}), ("message.pin", {}),
            ("message.delete", {"scope": "all"}),
        ]  # fmt: skip
        await ann.send(id_, "as I said", reply_to=old)
        quoting = (await eve.event("message.new"))["message"]
        assert "quote" not in quoting
        for command, fields in edits:
            await ann.call(command, conversation=id_, message=old, **fields)
            assert (await ben.event("behind"))["rev"] == (await eve.event("behind"))["rev"] > rev
        await ann.call("reaction.add", conversation=id_, message=quoting["id"], emoji="👍")
        assert "quote" not in (await eve.event("message.update"))["message"]
        assert all(
            ("secret" not in repr(body) and body["t"] != "message.update") or "as I said" in repr(body)
            for _, body in eve.log
        )
        assert [message.get("quote") for message in (await synced(eve, id_))["messages"] if message["text"]] == [None]
        (reply,) = [message for message in (await synced(ben, id_))["messages"] if message["text"] == "as I said"]
        assert (reply["quote"]["message"], reply["quote"]["deleted"]) == (old, True)


async def test_hidden_message_is_not_unread_quoted_or_last_message(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, id_):
        await alice.send(id_, "first")
        hidden = (await alice.send(id_, "hidden", mentions=[bob.user])).message
        await bob.call("message.delete", conversation=id_, message=hidden, scope="me")
        mine = (await bob.call("conversation.get", conversation=id_))["conversation"]
        assert (mine["unread"], mine["mentions"], mine["last_message"]["text"]) == (1, 0, "first")
        assert (await bob.call("unread.total"))["total"] == {"unread": 1, "conversations": 1, "mentions": 0}
        await alice.send(id_, "as I said", reply_to=hidden)
        (reply,) = (await bob.call("message.history", conversation=id_, limit=1))["items"]
        assert (reply["reply_to"], "quote" in reply) == (hidden, False)
        assert (await alice.call("conversation.get", conversation=id_))["conversation"]["last_message"]["quote"][
            "text"
        ] == "hidden"


async def test_hiding_a_message_changes_unread_of_session_sync(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, id_):
        hidden = (await alice.send(id_, "noise", mentions=[bob.user])).message
        cursor = (await bob.call("session.sync"))["cursor"]
        await bob.call("message.delete", conversation=id_, message=hidden, scope="me")
        changed = await bob.call("session.sync", cursor=cursor)
        assert [(one["id"], one["unread"], one["mentions"]) for one in changed["conversations"]] == [(id_, 0, 0)]
        assert [(one["message"], one["hidden"]) for one in changed["marks"]] == [(hidden, True)]


async def test_own_marks_are_not_part_of_conversation_events(daemon: Daemon) -> None:
    async with group(daemon) as (id_, (ann, ben, _)):
        message = (await ann.send(id_)).message
        await ann.call("message.star", conversation=id_, message=message)
        await ann.call("reaction.add", conversation=id_, message=message, emoji="👍")
        await ann.call("conversation.edit", conversation=id_, description="news")
        event = (await ben.event("conversation.update"))["conversation"]
        assert (event["description"], "last_message" in event) == ("news", False)
