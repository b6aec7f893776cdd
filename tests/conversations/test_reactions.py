"""Reactions, and that their stored counts are correct."""

import trio

from chatd.conversations.settings import MessageSettings
from chatd.core.config import Config
from tests.conversations.test_groups import group
from tests.support import NOBODY, Daemon, Person, covers, running, shared

daemon = shared


async def reactions(person: Person, conversation: str) -> dict[str, int]:
    return dict((await person.call("message.history", conversation=conversation))["items"][0].get("reactions", {}))


@covers("reaction.add")
@covers("reaction.remove")
@covers("reaction.list")
async def test_reactions_are_counted_and_sent(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, conversation):
        first = await alice.send(conversation)
        fields = {"conversation": conversation, "message": first.message}
        for _ in range(2):
            await bob.call("reaction.add", emoji="👍", **fields)
        await bob.call("reaction.add", emoji=":party:", **fields)
        event = await alice.event("message.update")
        assert (event["change"], event["by"], event["emoji"], event["on"]) == ("reaction", bob.user, "👍", True)
        assert (event["message"]["reactions"], event["rev"]) == ({"👍": 1}, first.rev + 1)
        await alice.call("reaction.add", emoji="👍", **fields)
        (seen,) = (await bob.call("message.history", conversation=conversation))["items"]
        assert (seen["reactions"], seen["mine"]) == ({"👍": 2, ":party:": 1}, ["👍", ":party:"])
        listed = (await alice.call("reaction.list", emoji="👍", **fields))["items"]
        assert sorted(one["user"] for one in listed) == sorted([alice.user, bob.user])
        for _ in range(2):
            await bob.call("reaction.remove", emoji="👍", **fields)
        await bob.call("reaction.remove", emoji=":party:", **fields)
        assert await reactions(alice, conversation) == {"👍": 1}
        changes = await bob.call("conversation.sync", conversation=conversation, rev=first.rev)
        assert changes["messages"][0]["reactions"] == {"👍": 1}


async def test_one_reaction_per_user_if_configured(config: Config) -> None:
    async with (
        running(config.using(MessageSettings(reactions="one"))) as daemon,
        daemon.pair() as (alice, bob, conversation),
    ):
        fields = {"conversation": conversation, "message": (await alice.send(conversation)).message}
        await bob.call("reaction.add", emoji="👍", **fields)
        await bob.call("reaction.add", emoji="👎", **fields)
        events = [await alice.event("message.update") for _ in range(3)]
        assert [(event["emoji"], event["on"]) for event in events] == [("👍", True), ("👍", False), ("👎", True)]
        assert await reactions(alice, conversation) == {"👎": 1}


@covers("reaction.add", "not_found")
@covers("reaction.add", "conflict")
@covers("reaction.add", "too_large")
@covers("reaction.remove", "not_found")
@covers("reaction.list", "not_found")
async def test_invalid_reactions_are_refused(daemon: Daemon) -> None:
    async with daemon.pair() as (alice, bob, conversation), daemon.person() as eve:
        first = await alice.send(conversation)
        fields = {"conversation": conversation, "message": first.message}
        for wrong in ("", "no", "👍👍" * 20, "\u202e"):
            assert (await bob.refused("reaction.add", emoji=wrong, **fields)).code == "bad_request"
        for command, more in (
            ("reaction.add", {"emoji": "👍"}),
            ("reaction.remove", {"emoji": "👍"}),
            ("reaction.list", {}),
        ):
            assert (await eve.refused(command, **fields, **more)).code == "not_found"
        unknown = {"conversation": conversation, "message": NOBODY, "emoji": "👍"}
        assert (await bob.refused("reaction.add", **unknown)).code == "not_found"
        for number in range(16):
            await bob.call("reaction.add", emoji=f":e{number}:", **fields)
        assert (await bob.refused("reaction.add", emoji="👍", **fields)).code == "too_large"
        await alice.call("message.delete", **fields)
        assert (await bob.refused("reaction.add", emoji="👍", **fields)).code == "conflict"
        assert await reactions(bob, conversation) == {}


async def test_simultaneous_reactions_are_all_counted(daemon: Daemon) -> None:
    async with group(daemon, 8) as (id_, people):
        fields = {"conversation": id_, "message": (await people[0].send(id_)).message}

        async def react(person: Person, number: int) -> None:
            for emoji in ("👍", "🎉"):
                await person.call("reaction.add", emoji=emoji, **fields)
            if number % 2:
                await person.call("reaction.remove", emoji="👍", **fields)

        async with trio.open_nursery() as nursery:
            for number, person in enumerate(people):
                nursery.start_soon(react, person, number)
        assert await reactions(people[3], id_) == {"👍": 4, "🎉": 8}
