"""The pages over HTTP, as a browser requests them: cookies are kept, forms are filled in and sent."""

import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html.parser import HTMLParser
from urllib.parse import urlencode, urlsplit

import trio
from msgspec.structs import replace

from chatd.admin_pages.door import AdminAddress
from chatd.admin_pages.subsystem import ADMIN_PAGES
from chatd.app.context import Node
from chatd.core.config import Admin, Config
from chatd.subsystems import SUBSYSTEMS
from tests.admins import ANN, administered
from tests.support import PATIENCE, Answer, Daemon, Subsystems, altered, running

MOD, VIEW = "mod-0123456789abcdef0123456789abcdef", "view-0123456789abcdef0123456789abcde"


def with_roles(config: Config) -> Config:
    """An admin of each role: ann (operator), mod, view; and ben of the tenant `acme`."""
    config = administered(config)
    roles = {"mod": Admin(token=MOD, role="moderator"), "view": Admin(token=VIEW, role="viewer")}
    return replace(config, admins={**config.admins, **roles})


class Form:
    """A form of a page. `fields`: what a browser would send, without buttons. `buttons`: their names and values."""

    def __init__(self, action: str, method: str) -> None:
        self.action, self.method = action, method
        self.fields: dict[str, str] = {}
        self.buttons: list[tuple[str, str]] = []


class Forms(HTMLParser):
    """Finds the forms of a page, and its visible text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.text: list[str] = []
        self.links: list[str] = []
        self._select = self._area = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attributes}
        if tag == "form":
            self.forms.append(Form(values.get("action", ""), values.get("method", "get")))
        elif tag == "a":
            self.links.append(values.get("href", ""))
        if not self.forms:
            return
        fields = self.forms[-1].fields
        if tag == "input" and (values.get("type") != "checkbox" or "checked" in values):
            fields[values["name"]] = values.get("value", "")
        elif tag == "button" and "name" in values:
            self.forms[-1].buttons.append((values["name"], values["value"]))
        elif tag == "select":
            self._select = values["name"]
        elif tag == "option" and (self._select not in fields or "selected" in values):
            fields[self._select] = values.get("value", "")
        elif tag == "textarea":
            self._area = values["name"]
            fields[self._area] = ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            self._area = ""
        elif tag == "select":
            self._select = ""

    def handle_data(self, data: str) -> None:
        self.text.append(data)
        if self._area:
            self.forms[-1].fields[self._area] += data


@dataclasses.dataclass
class Shown:
    """A response of the pages."""

    path: str
    answer: Answer

    @property
    def status(self) -> int:
        return self.answer.status

    @property
    def html(self) -> str:
        return self.answer.body.decode() if isinstance(self.answer.body, bytes) else str(self.answer.body)

    @property
    def text(self) -> str:
        return " ".join(" ".join(Forms(self.html).text).split())

    @property
    def links(self) -> list[str]:
        return Forms(self.html).links

    @property
    def forms(self) -> list[Form]:
        return Forms(self.html).forms

    def form(self, action: str) -> Form:
        """The form that is sent to this path."""
        found = [form for form in self.forms if form.action == action]
        assert found, f"{self.path} ({self.status}) has no form for {action}: {self.text[:300]}"
        return found[0]


class Browsing:
    """A browser of one admin, which follows redirects."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.host, self.port = str(parts.hostname), int(parts.port or 0)
        self.cookies: dict[str, str] = {}
        self.set_cookies: list[str] = []

    async def request(self, method: str, path: str, form: dict[str, str] | None = None, **headers: str) -> Shown:
        """One request, without redirects."""
        data = b"" if form is None else urlencode(form).encode()
        fields = {"Host": f"localhost:{self.port}", "Connection": "close"}
        if form is not None:
            fields |= {
                "Content-Type": "application/x-www-form-urlencoded",
                "Content-Length": str(len(data)),
                "Origin": f"http://localhost:{self.port}",
                "Sec-Fetch-Site": "same-origin",
            }
        if self.cookies:
            fields["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        fields |= {name.replace("_", "-"): value for name, value in headers.items()}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value)
        with trio.fail_after(PATIENCE):
            async with await trio.open_tcp_stream(self.host, self.port) as stream:
                await stream.send_all(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + data)
                received = b""
                while part := await stream.receive_some():
                    received += part
        self._keep_cookies(received.partition(b"\r\n\r\n")[0].decode())
        return Shown(path, Answer.read(received))

    def _keep_cookies(self, head: str) -> None:
        self.set_cookies = [line[12:] for line in head.split("\r\n") if line.lower().startswith("set-cookie: ")]
        for line in self.set_cookies:
            name, _, value = line.partition(";")[0].partition("=")
            if value:
                self.cookies[name] = value
            else:
                self.cookies.pop(name, None)

    async def get(self, path: str, **headers: str) -> Shown:
        return await self.followed(await self.request("GET", path, **headers))

    async def followed(self, shown: Shown) -> Shown:
        for _ in range(5):
            if shown.status != 303:
                return shown
            shown = await self.request("GET", shown.answer.headers["location"])
        raise AssertionError("too many redirects")

    async def send(self, page: Shown, action: str, /, **fields: str) -> Shown:
        """Fill in a form of a page, and send it. An empty text leaves a field out."""
        filled = page.form(action).fields | fields
        return await self.followed(await self.request("POST", action, filled))

    async def sign_in(self, token: str = ANN, code: str = "", page: Shown | None = None) -> Shown:
        page = page or await self.get("/admin/sign-in")
        return await self.send(page, "/admin/sign-in", token=token, code=code)


@dataclasses.dataclass
class Site:
    """A daemon with its pages."""

    daemon: Daemon
    node: Node
    url: str

    def browser(self) -> Browsing:
        return Browsing(self.url)

    async def signed_in(self, token: str = ANN) -> Browsing:
        browser = self.browser()
        shown = await browser.sign_in(token)
        assert shown.status == 200, shown.text
        return browser


@asynccontextmanager
async def open_site(config: Config, among: Subsystems = SUBSYSTEMS) -> AsyncIterator[tuple[Daemon, Node]]:
    """A daemon and its node."""
    nodes: list[Node] = []

    @asynccontextmanager
    async def open_and_note(node: Node) -> AsyncIterator[None]:
        async with ADMIN_PAGES.open(node):
            nodes.append(node)
            yield

    changed = dataclasses.replace(ADMIN_PAGES, open=open_and_note)
    async with running(config, altered(changed, among=among)) as daemon:
        yield daemon, nodes[0]


@asynccontextmanager
async def serving(config: Config, among: Subsystems = SUBSYSTEMS) -> AsyncIterator[Site]:
    """A daemon with the pages for admins."""
    async with open_site(config, among) as (daemon, node):
        yield Site(daemon, node, str(node.get(AdminAddress)))
