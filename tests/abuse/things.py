"""Things of users for `test_ids`: a function for each name of a field that holds an id.

A new kind of id fails `test_every_kind_of_id_can_be_made` until FACTORIES has its name. If a user can lose the thing
(leave, delete, unpair), add it to GONE too.
"""

import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from tests.files import picture, stored
from tests.support import Daemon, Person


@dataclass(frozen=True)
class Thing:
    """`holder` may do with it what its owner may."""

    id: str
    holder: Person


class World:
    """The users of one test and their things. A thing is made on first use, once for each owner."""

    def __init__(self, daemon: Daemon, stack: AsyncExitStack) -> None:
        self._daemon = daemon
        self._stack = stack
        self._made: dict[tuple[str, str], Thing] = {}
        self.people: list[Person] = []

    async def person(self, **fields: str) -> Person:
        """A new user, connected as long as the world lasts."""
        person = await self._stack.enter_async_context(self._daemon.person(**fields))
        self.people.append(person)
        return person

    async def stored(self, owner: Person, data: bytes) -> dict[str, Any]:
        """The server's description of a file of the user."""
        return await stored(self._daemon, owner.account.access_token, data)

    async def thing(self, owner: Person, field: str) -> Thing:
        if (owner.user, field) not in self._made:
            self._made[owner.user, field] = await FACTORIES[field](self, owner)
        return self._made[owner.user, field]

    async def friend(self, owner: Person) -> Person:
        """Another user of the same tenant."""
        key = (owner.user, "friend")
        if key not in self._made:
            tenant = owner.hello.tenant
            self._made[key] = Thing("", await self.person(name="friend", tenant=tenant))
        return self._made[key].holder

    def forget(self) -> None:
        """Make everything anew from here on: a command may have used it up."""
        self._made.clear()


Factory = Callable[[World, Person], Awaitable[Thing]]


async def conversation(world: World, owner: Person) -> Thing:
    """A group with one message in it."""
    friend = await world.friend(owner)
    made = await owner.call("conversation.create", members=[friend.user])
    id_ = made.conversation.id
    await owner.send(id_, "the first")
    return Thing(id_, owner)


async def message(world: World, owner: Person) -> Thing:
    """A message in `conversation`."""
    room = await world.thing(owner, "conversation")
    return Thing((await owner.send(room.id, "mine")).message, owner)


async def source(world: World, owner: Person) -> Thing:
    """The conversation of `message`."""
    return await world.thing(owner, "conversation")


async def friend(world: World, owner: Person) -> Thing:
    return Thing((await world.friend(owner)).user, owner)


async def ticket(world: World, owner: Person) -> Thing:
    """The ticket of a user who waits alone in a queue."""
    waiting = await world.person(name="waiting", tenant=owner.hello.tenant)
    queued = await waiting.call("match.find", queue=f"q{uuid4().hex[:8]}")
    return Thing(queued.ticket, waiting)


async def proposed_match(world: World, owner: Person) -> Thing:
    """A match proposed to two users, in a queue with confirmation."""
    one, two = [await world.person(name="asked", tenant=owner.hello.tenant) for _ in range(2)]
    for person in (one, two):
        await person.call("match.find", queue="asking")
    return Thing((await one.event("match.proposed")).match, one)


async def invite(world: World, owner: Person) -> Thing:
    """An invite link of `conversation`."""
    room = await world.thing(owner, "conversation")
    await owner.call("conversation.edit", conversation=room.id, joining="invite")
    return Thing((await owner.call("invite.create", conversation=room.id)).invite, owner)


async def image(world: World, owner: Person) -> Thing:
    """An image that the owner has uploaded."""
    return Thing((await world.stored(owner, picture()))["id"], owner)


async def scheduled(world: World, owner: Person) -> Thing:
    """A message scheduled for tomorrow."""
    room = await world.thing(owner, "conversation")
    at = round(time.time() * 1000) + 86_400_000
    made = await owner.call("message.schedule", conversation=room.id, client_id=str(uuid4()), text="later", at=at)
    return Thing(made["id"], owner)


FACTORIES: dict[str, Factory] = {
    "conversation": conversation,
    "id": scheduled,
    "invite": invite,
    "match": proposed_match,
    "members": friend,
    "message": message,
    "picture": image,
    "reply_to": message,
    "sender": friend,
    "source": source,
    "ticket": ticket,
    "upload": image,
    "user": friend,
    "users": friend,
}


async def ended_match(world: World, owner: Person) -> tuple[str, str]:
    """The conversation of an ended match of the owner, and a message of the partner in it."""
    other = await world.person(name="former", tenant=owner.hello.tenant)
    queue = f"q{uuid4().hex[:8]}"
    for person in (owner, other):
        await person.call("match.find", queue=queue)
    id_ = (await owner.event("match.found")).conversation
    await other.event("match.found")
    sent = await other.send(id_, "hello")
    await other.call("match.leave")
    await owner.event("match.ended")
    return id_, sent.message


async def former_conversation(world: World, owner: Person) -> str:
    """E2."""
    return (await ended_match(world, owner))[0]


async def former_message(world: World, owner: Person) -> str:
    return (await ended_match(world, owner))[1]


# Ids of things that the asker had and has lost.
GONE: dict[str, Callable[[World, Person], Awaitable[str]]] = {
    "conversation": former_conversation,
    "message": former_message,
    "reply_to": former_message,
    "source": former_conversation,
}
