"""Edits that change who is mentioned: who is newly mentioned counts the message, who no longer is does not."""

from collections.abc import Sequence

import trio

from chatd.core.ids import NIL
from tests.conversations.test_groups import group
from tests.support import NOBODY, Daemon, Person, covers, shared

daemon = shared


async def mentioned(people: Sequence[Person], conversation: str) -> list[int]:
    """The number of unread mentions of each."""
    found = [await one.call("conversation.get", conversation=conversation) for one in people]
    return [one.conversation["mentions"] for one in found]


@covers("message.edit")
async def test_new_mentions_count_and_removed_ones_do_not(daemon: Daemon) -> None:
    async with group(daemon, 4) as (id_, (ann, ben, sam, zoe)):
        sent = await ann.send(id_, "@ben", mentions=[ben.user])
        here = {"conversation": id_, "message": sent.message}
        assert await mentioned([ben, sam, zoe], id_) == [1, 0, 0]
        edited = (await ann.call("message.edit", **here, text="@sam", mentions=[sam.user, sam.user])).message
        assert (edited["mentions"], edited["rev"]) == ([sam.user], sent.rev + 1)
        assert (await sam.event("message.update"))["message"] == edited
        assert await mentioned([ben, sam, zoe], id_) == [0, 1, 0]
        assert (await ann.call("message.edit", **here, text="@all", everybody=True)).message["mentions"] == [sam.user]
        assert await mentioned([ben, sam, zoe], id_) == [1, 1, 1]
        assert (await ann.call("message.edit", **here, text="same")).message["mentions_everybody"] is True
        gone = (await ann.call("message.edit", **here, text="none", mentions=[], everybody=False)).message
        assert {"mentions", "mentions_everybody"} & set(gone) == set()
        assert await mentioned([ben, sam, zoe], id_) == [0, 0, 0]
        changes = await zoe.call("conversation.sync", conversation=id_, rev=sent.rev)
        assert [(one["text"], "mentions" in one) for one in changes["messages"]] == [("none", False)]


async def test_a_mention_in_a_message_that_was_read_does_not_count(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, id_):
        sent = await alice.send(id_, "hello")
        await bob.call("receipt.read", conversation=id_, seq=sent.seq)
        await alice.call("message.edit", conversation=id_, message=sent.message, text="@bob", mentions=[bob.user])
        assert await mentioned([bob], id_) == [0]


@covers("message.edit", "forbidden")
async def test_mentions_that_may_not_be_made_leave_the_message_as_it_was(daemon: Daemon) -> None:
    async with group(daemon, 3) as (id_, (ann, ben, sam)):
        sent = await ben.send(id_, "quiet", mentions=[sam.user])
        here = {"conversation": id_, "message": sent.message, "text": "loud"}
        assert (await ben.refused("message.edit", **here, everybody=True)).code == "forbidden"
        assert (await ben.refused("message.edit", **here, mentions=[NIL])).code == "bad_request"
        assert (await ben.refused("message.edit", **here, mentions=[NOBODY] * 51)).code == "bad_request"
        (item,) = [one for one in (await ann.call("message.history", conversation=id_))["items"] if one["text"]]
        assert (item["text"], item["mentions"]) == ("quiet", [sam.user])
        edited = (await ben.call("message.edit", **here, mentions=[NOBODY, ann.user])).message
        assert edited["mentions"] == [ann.user]
        assert await mentioned([ann, sam], id_) == [1, 0]


async def test_partners_are_mentioned_by_alias_in_an_edit(daemon: Daemon) -> None:
    async with daemon.people(2) as (ann, ben):
        for person in (ann, ben):
            await person.call("match.find", queue="edits")
        met = await ann.event("match.found")
        id_ = met["conversation"]
        alias = (await ben.event("match.found"))["alias"]
        sent = await ann.send(id_, "hey")
        fields = {"conversation": id_, "message": sent.message, "text": "hey you"}
        assert "mentions" not in (await ann.call("message.edit", **fields, mentions=[ben.user])).message
        assert (await ann.call("message.edit", **fields, mentions=[alias])).message["mentions"] == [alias]
        assert await mentioned([ben], id_) == [1]


async def test_edits_and_reads_at_once_leave_a_count_that_sync_confirms(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, id_):
        sent = await alice.send(id_, "x")

        async def edit() -> None:
            for number in range(8):
                await alice.call(
                    "message.edit",
                    conversation=id_,
                    message=sent.message,
                    text=f"{number}",
                    mentions=[bob.user][: number % 2],
                )

        async def read() -> None:
            for _ in range(8):
                assert await mentioned([bob], id_) in ([0], [1])

        async with trio.open_nursery() as nursery:
            nursery.start_soon(edit)
            nursery.start_soon(read)
        assert await mentioned([bob], id_) == [1]
        (state,) = (await bob.call("session.sync"))["conversations"]
        assert (state["mentions"], state["unread"]) == (1, 1)
