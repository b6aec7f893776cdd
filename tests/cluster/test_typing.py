"""Typing events are never delivered from or to former members, whatever is in flight between two nodes."""

import trio

from chatd.client import Refused
from chatd.core.config import Config
from tests.cluster.test_strangers import meet, quick
from tests.cluster.test_two_nodes import nodes, pair_on
from tests.reply import Reply
from tests.support import Person

__all__ = ["quick"]


def typed(person: Person) -> list[tuple[str, str]]:
    """Conversations and users in the order of delivery."""
    return [
        (body["conversation"], body["user"]) for _, body in person.log if body["t"] in ("typing.start", "typing.stop")
    ]


async def keep_typing(person: Person, conversation: str, task_status: trio.TaskStatus[trio.CancelScope]) -> None:
    """Start and stop typing without a pause, refused or not."""
    with trio.CancelScope() as scope:
        task_status.started(scope)
        while True:
            for command in ("typing.start", "typing.stop"):
                try:
                    await person.call(command, conversation=conversation)
                except Refused as refused:
                    assert refused.code == "not_found"


def after(person: Person, kind: str) -> list[Reply]:
    """The frames after the first event or answer of this type."""
    bodies = [body for _, body in person.log]
    return bodies[next(at for at, body in enumerate(bodies) if body["t"] == kind) :]


async def test_typing_of_a_former_partner_is_not_delivered_after_a_skip(quick: Config) -> None:
    """All three are on two nodes; Ben's typing reaches only Ann, and only until the end."""
    async with nodes(quick) as (one, two), one.person("ann") as ann, two.person("ben") as ben, two.person("cat") as cat:
        first = await meet(ann, ben)
        bens = await ben.alias(first)
        async with trio.open_nursery() as nursery:
            scopes = [await nursery.start(keep_typing, ben, first) for _ in range(3)]
            await ann.event("typing.start")
            await cat.call("match.find")
            await ann.call("match.skip")
            found = await ann.found(cat)
            await cat.call("typing.start", conversation=found["conversation"])
            await ann.event("typing.start")
            cats = await cat.alias(found["conversation"])
            await trio.sleep(0.5)
            for scope in scopes:
                scope.cancel()
        events = typed(ann)
        cut = events.index((found["conversation"], cats))
        assert set(events[:cut]) == {(first, bens)}
        assert set(events[cut:]) == {(found["conversation"], cats)}
        assert not typed(cat)
        assert (await ben.refused("typing.start", conversation=first)).code == "not_found"


async def test_a_removed_member_neither_types_nor_sees_others_type(quick: Config) -> None:
    async with nodes(quick) as (one, two), one.person("ann") as ann, two.person("ben") as ben, two.person("eve") as eve:
        made = await ann.call("conversation.create", title="Us", members=[ben.user, eve.user])
        group = made.conversation.id
        for person in (ben, eve):
            await person.event("conversation.update")
        async with trio.open_nursery() as nursery:
            scopes = [await nursery.start(keep_typing, person, group) for person in (ann, ben, eve)]
            await ben.event("typing.start")
            await ann.call("member.remove", conversation=group, user=ben.user)
            assert (await ben.event("member.left"))["departure"]["user"] == ben.user
            await trio.sleep(0.5)
            for scope in scopes:
                scope.cancel()
        assert not [body for body in after(ben, "member.left") if body["t"] in ("typing.start", "typing.stop")]
        assert typed(eve)
        assert not [
            body for body in after(eve, "member.left") if body["t"] == "typing.start" and body["user"] == ben.user
        ][2:]
        for command in ("typing.start", "typing.stop"):
            assert (await ben.refused(command, conversation=group)).code == "not_found"


async def test_typing_ends_with_a_block(quick: Config) -> None:
    async with nodes(quick) as (one, two), pair_on(one, two) as (alice, bob, conversation):
        async with trio.open_nursery() as nursery:
            scopes = [await nursery.start(keep_typing, person, conversation) for person in (alice, bob)]
            await bob.event("typing.start")
            await bob.call("user.block", user=alice.user)
            before = len(typed(bob))
            await trio.sleep(0.5)
            for scope in scopes:
                scope.cancel()
        assert len(typed(bob)) == before
        settled = len(typed(alice))
        await bob.call("typing.start", conversation=conversation)
        await trio.sleep(0.3)
        assert len(typed(alice)) == settled


async def test_typing_ends_on_all_nodes_when_the_typist_disconnects(config: Config) -> None:
    async with nodes(config) as (one, two), pair_on(one, two) as (ann, ben, conversation):
        await ann.call("typing.start", conversation=conversation)
        assert (await ben.event("typing.start"))["user"] == ann.user
        await trio.aclose_forcefully(ann.connection)
        assert (await ben.event("typing.stop"))["user"] == ann.user
