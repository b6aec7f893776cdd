"""`chatd.client.Bot`: the bot of docs/bots.md as written there, restarts, and handlers that fail."""

import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

import pytest
import trio

from chatd.client import Bot, Invocation, Press
from chatd.client.bot import arguments_of
from chatd.core.config import Config
from tests.bots.world import Bots, bots_of, group_of
from tests.support import Daemon, Person, poll_until, restarted, running, shared

daemon = shared
DOCUMENT = (Path(__file__).parents[2] / "docs" / "bots.md").read_text(encoding="utf8")
PROGRAM = next(re.finditer(r"```python\n(.*?)```", DOCUMENT, re.DOTALL))[1]


@asynccontextmanager
async def serving(bot: Bot) -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bot.run)
        yield
        nursery.cancel_scope.cancel()


async def offered(alice: Person, conversation: str) -> list[str]:
    return [one["name"] for one in (await alice.call("bot.commands", conversation=conversation))["items"]]


async def said(alice: Person, conversation: str) -> list[str]:
    items = (await alice.call("message.history", conversation=conversation))["items"]
    return [one["text"] for one in items if "system" not in one and one["sender"] != alice.user]


async def test_the_bot_of_the_document(daemon: Daemon, tmp_path: Path) -> None:
    assert len(PROGRAM.splitlines()) <= 30
    bots = await bots_of(daemon)
    account = await bots.add()
    path = tmp_path / "weather.py"
    path.write_text(PROGRAM)
    environment = {
        "BOT_TOKEN": account.access_token,
        "CHATD_URL": daemon.addresses.socket,
        "PYTHONPATH": ":".join(sys.path),
    }
    async with daemon.person("Alice") as alice, trio.open_nursery() as nursery:
        direct = (await alice.call("conversation.open", user=account.user)).conversation.id
        await alice.send(direct, "help")
        run = partial(trio.run_process, [sys.executable, path], cwd=tmp_path, env=environment, check=False)
        process = await nursery.start(run)
        await poll_until(lambda: offered(alice, direct), lambda names: names == ["weather"], patience=60)
        await alice.send(direct, "/weather Porto")
        await alice.send(direct, "/weather Faro days=3")
        found = await poll_until(lambda: said(alice, direct), lambda texts: len(texts) == 2, patience=60)
        assert found == ["It rains in Porto for 1 days.", "It rains in Faro for 3 days."]
        await poll_until(lambda: trio.to_thread.run_sync((tmp_path / "weather.json").exists), patience=60)
        process.kill()


def counting(url: str, token: str, seen: list[str], position: Path | None = None) -> Bot:
    bot = Bot(url, token, position=position)

    @bot.command("echo", "says it again")
    async def echo(call: Invocation, text: str, loud: bool = False, unit: Literal["km", "mi"] = "km") -> str | None:
        seen.append(call.message.id)
        if text == "fail":
            raise ValueError(text)
        if text == "refused":
            await call.client.call("match.find")
        return f"{text.upper() if loud else text} {unit}"

    @bot.message
    async def other(call: Invocation) -> None:
        seen.append(call.text)

    return bot


async def test_handlers_that_fail_and_messages_of_others(daemon: Daemon) -> None:
    bots = await bots_of(daemon)
    account, seen = await bots.add(), list[str]()
    async with daemon.person() as alice, serving(counting(daemon.addresses.socket, account.access_token, seen)):
        group = (await alice.call("conversation.create", members=[account.user])).conversation.id
        await poll_until(lambda: offered(alice, group), lambda names: names == ["echo"])
        for text in ("/echo fail", "/echo refused", "not for the bot", "/echo hi loud=yes unit=mi"):
            await alice.send(group, text)
        assert await poll_until(lambda: said(alice, group), bool) == ["HI mi"]
        await alice.send(group, "for the bot", mentions=[account.user])
        await poll_until(lambda: returned(seen), lambda found: found[-1] == "for the bot")
        assert len(seen) == 4
        reply = (await alice.call("message.history", conversation=group))["items"][-2]
        assert (reply["client_id"], reply["quote"]["text"]) == (f"re-{seen[2]}", "/echo hi loud=yes unit=mi")


async def test_pressed_buttons(daemon: Daemon) -> None:
    """An answer is shown to the user, and each action is taken once, also if its handler fails or is missing."""
    bots, seen = await bots_of(daemon), list[str]()
    account = await bots.add()
    bot = Bot(daemon.addresses.socket, account.access_token)

    @bot.action("book")
    async def book(press: Press) -> str | None:
        seen.append(press.value)
        if press.value == "fail":
            raise ValueError(press.value)
        return f"Booked {press.value}." if press.value else None

    @bot.message
    async def offer(call: Invocation) -> None:
        names = ("book:fail", "book", "unknown", "book:table:2")
        await call.reply("?", actions=[[{"label": name, "data": name} for name in names]])

    async with daemon.person() as alice, serving(bot):
        direct = (await alice.call("conversation.open", user=account.user)).conversation.id
        await alice.send(direct, "menu")
        await poll_until(lambda: said(alice, direct), lambda texts: texts == ["?"])
        message = (await alice.call("message.history", conversation=direct))["items"][-1]["id"]
        place = {"conversation": direct, "message": message}
        for data in ("book:fail", "book", "unknown", "book:table:2"):
            pressed = await alice.call("message.action", **place, action=data, client_id=data)
        answer = await alice.event("action.answer")
        assert (answer["action"], answer["text"]) == (pressed["action"], "Booked table:2.")
        assert seen == ["fail", "", "table:2"]
        async with daemon.connected(account) as other:
            assert (await other.call("bot.actions"))["items"] == []


async def returned(values: list[str]) -> list[str]:
    return values


async def test_a_restart_of_the_server_and_of_the_bot(config: Config, tmp_path: Path) -> None:
    """Each command is answered once, also those that were sent while the bot did not run."""
    seen, position = list[str](), tmp_path / "position.json"
    async with running(config) as daemon:
        bots = await bots_of(daemon)
        account = await bots.add()
        async with daemon.person() as alice:
            group = await group_of(alice)
            await alice.call("member.add", conversation=group, users=[account.user])
            async with serving(counting(daemon.addresses.socket, account.access_token, seen, position)):
                await poll_until(lambda: offered(alice, group), lambda names: names == ["echo"])
                await alice.send(group, "/echo one")
                await poll_until(lambda: said(alice, group), lambda texts: texts == ["one km"])
                await poll_until(
                    lambda: returned([position.read_text() if position.exists() else ""]), lambda text: text[0]
                )
            await alice.send(group, "/echo two")
            user = alice.account
    async with (
        running(restarted(config)) as daemon,
        daemon.connected(user) as alice,
        serving(counting(daemon.addresses.socket, account.access_token, seen, position)),
    ):
        await poll_until(lambda: said(alice, group), lambda texts: texts[-1] == "two km", patience=30)
        await alice.send(group, "/echo three")
        found = await poll_until(lambda: said(alice, group), lambda texts: texts[-1] == "three km", patience=30)
    assert found == ["one km", "two km", "three km"]


def test_types_that_no_argument_can_have() -> None:
    async def handler(call: Any, when: dict[str, str]) -> None:
        """A handler with an argument that is no text, number or flag."""

    with pytest.raises(TypeError, match="when: expected str"):
        arguments_of(handler)


async def test_a_token_that_is_refused(daemon: Daemon) -> None:
    bots = Bots(daemon, (await bots_of(daemon)).backend)
    account = await bots.add(handle=f"x{uuid4().hex[:10]}")
    await bots.backend.done("DELETE", f"/bots/{account.user}/token")
    with pytest.raises(Exception, match=r"unauthenticated|Exceptions from Trio nursery|bot token"):
        await Bot(daemon.addresses.socket, account.access_token).run()
