"""A node is killed while users press buttons: the bot gets each action exactly once, by its id."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import trio
from trio_websocket import ConnectionClosed, HandshakeError

from chatd.app.addresses import Addresses
from chatd.client import sign_up
from chatd.core.config import Config
from tests.actions.bots import button
from tests.bots.world import bots_of
from tests.conftest import Servers
from tests.faults.process import SECRET, linked, process
from tests.support import Daemon

KILLS, PRESSES = int(os.environ.get("CHATD_TEST_KILLS", "2")), 12


async def test_each_press_reaches_the_bot_once(config: Config, servers: Servers, dsn: str, tmp_path: Path) -> None:
    """Some presses are committed, and the node is killed before it has sent the event or the ack. Then the user repeats
    the press, and the bot comes later.
    """
    settings = {
        "CHATD_POSTGRES__DSN": dsn,
        "CHATD_POSTGRES__ALLOW_UNSAFE_DURABILITY": "true",
        "CHATD_REDIS__URL": servers.redis,
        "CHATD_REDIS__PREFIX": f"actions-{os.getpid()}",
        "CHATD_DATA__SECRET": SECRET,
        "CHATD_ACTIONS__PER_MESSAGE_PER_MINUTE": "1000",
        "CHATD_ACTIONS__PER_USER_PER_MINUTE": "1000",
    }
    acks: dict[str, str] = {}
    async with process(tmp_path, **settings) as node:
        bot = await (await bots_of(Daemon(config, Addresses(node.socket, node.http)))).add()
        user = await sign_up(node.http, name="user")
        async with linked(node, user) as link:
            opened = await link.call({"t": "conversation.open", "user": bot.user})
        place = {"conversation": opened["conversation"]["id"]}
        async with linked(node, bot) as link:
            message = {"client_id": "b", "text": "press", "actions": [[button("go")]]}
            sent = await link.call({"t": "message.send", **place, **message})
            place["message"] = sent["message"]

        async def press(link: Any, client_id: str) -> None:
            with suppress(ConnectionClosed, trio.Cancelled):
                ack = await link.call({"t": "message.action", **place, "action": "go", "client_id": client_id})
                acks[client_id] = ack["action"]

        for kill in range(KILLS):
            with suppress(ConnectionClosed, HandshakeError, OSError, BaseExceptionGroup):
                async with linked(node, user) as link, trio.open_nursery() as nursery:
                    for number in range(PRESSES):
                        nursery.start_soon(press, link, f"{kill}-{number}")
                    while len(acks) < kill * PRESSES + 2:
                        await trio.sleep(0.001)
                    await node.kill()
                    nursery.cancel_scope.cancel()
            await node.start()
            before = dict(acks)
            async with linked(node, user) as link:
                for number in range(PRESSES):
                    await press(link, f"{kill}-{number}")
            assert before.items() <= acks.items()
        async with linked(node, bot) as link:
            taken: list[str] = []
            while items := (await link.call({"t": "bot.actions", "limit": 7}))["items"]:
                taken += [item["id"] for item in items]
                await link.call({"t": "bot.ack", "actions": [item["id"] for item in items]})
    assert len(acks) == KILLS * PRESSES
    assert sorted(taken) == sorted(acks.values())
    assert len(set(taken)) == len(taken)
