"""What tests of all commands have to know of conversations, see `tests/declarations.py`."""

import time
from uuid import uuid4

from tests.abuse.things import Thing, World
from tests.support import Person


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


async def invite(world: World, owner: Person) -> Thing:
    """An invite link of `conversation`."""
    room = await world.thing(owner, "conversation")
    await owner.call("conversation.edit", conversation=room.id, joining="invite")
    return Thing((await owner.call("invite.create", conversation=room.id)).invite, owner)


async def scheduled(world: World, owner: Person) -> Thing:
    """A message scheduled for tomorrow."""
    room = await world.thing(owner, "conversation")
    at = round(time.time() * 1000) + 86_400_000
    made = await owner.call("message.schedule", conversation=room.id, client_id=str(uuid4()), text="later", at=at)
    return Thing(made["id"], owner)


FACTORIES = {
    "conversation": conversation,
    "id": scheduled,
    "invite": invite,
    "message": message,
    "reply_to": message,
    "source": source,
}
# This is how users find each other.
ANYBODYS = {
    ("conversation.open", "user"),
    ("conversation.create", "members"),
    ("member.add", "users"),
    ("user.block", "user"),
}
ALSO_THE_OWNER = {"join.decide", "user.unblock"}
