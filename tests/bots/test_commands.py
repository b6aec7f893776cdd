"""Commands of bots: how they are declared, offered, sent and refused."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest

from chatd.bots.settings import BotSettings
from chatd.core.config import Config
from tests.bots.world import WEATHER, Bots, bots_of, group_of
from tests.support import NOBODY, Daemon, Person, covers, running, shared

daemon = shared


def named(name: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, "description": {"en": f"does {name}"}, **fields}


@asynccontextmanager
async def scene(daemon: Daemon, *commands: Any) -> AsyncIterator[tuple[Person, Person, str, Bots]]:
    """A user, a bot with these commands, and their group."""
    bots = await bots_of(daemon)
    async with daemon.person("Alice") as alice, bots.connected(*commands) as bot:
        yield alice, bot, await group_of(alice, bot), bots


@covers("bot.commands")
@covers("bot.commands.get")
async def test_members_are_offered_commands(daemon: Daemon) -> None:
    unit = {"name": "unit", "type": "choice", "choices": ["C", "F"], "description": {"en": "scale", "pt": "escala"}}
    weather = {**WEATHER, "args": [*WEATHER["args"], unit]}
    direct, group_only = named("settings", scope="direct"), named("whois", scope="groups")
    async with scene(daemon, weather, direct, group_only) as (alice, bot, group, _):
        page = await alice.call("bot.commands", conversation=group)
        assert [(one["name"], one["text"], one["bot"]) for one in page["items"]] == [
            ("weather", "/weather", bot.user),
            ("whois", "/whois", bot.user),
        ]
        assert page["items"][0]["description"] == "the weather of a city"
        assert [(one["name"], one["type"], one["required"], one["choices"]) for one in page["items"][0]["args"]] == [
            ("city", "string", True, []),
            ("unit", "choice", False, ["C", "F"]),
        ]
        german = await alice.call("bot.commands", conversation=group, locale="de-AT", prefix="wea")
        assert [one["description"] for one in german["items"]] == ["das Wetter einer Stadt"]
        await alice.call("user.update", locale="pt")
        assert (await alice.call("bot.commands", conversation=group))["items"][0]["args"][1]["description"] == "escala"
        first = await alice.call("bot.commands", conversation=group, limit=1)
        rest = await alice.call("bot.commands", conversation=group, limit=1, cursor=first["cursor"])
        assert [first["items"][0]["name"], rest["items"][0]["name"], rest["cursor"]] == ["weather", "whois", None]
        own = (await alice.call("conversation.open", user=bot.user)).conversation.id
        names = [one["name"] for one in (await alice.call("bot.commands", conversation=own))["items"]]
        assert names == ["settings", "weather"]
        assert [one["name"] for one in (await bot.call("bot.commands.get"))["items"]] == [
            "weather",
            "settings",
            "whois",
        ]
        await bot.call("bot.commands.set", commands=[named("whois")])
        assert [one["name"] for one in (await alice.call("bot.commands", conversation=group))["items"]] == ["whois"]


@covers("bot.commands", "not_found")
async def test_others_are_offered_nothing(daemon: Daemon) -> None:
    async with scene(daemon, WEATHER) as (_, bot, group, _bots), daemon.person() as eve:
        assert (await eve.refused("bot.commands", conversation=group)).code == "not_found"
        assert (await eve.refused("bot.commands", conversation=NOBODY)).code == "not_found"
        assert (await bot.refused("bot.commands", conversation=group)).code == "forbidden"


@pytest.mark.parametrize(
    "commands",
    [
        [named("weather"), named("weather")],
        *([named(name)] for name in ("", "Weather", "9a", "a-b", "w" * 33, "w\u00e9ather", "we ather", "\u0430bc")),
        [{"name": "a", "description": {}}],
        [{"name": "a", "description": {"en": "x" * 201}}],
        [{"name": "a", "description": {"not a tag": "x"}}],
        [{"name": "a", "description": {f"l{n}x"[:2] + "abcdefghijklmnopqrstuvwxyz"[n]: "x" for n in range(21)}}],
        [named("a", scope="nowhere")],
        [named("a", more=1)],
        *(
            [named("a", args=args)]
            for args in (
                [{"name": "x", "type": "date"}],
                [{"name": "x", "type": "choice"}],
                [{"name": "x", "type": "string", "choices": ["a"]}],
                [{"name": "x", "type": "choice", "choices": ["a", "A"]}],
                [{"name": "x", "type": "string"}, {"name": "x", "type": "string"}],
                [{"name": "x", "type": "string"}, {"name": "y", "type": "string", "required": True}],
                [{"name": f"x{n}", "type": "string"} for n in range(11)],
                [{"name": "x", "type": "choice", "choices": [str(n) for n in range(26)]}],
            )
        ),
    ],
)
async def test_declarations_that_are_refused(daemon: Daemon, commands: Any) -> None:
    async with (await bots_of(daemon)).connected(WEATHER) as bot:
        assert (await bot.refused("bot.commands.set", commands=commands)).code == "bad_request"
        assert [one["name"] for one in (await bot.call("bot.commands.get"))["items"]] == ["weather"]


@covers("bot.commands.set", "forbidden", "too_large")
async def test_too_many_commands_and_commands_of_people(config: Config) -> None:
    async with running(config.using(BotSettings(max_commands=3))) as daemon:
        bots = await bots_of(daemon)
        async with daemon.person() as alice, bots.connected() as bot:
            assert (await alice.refused("bot.commands.set", commands=[])).code == "forbidden"
            commands = [named(f"c{n}") for n in range(4)]
            assert (await bot.refused("bot.commands.set", commands=commands)).code == "too_large"
            many = [named(f"c{n}") for n in range(500)]
            assert (await bot.refused("bot.commands.set", commands=many)).code == "bad_request"
            await bot.call("bot.commands.set", commands=commands[:3])


ALL_TYPES = named(
    "all",
    args=[
        {"name": "text", "type": "string", "required": True},
        {"name": "whole", "type": "integer"},
        {"name": "part", "type": "number"},
        {"name": "loud", "type": "boolean"},
        {"name": "who", "type": "user"},
        {"name": "unit", "type": "choice", "choices": ["km", "mi"]},
    ],
)


async def test_arguments_arrive_in_their_types(daemon: Daemon) -> None:
    async with scene(daemon, ALL_TYPES) as (alice, bot, group, _):
        await alice.call("user.update", handle=(handle := f"a{uuid4().hex[:12]}"))
        await alice.send(group, f'/all "two words" 3 2.5 yes @{handle.upper()} KM')
        args = (await bot.event("bot.command"))["args"]
        assert args == {"text": "two words", "whole": 3, "part": 2.5, "loud": True, "who": alice.user, "unit": "km"}
        await alice.send(group, f"/all x who={bot.user}")
        assert (await bot.event("bot.command"))["args"] == {"text": "x", "who": bot.user}
        for text, why in (
            ("/all", "text is missing"),
            ("/all x three", "whole: expected a whole number, not three"),
            ("/all x who=@nobody.here", "who: no such user: @nobody.here"),
            (f"/all x who={NOBODY}", "who: no such user"),
            ("/all x unit=cm", "unit: expected one of km, mi, not cm"),
            ("/all x 1 1 yes @x km more", "there is no argument for more"),
        ):
            refused = await alice.refused("message.send", conversation=group, client_id=str(uuid4()), text=text)
            assert refused.code == "bad_request"
            assert why in refused.message


@covers("message.send", "conflict")
async def test_two_bots_with_the_same_command(daemon: Daemon) -> None:
    async with scene(daemon, WEATHER) as (alice, bot, group, bots), bots.connected(WEATHER) as other:
        await alice.send(group, "/weather Porto")
        assert (await bot.event("bot.command"))["args"] == {"city": "Porto"}
        await alice.call("member.add", conversation=group, users=[other.user])
        fields = {"conversation": group, "client_id": str(uuid4()), "text": "/weather Faro"}
        refused = await alice.refused("message.send", **fields)
        offered = [one["text"] for one in (await alice.call("bot.commands", conversation=group))["items"]]
        assert (refused.code, sorted((refused.details or {})["choices"])) == ("conflict", sorted(offered))
        await alice.call("message.send", **{**fields, "text": f"{offered[1]} Faro"})
        chosen = bot if offered[1].endswith((await alice.call("user.get", user=bot.user)).user["handle"]) else other
        assert (await chosen.event("bot.command"))["args"] == {"city": "Faro"}
        await alice.send(group, "/weather@nobody.here Lagos")
        await alice.send(group, f"{offered[1]} Evora")
        assert (await chosen.event("bot.command"))["args"] == {"city": "Evora"}


async def test_what_is_no_command(daemon: Daemon) -> None:
    """Edits, forwarded messages, other texts, texts of bots; and a repeated send is one command."""
    async with scene(daemon, WEATHER) as (alice, bot, group, bots), bots.connected() as other:
        await alice.call("member.add", conversation=group, users=[other.user])
        ids: list[str] = []

        async def sends(text: str, **fields: Any) -> str:
            return str((await alice.send(group, text, **fields))["message"])

        edited = await sends("hello")
        await alice.call("message.edit", conversation=group, message=edited, text="/weather Edit")
        for text in ("say /weather Porto", "/weathers Porto", "/unknown", "/ weather Porto"):
            await sends(text)
        await other.send(group, "/weather Bots")
        own = (await alice.call("conversation.create", members=[])).conversation.id
        source = (await alice.send(own, "/weather Forward"))["message"]
        await alice.call("message.forward", conversation=group, source=own, message=source, client_id=str(uuid4()))
        ids += [await sends("/weather Once", client_id="once"), await sends("/weather Once", client_id="once")]
        await sends("/weather End")
        found = [(await bot.event("bot.command"))["args"]["city"] for _ in range(2)]
        assert (found, ids[0]) == (["Once", "End"], ids[1])
        # A stored message is acknowledged again, whatever has been declared since.
        await bot.call("bot.commands.set", commands=[named("weather", args=[{"name": "n", "type": "integer"}])])
        assert (await alice.send(group, "/weather Once", client_id="once"))["duplicate"]


async def test_a_scheduled_command(daemon: Daemon) -> None:
    async with scene(daemon, WEATHER) as (alice, bot, group, _):
        at = round(time.time() * 1000) + 300
        await alice.call("message.schedule", conversation=group, client_id=str(uuid4()), text="/weather Later", at=at)
        assert (await bot.event("bot.command"))["args"] == {"city": "Later"}


async def test_a_command_in_a_direct_conversation(daemon: Daemon) -> None:
    async with scene(daemon, named("start", scope="direct")) as (alice, bot, group, _):
        direct = (await alice.call("conversation.open", user=bot.user)).conversation.id
        await alice.send(group, "/start")
        await alice.send(direct, "/START")
        event = await bot.event("bot.command")
        assert (event["conversation"], event["name"], event["args"]) == (direct, "start", {})
