"""What tests of all commands have to know of matching, see `tests/declarations.py`."""

from uuid import uuid4

from tests.abuse.things import Thing, World
from tests.support import Person


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
    return (await ended_match(world, owner))[0]


async def former_message(world: World, owner: Person) -> str:
    return (await ended_match(world, owner))[1]


FACTORIES = {"match": proposed_match, "ticket": ticket}
GONE = {
    "conversation": former_conversation,
    "message": former_message,
    "reply_to": former_message,
    "source": former_conversation,
}
# A waiting user is in no match yet.
ALSO_THE_OWNER = {"match.leave", "match.skip"}
