"""The app of docs/tutorial.md works as printed there."""

import re
import socket
import subprocess
import sys
import tomllib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import trio
from msgspec.structs import replace

from chatd.accounts.settings import AuthSettings
from chatd.cli.web_client import web_client
from chatd.client import connect
from chatd.client.types import MessageNew
from chatd.core.config import Config
from tests.interop.test_browser import chromium
from tests.interop.tools import tool
from tests.support import PATIENCE, running
from tests.web.programs import packages

TEXT = (Path(__file__).parents[2] / "docs" / "tutorial.md").read_text()
ORIGIN = "http://localhost:8000"
# The actions of a user: the page sends one message, and another one when an answer is shown. React has its own setter of
# the value, and handles it in a later turn.
USER = """
const say = (text) => {
  const input = document.querySelector("input");
  Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set.call(input, text);
  input.dispatchEvent(new Event("input", { bubbles: true }));
  setTimeout(() => document.querySelector("form").requestSubmit(), 50);
};
const seen = new Set();
const look = () => {
  if (!seen.has("form") && document.querySelector("form") && (%s)) { seen.add("form"); say("hello from the page"); }
  const line = document.querySelector("li:last-child")?.textContent ?? "";
  if (line.startsWith("them: ") && !seen.has(line)) { seen.add(line); say("the page shows " + line); }
};
new MutationObserver(look).observe(document.body, { childList: true, subtree: true });
look();
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
    settings = tomllib.loads(block("toml"))
    assert len(settings["auth"]["secret"]) >= 32
    assert (settings["gateway"]["origins"], settings["http"]["cors_origins"]) == ([ORIGIN], [ORIGIN])


def plain_page(http: str) -> dict[str, str]:
    """The page without a build step, and a user who waits for the conversation."""
    return {"page.html": at(block("html"), http).replace("</script>\n", f"{USER % 'true'}</script>\n")}


def react_page(http: str) -> dict[str, str]:
    """The app as a build tool makes it."""
    user = USER % 'document.querySelector("p").textContent === "live"'
    return {
        "page.html": '<!doctype html><div id="root"></div><script type="module" src="chatd-client.js"></script>',
        "main.jsx": at(block("jsx"), http) + user,
    }


def at(code: str, http: str) -> str:
    assert "http://127.0.0.1:8081" in code
    return code.replace("http://127.0.0.1:8081", http)


@pytest.mark.parametrize("page_of", [plain_page, react_page])
async def test_the_app_of_the_tutorial_works(
    config: Config, tmp_path: Path, page_of: Callable[[str], dict[str, str]]
) -> None:
    tool("chromium", "chromium")
    port = free_port()
    app, secret = f"http://localhost:{port}", re.findall(r'secret = "(.*)"', block("toml"))[0]
    gateway, http = replace(config.gateway, origins=[app]), replace(config.http, cors_origins=[app])
    allowed = replace(config, gateway=gateway, http=http).using(AuthSettings(secret=secret))
    async with running(allowed) as daemon:
        web_client(tmp_path / "chatd-client")
        for name, text in page_of(daemon.addresses.http).items():
            (tmp_path / name).write_text(text)
        if (tmp_path / "main.jsx").exists():
            bundle(tmp_path)
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


def bundle(folder: Path) -> None:
    """Build main.jsx with the package in the folder, and put the result where the backend serves a script."""
    modules = folder / "node_modules"
    (modules / "@chatd").mkdir(parents=True)
    (folder / "chatd-client").rename(modules / "@chatd/client")
    for name in ("react", "react-dom", "scheduler"):
        (modules / name).symlink_to(packages() / name)
    tools = ["--bundle", "--format=esm", "--jsx=automatic", "--outfile=chatd-client/chatd-client.js"]
    esbuild = [str(packages() / ".bin/esbuild"), "main.jsx", *tools, '--define:process.env.NODE_ENV="production"']
    done = subprocess.run(esbuild, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
