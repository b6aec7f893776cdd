"""Events of reactions, receipts and polls, and of conversations that are not accepted yet."""

from chatd.conversations.settings import ConsentSettings
from chatd.core.config import Config
from tests.support import Daemon, poll_until
from tests.webhooks.receiver import Receiver, listed, receiving, sending


async def settled(daemon: Daemon, receiver: Receiver) -> None:
    await poll_until(lambda: listed(daemon, receiver), lambda item: not item["pending"])


async def test_reactions_are_sent_with_those_of_the_user_and_the_counts(config: Config) -> None:
    async with (
        sending(config) as daemon,
        receiving(daemon, types=["reaction.*"]) as receiver,
        daemon.pair() as (alice, bob, conversation),
    ):
        sent = await alice.send(conversation, "react")
        one = {"conversation": conversation, "message": sent.message}
        await alice.call("reaction.add", **one, emoji="🎉")
        await receiver.wait(1)
        await bob.call("reaction.add", **one, emoji="👍")
        await bob.call("reaction.add", **one, emoji="👍")
        (_, added) = await receiver.wait(2)
        assert added["type"] == "reaction.added"
        assert added["data"] == {
            "conversation": conversation,
            "message": sent.message,
            "seq": sent["seq"],
            "user": bob.user,
            "emoji": ["👍"],
            "reactions": {"🎉": 1, "👍": 1},
        }
        await bob.call("reaction.remove", **one, emoji="👍")
        (removed,) = await receiver.wait(1, "reaction.removed")
        assert (removed["data"]["emoji"], removed["data"]["reactions"]) == ([], {"🎉": 1})
        # The reactions to a deleted message are no changes of their own.
        await alice.call("message.delete", **one)
        other = await alice.send(conversation, "another")
        await bob.call("reaction.add", conversation=conversation, message=other.message, emoji="👍")
        assert [event["type"] for event in await receiver.wait(4)].count("reaction.removed") == 1
        assert len(receiver.events()) == 4


async def test_receipts_are_sent_once_for_each_move(config: Config) -> None:
    """Also under a block, where the other user does not see them."""
    async with (
        sending(config) as daemon,
        receiving(daemon, types=["receipt.updated"]) as receiver,
        daemon.pair() as (alice, bob, conversation),
    ):
        sent = await alice.send(conversation, "read me")
        for _ in range(2):
            await bob.call("receipt.delivered", conversation=conversation, seq=sent["seq"])
        (first,) = await receiver.wait(1)
        place = {"conversation": conversation, "user": bob.user}
        assert first["data"] == {**place, "delivered": sent["seq"], "read": 0}
        await alice.call("user.block", user=bob.user)
        await bob.call("receipt.read", conversation=conversation, seq=sent["seq"])
        second = (await receiver.wait(2))[1]
        assert second["data"] == {**place, "delivered": sent["seq"], "read": sent["seq"]}
        await settled(daemon, receiver)
        assert len(receiver.events()) == 2


async def test_votes_and_the_end_of_polls_are_sent(config: Config) -> None:
    async with (
        sending(config) as daemon,
        receiving(daemon, types=["poll.*", "message.created"]) as receiver,
        daemon.pair() as (alice, bob, conversation),
    ):
        fields = {"conversation": conversation, "question": "tea?", "options": ["green", "black", "none"]}
        made = await alice.call("poll.create", **fields, client_id="open", multiple=True)
        (created,) = await receiver.wait(1, "message.created")
        assert [option["text"] for option in created["data"]["poll"]["options"]] == fields["options"]
        one = {"conversation": conversation, "message": made["message"]}
        await bob.call("poll.vote", **one, options=[2, 0])
        (voted,) = await receiver.wait(1, "poll.voted")
        assert (voted["data"]["user"], voted["data"]["options"], voted["data"]["poll"]["voters"]) == (
            bob.user,
            [0, 2],
            1,
        )
        await bob.call("poll.vote", **one, options=[])
        back = (await receiver.wait(2, "poll.voted"))[1]["data"]
        assert (back["user"], back["options"], back["poll"]["voters"]) == (bob.user, [], 0)
        await alice.call("poll.close", **one)
        (closed,) = await receiver.wait(1, "poll.closed")
        assert set(closed["data"]) == {"conversation", "message", "seq", "poll"}
        assert closed["data"]["poll"]["closed_at"]
        secret = await alice.call("poll.create", **fields, client_id="secret", anonymous=True)
        await bob.call("poll.vote", conversation=conversation, message=secret["message"], options=[1])
        anonymous = (await receiver.wait(3, "poll.voted"))[2]["data"]
        assert (anonymous["user"], anonymous["options"], anonymous["poll"]["voters"]) == (None, None, 1)
        assert len(receiver.events("poll.voted")) == 3


async def test_conversations_name_the_user_who_has_not_accepted(config: Config) -> None:
    strangers = config.using(ConsentSettings(default="contacts"))
    async with (
        sending(strangers) as daemon,
        receiving(daemon, types=["conversation.*"]) as receiver,
        daemon.person("alice") as alice,
        daemon.person("bob") as bob,
    ):
        opened = (await alice.call("conversation.open", user=bob.user))["conversation"]
        assert opened["requested"] == bob.user
        (created,) = await receiver.wait(1, "conversation.created")
        assert created["data"]["requested"] == bob.user
        await bob.call("request.accept", conversation=opened["id"])
        (accepted,) = await receiver.wait(1, "conversation.updated")
        assert accepted["data"]["requested"] is None
