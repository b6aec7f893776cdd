"""A page: what it is called, what it needs, and the request for it."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlencode

from quart import Response, request

from chatd.admin_pages.commands import AdminCommands
from chatd.admin_pages.forms import Action
from chatd.admin_pages.sessions import AdminSessions
from chatd.admin_pages.totp import OneTimeCodes
from chatd.app.context import Node
from chatd.core.identity import ROLES, AdminScope, Role, includes

TENANT = "tenant"


class Render(Protocol):
    """Makes the response of a template."""

    async def __call__(self, template: str, values: Mapping[str, Any], status: int = 200) -> Response: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRequest:
    """A request of a signed-in admin. `tenants`: those that the admin may act in. `site`: all pages. `secret`: of the
    session.
    """

    node: Node
    scope: AdminScope
    tenants: tuple[str, ...]
    address: str
    now: int
    secret: str
    commands: AdminCommands
    sessions: AdminSessions
    codes: OneTimeCodes
    site: "Sequence[Page]"
    actions: Mapping[str, Action]
    make: Render

    @property
    def form_token(self) -> str:
        """The token for the forms of this session."""
        return self.sessions.form_token(self.secret)

    @property
    def navigation(self) -> "list[Page]":
        """The pages that this admin may open."""
        return [page for page in self.site if page.title and self.has_role(page.needs(self.commands))]

    @property
    def path(self) -> str:
        return str(request.path)

    @property
    def section(self) -> str:
        """The list that this page belongs to, which every tenant has."""
        return "/".join(self.path.split("/")[:3]) if request.method == "GET" else "/admin"

    @property
    def here(self) -> str:
        """The address of this page, to which its forms return."""
        return str(request.full_path).rstrip("?") if request.method == "GET" else "/admin"

    @property
    def done(self) -> str:
        """What the last form has done, for the page after it."""
        action = self.actions.get(self.argument("done"))
        return action.done if action else ""

    async def run(self, name: str, /, **fields: Any) -> Any:
        """The result of an admin command; `name` without `admin.`. Raises Refused."""
        return await self.commands.run(self.scope, self.address, name, fields)

    def may(self, name: str) -> bool:
        """Whether the role of the admin allows this command."""
        return name in self.commands.rows and includes(self.scope.role, self.commands.rows[name].role)

    def has_role(self, role: Role) -> bool:
        return includes(self.scope.role, role)

    def link(self, path: str, **query: Any) -> str:
        """The address of a page in the tenant of this request; None leaves a part of the query out."""
        parts = {name: value for name, value in query.items() if value not in (None, "")}
        if self.scope.tenant != self.tenants[0]:
            parts = {TENANT: self.scope.tenant, **parts}
        return f"{path}?{urlencode(parts)}" if parts else path

    def argument(self, name: str, default: str = "") -> str:
        """A part of the query, at most 200 characters."""
        return str(request.args.get(name, default))[:200]

    async def render(self, template: str, status: int = 200, **values: Any) -> Response:
        return await self.make(template, {"page": self, **values}, status)


View = Callable[..., Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Page:
    """A page at `path`, whose parts in `<>` are arguments of the view.

    `reads`: the commands that it runs, without `admin.`. The page needs the highest of their roles, and at least
    `role`. `title`: its name in the navigation; pages without one are not in it. `counts_as_use`: a request for it
    prolongs the session; not for what a page requests by itself.
    """

    path: str
    view: View
    reads: tuple[str, ...] = ()
    title: str = ""
    role: Role = "viewer"
    counts_as_use: bool = True

    def needs(self, commands: AdminCommands) -> Role:
        """The role that the page needs."""
        return highest((self.role, *(commands.rows[name].role for name in self.reads)))


def highest(roles: Iterable[Role]) -> Role:
    return max(roles, key=ROLES.index)
