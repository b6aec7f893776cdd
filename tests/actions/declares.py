"""What tests of all commands have to know of actions, see `tests/declarations.py`."""

from uuid import uuid4

from tests.abuse.things import Thing, World
from tests.actions.bots import button
from tests.support import Person


async def action(world: World, owner: Person) -> Thing:
    """A button of a bot that the owner has pressed."""
    bot = await world.bot(owner)
    room = (await owner.call("conversation.open", user=bot.user)).conversation.id
    sent = await bot.send(room, "choose", actions=[[button("yes")]])
    place = {"conversation": room, "message": sent.message}
    pressed = await owner.call("message.action", **place, action="yes", client_id=str(uuid4()))
    return Thing(pressed.action, bot)


FACTORIES = {"action": action, "actions": action}
# The message of the owner has no buttons.
ALSO_THE_OWNER = {"message.action"}
