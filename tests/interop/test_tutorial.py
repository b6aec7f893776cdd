"""The app of docs/tutorial.md works as printed there."""

import json
import re
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import trio
from msgspec.structs import replace

from chatd.accounts.settings import AuthSettings
from chatd.client import connect
from chatd.client.types import MessageNew
from chatd.core.config import Config
from tests.interop.test_browser import chromium
from tests.interop.tools import tool
from tests.support import PATIENCE, running

TEXT = (Path(__file__).parents[2] / "docs" / "tutorial.md").read_text()
# The actions of a user: the page sends one message, and another one when an answer is shown.
USER = """
const say = (text) => { document.querySelector("input").value = text; document.querySelector("form").requestSubmit(); };
socket.addEventListener("open", () => say("hello from the page"));
new MutationObserver(() => {
  const line = document.querySelector("li:last-child").textContent;
  if (line.startsWith("them: ")) say("the page shows " + line);
}).observe(document.querySelector("ul"), { childList: true });
</script>
"""


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)
    assert found is not None
    return found[1]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def backend(folder: Path) -> AsyncIterator[None]:
    process = await trio.lowlevel.open_process([sys.executable, "app.py"], cwd=folder, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.kill()
        await process.wait()


async def session_of(app: str, me: str, other: str) -> dict[str, str]:
    async with httpx.AsyncClient() as http:
        with trio.fail_after(PATIENCE):
            while True:
                try:
                    return dict((await http.get(f"{app}/session", params={"me": me, "with": other})).json())
                except httpx.ConnectError:
                    await trio.sleep(0.05)


def test_the_configuration_of_the_tutorial_is_valid() -> None:
    assert re.search(r'^secret = ".{32,}"$', block("toml"), re.M)
    assert json.dumps("http://localhost:8000") in block("toml")


async def test_the_app_of_the_tutorial_works(config: Config, tmp_path: Path) -> None:
    tool("chromium", "chromium")
    port = free_port()
    app, secret = f"http://localhost:{port}", re.findall(r'secret = "(.*)"', block("toml"))[0]
    allowed = replace(
        config,
        gateway=replace(config.gateway, origins=[app]),
    ).using(AuthSettings(secret=secret))
    async with running(allowed) as daemon:
        page = block("html").replace("ws://127.0.0.1:8080/v1/ws", daemon.addresses.socket).replace("</script>\n", USER)
        (tmp_path / "page.html").write_text(page)
        (tmp_path / "app.py").write_text(block("python").replace("8000", str(port)))
        async with backend(tmp_path):
            session = await session_of(app, "bob", "alice")
            async with connect(daemon.addresses.socket, session["token"]) as bob:
                await bob.call("ping", ts=0)
                texts = []
                async with chromium(f"{app}/?me=alice&with=bob", tmp_path / "profile"):
                    with trio.fail_after(6 * PATIENCE):
                        async for event in bob.events:
                            if isinstance(event, MessageNew):
                                texts.append(event.message.text)
                                if len(texts) == 2:
                                    break
                                await bob.send(event.conversation, "hello from Bob")
    assert texts == ["hello from the page", "the page shows them: hello from Bob"]
