"""The receivers of docs/webhooks.md, in Node and in Python, verify what chatd sends, with the libraries of others."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from bench.packages import NODE, NotInstalled
from chatd.core.config import Config
from tests.admins import done
from tests.interop.tools import tool
from tests.support import PATIENCE, Daemon, poll_until
from tests.webhooks.receiver import Receiver, deliveries, sending

PAGE = (Path(__file__).parents[2] / "docs/webhooks.md").read_text()


def source_of(name: str) -> str:
    """The code of a receiver in the document."""
    found = re.search(rf"<!-- receiver: {name} -->\n\n```\w+\n(.*?)```\n", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


def command_of(name: str, folder: Path) -> tuple[list[str], dict[str, str]]:
    """The command of a receiver, and what its environment needs. In CI, a missing package fails the test."""
    file = folder / {"node": "receiver.js", "python": "receiver.py"}[name]
    file.write_text(source_of(name))
    if name == "python":
        return [sys.executable, str(file)], {}
    node = tool("node", "nodejs")
    try:
        NODE.interpreter()
    except NotInstalled as error:
        missing = f"standardwebhooks for Node is not installed: {error}"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    return [node, str(file)], {"NODE_PATH": str(NODE.folder)}


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@asynccontextmanager
async def receiver(command: list[str], environment: dict[str, str]) -> AsyncIterator[trio.Process]:
    """A running receiver."""
    process = await trio.lowlevel.open_process(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=os.environ | environment
    )
    try:
        yield process
    finally:
        process.kill()
        await process.wait()


async def output(process: trio.Process, until: str, shown: str = "") -> str:
    """The output until it contains a text."""
    assert process.stdout is not None
    with trio.fail_after(3 * PATIENCE):
        while until not in shown:
            part = await process.stdout.receive_some()
            assert part, shown
            shown += part.decode()
    return shown


async def states(daemon: Daemon, endpoint: str) -> set[str]:
    return {item["state"] for item in await deliveries(daemon, Receiver(None, endpoint))}


@pytest.mark.parametrize("name", ["node", "python"])
async def test_the_receiver_of_the_document_verifies_events(name: str, config: Config, tmp_path: Path) -> None:
    """Also after a rotation, with the old secret and with the new one; with a wrong one it accepts nothing."""
    command, environment = command_of(name, tmp_path)
    port = free_port()
    async with sending(config) as daemon, daemon.pair() as (alice, _, conversation):
        url = f"http://127.0.0.1:{port}/chat"
        added = await done(daemon, "webhook.add", url=url, types=["message.created"])
        rotated = await done(daemon, "webhook.rotate", endpoint=added["id"])
        for secret in (added["secret"], rotated["secret"]):
            async with receiver(command, {**environment, "PORT": str(port), "WEBHOOK_SECRET": secret}) as process:
                shown = await output(process, "listening")
                await alice.send(conversation, "gr\u00fc\u00dfe \U0001f44b")
                shown = await output(process, "message.created", shown)
                shown = await output(process, "\n", shown.partition("message.created")[2])
                assert conversation in shown
                await poll_until(lambda: states(daemon, added["id"]), lambda found: found == {"delivered"})
        wrong = {**environment, "PORT": str(port), "WEBHOOK_SECRET": "whsec_" + "A" * 43 + "="}
        async with receiver(command, wrong) as process:
            await output(process, "listening")
            await alice.send(conversation, "forged")
            endpoint = Receiver(None, added["id"])
            found = await poll_until(
                lambda: deliveries(daemon, endpoint, state="pending"), lambda rows: rows and rows[0]["attempts"]
            )
            assert found[0]["error"] == "HTTP 400"
