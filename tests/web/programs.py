"""Programs that use the JavaScript client: Node, and a page in Chromium. A test runs the same code in both."""

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

import playwright.sync_api
import pytest
import trio

from tests.interop.tools import tool
from tests.support import PATIENCE
from tests.web.browser import Browser

ROOT = Path(__file__).parents[2]
STATIC, SOURCES = ROOT / "chatd/web/static", ROOT / "web/client"
BUNDLE = STATIC / "chatd-client.js"
# A page has this origin: a secure one, so that it has the locks and the storage of a real one.
ORIGIN = "http://localhost"
PAGE = """<!doctype html><script type="module">
window.chat = await import("/chatd-client.js");
window.kept = {};
window.platform = {};
window.ready = true;
</script>"""
FILES: dict[str, str | Path] = {"/": PAGE, "/chatd-client.js": BUNDLE}
IN_PAGE = """([code, values]) => {
  const AsyncFunction = (async () => {}).constructor;
  const run = new AsyncFunction("chat", "platform", "kept", ...Object.keys(values), code);
  return run(chat, platform, kept, ...Object.values(values));
}"""


class Program(Protocol):
    """Runs JavaScript. `chat` is the module of the client, `kept` an object that remains; `values` are names in the
    code. The result is JSON.
    """

    async def run(self, code: str, **values: Any) -> Any: ...


def packages() -> Path:
    """The packages that the tests of the client need. In CI, missing ones fail the test."""
    installed = SOURCES / "node_modules"
    if not (installed / "ws").is_dir():
        missing = "the packages of web/client are not installed: make web"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    return installed


class NodeProgram:
    def __init__(self, process: trio.Process) -> None:
        self._process = process
        self._answers: dict[int, Any] = {}
        self._ids = itertools.count(1)
        self._news = trio.Condition()

    async def listen(self) -> None:
        assert self._process.stdout is not None
        data = b""
        async for part in self._process.stdout:
            *lines, data = (data + part).split(b"\n")
            async with self._news:
                for line in lines:
                    answer = json.loads(line)
                    self._answers[answer["id"]] = answer
                self._news.notify_all()

    async def run(self, code: str, **values: Any) -> Any:
        id_ = next(self._ids)
        assert self._process.stdin is not None
        await self._process.stdin.send_all(json.dumps({"id": id_, "code": code, "values": values}).encode() + b"\n")
        with trio.fail_after(6 * PATIENCE):
            async with self._news:
                while id_ not in self._answers and 0 not in self._answers:
                    await self._news.wait()
        answer = self._answers.pop(0, None) or self._answers.pop(id_)
        assert "error" not in answer, answer["error"]
        return answer["result"]


async def node(client: Path = BUNDLE, task_status: trio.TaskStatus[NodeProgram] = trio.TASK_STATUS_IGNORED) -> None:
    """Run a program until this task is cancelled."""
    command = [tool("node", "nodejs"), str(Path(__file__).parent / "driver.mjs"), str(client), str(packages()) + "/"]
    process = await trio.lowlevel.open_process(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=sys.stderr
    )
    try:
        program = NodeProgram(process)
        task_status.started(program)
        await program.listen()
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()


class PageProgram:
    """A page in Chromium. `page` is used in the thread of the browser."""

    def __init__(self, browser: Browser, page: playwright.sync_api.Page) -> None:
        self._browser = browser
        self.page = page

    async def run(self, code: str, **values: Any) -> Any:
        return await self._browser.run(self.page.evaluate, IN_PAGE, [code, values])

    async def do(self, step: Callable[[playwright.sync_api.Page], Any]) -> Any:
        return await self._browser.run(step, self.page)


async def page(
    browser: Browser, beside: PageProgram | None = None, files: Mapping[str, str | Path] = FILES
) -> PageProgram:
    """A page that has loaded the client. `beside`: another tab of the same browser. `files`: what the site has."""

    def answer(route: playwright.sync_api.Route) -> None:
        name = urlsplit(route.request.url).path
        content = files.get(name)
        kind = "text/javascript" if name.endswith(".js") else "text/html"
        text = content.read_text() if isinstance(content, Path) else content
        # A frame without an origin loads modules with CORS.
        headers = {"Access-Control-Allow-Origin": "*"}
        route.fulfill(body=text or "", content_type=kind, status=404 if text is None else 200, headers=headers)

    def opened() -> playwright.sync_api.Page:
        context = beside.page.context if beside else browser.context()
        if not beside:
            context.route(f"{ORIGIN}/**", answer)
        tab = context.new_page()
        tab.goto(f"{ORIGIN}/")
        tab.wait_for_function("window.ready")
        return tab

    return PageProgram(browser, await browser.run(opened))


async def until(program: Program, code: str, holds: Callable[[Any], object] = bool, **values: Any) -> Any:
    """Repeat code until its result satisfies the condition, and return it."""
    found: Any = None
    try:
        with trio.fail_after(3 * PATIENCE):
            while not holds(found := await program.run(code, **values)):
                await trio.sleep(0.03)
    except trio.TooSlowError:
        raise AssertionError(f"{code!r} is still {found!r}") from None
    return found


Make = Callable[[], Awaitable[Program]]
