"""Bots of these tests, and their buttons."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

from tests.bots.world import bots_of
from tests.reply import Reply
from tests.support import Daemon, Person


def button(data: str, label: str = "press", **fields: Any) -> dict[str, Any]:
    return {"label": label, "data": data, **fields}


@asynccontextmanager
async def pressing(daemon: Daemon, buttons: Any = None) -> AsyncIterator[tuple[Person, Person, dict[str, str]]]:
    """A bot, a user, and the conversation and the message with buttons: `yes` and `no`, if no others are given."""
    async with (await bots_of(daemon)).connected() as bot, daemon.person("user", "msgpack") as user:
        opened = await user.call("conversation.open", user=bot.user)
        await bot.event("conversation.update")
        ack = await bot.send(opened.conversation.id, "sure?", actions=buttons or [[button("yes"), button("no")]])
        yield bot, user, {"conversation": opened.conversation.id, "message": ack.message}


@asynccontextmanager
async def group_with_bot(daemon: Daemon, count: int, **fields: Any) -> AsyncIterator[tuple[str, Person, list[Person]]]:
    """A group of this many people, the first of them its owner, and a bot."""
    async with (await bots_of(daemon)).connected() as bot, daemon.people(count) as people:
        members = [one.user for one in (*people[1:], bot)]
        made = await people[0].call("conversation.create", title="Us", members=members)
        if fields:
            await people[0].call("conversation.edit", conversation=made.conversation.id, **fields)
        for person in (*people[1:], bot):
            await person.event("conversation.update")
        yield made.conversation.id, bot, people


async def press(person: Person, place: dict[str, str], action: str = "yes", client_id: str | None = None) -> Reply:
    return await person.call("message.action", **place, action=action, client_id=client_id or str(uuid4()))


async def pending(bot: Person) -> list[str]:
    """The actions that the bot has not taken."""
    return [one["id"] for one in (await bot.call("bot.actions"))["items"]]


async def code(person: Person, command: str, **fields: Any) -> str:
    return (await person.refused(command, **fields)).code
