"""The admin commands, under /admin. Without an admin in the configuration these routes do not exist.

Requests need a token in a header, never a cookie; only POST and JSON are accepted, and no requests from pages of other
sites (OWASP ASVS 5.0, 3.5). Browsers send the origin of a request; a foreign origin is refused before anything else is
read.

DNS rebinding makes the name of a foreign page resolve to this server. For the browser it is then the same site, but it
sends that name as Host. So Host must be an IP address, `localhost`, or a name in the configuration.
"""

from collections.abc import Awaitable, Callable, Collection
from contextlib import AsyncExitStack
from typing import cast

from quart import Response, request
from quart_trio import QuartTrio

from chatd.app.context import Ctx, Node
from chatd.app.dispatch import run_command
from chatd.app.encoding import Answer
from chatd.app.registry import Guard, Registry, Row
from chatd.core.addresses import name_of, parse, parse_networks
from chatd.core.errors import Refused
from chatd.core.identity import AdminScope
from chatd.http.admin_tokens import Admins
from chatd.http.asgi_guard import PEER
from chatd.http.read_turns import ReadTurns
from chatd.http.responses import answer_of, refused_answer
from chatd.http.rest import RequestDecoder, offered_token, request_address
from chatd.wire.admin import AdminCommand
from chatd.wire.base import Command

# Values of Sec-Fetch-Site for requests from pages of this server, or from no page.
OWN_SITE = ("same-origin", "none")
ROOT = "/admin"
View = Callable[[], Awaitable[Response]]


def add_routes(app: QuartTrio, node: Node, registry: Registry, read_turns: ReadTurns) -> None:
    """Add one route per admin command."""
    admins, names = node.get(Admins), own_names(node.config.http.admin_hosts)

    @app.before_request
    async def check_host() -> Response | None:
        """Check the Host header of every path below /admin, existing or not."""
        if (
            not node.config.admins
            or not is_for_admins(request.path)
            or is_own_host(request.headers.get("Host", ""), names)
        ):
            return None
        return refused_answer(
            node, Refused("forbidden", "/admin is not available under this host name; see http.admin_hosts")
        )

    if not node.config.admins:
        return
    for row in registry.commands.values():
        if row.guard is Guard.ADMIN:
            add_route(app, row.http.removeprefix("POST "), row.tag, view_of(row, node, admins, read_turns))


def add_route(app: QuartTrio, path: str, name: str, view: View) -> None:
    app.add_url_rule(path, name, view, methods=["POST"], provide_automatic_options=False)


def view_of(row: Row, node: Node, admins: Admins, read_turns: ReadTurns) -> View:
    read = reader_of(row.command, node, admins)

    async def view() -> Response:
        results: list[Answer] = []
        async with AsyncExitStack() as turn:
            try:
                command, admin, address = await read()
                if not row.uncancellable:
                    await turn.enter_async_context(read_turns.turn(read_turns.owners.of_admin(admin.name, address)))
                read_at = request.scope["state"][PEER].read_at
                ctx = Ctx(node, None, "", address, node.clock(), results.append, admin=admin, began=read_at)
                await run_command(row, ctx, command)
            except Refused as refused:
                return refused_answer(node, refused)
            return answer_of(results[0])

    return view


def reader_of(
    kind: type[Command], node: Node, admins: Admins
) -> Callable[[], Awaitable[tuple[AdminCommand, AdminScope, str]]]:
    """Make the function that reads the current request: command, admin, and client address. It raises Refused."""
    proxies = parse_networks(node.config.gateway.trusted_proxies)
    reader = RequestDecoder(kind, node.config.gateway.max_depth)

    async def read() -> tuple[AdminCommand, AdminScope, str]:
        check_site()
        address = request_address(proxies)
        name = admins.name_of(offered_token(), address)
        command = cast(AdminCommand, await reader.command({}))
        return command, admins.scope_of(name, command.tenant), address

    return read


def is_for_admins(path: str) -> bool:
    return path == ROOT or path.startswith(f"{ROOT}/")


def check_site() -> None:
    """Refuse requests from pages of other sites. Raises Refused: `forbidden` for what a page of another site has sent
    (Fetch Metadata; RFC 6454).
    """
    site, host = request.headers.get("Sec-Fetch-Site", "none"), request.headers.get("Host", "")
    if site not in OWN_SITE or request.headers.get("Origin", f"https://{host}") not in (
        f"https://{host}",
        f"http://{host}",
    ):
        raise Refused("forbidden", "pages of other sites may not send requests to /admin")


def is_own_host(host: str, names: Collection[str]) -> bool:
    """Whether a Host header is an address, or one of these names; with or without a port."""
    name = name_of(host)
    return parse(name) is not None or name.lower().removesuffix(".") in names


def own_names(configured: Collection[str]) -> frozenset[str]:
    """The names of this server in normal form: lower case, without a dot at the end."""
    return frozenset(name.lower().removesuffix(".") for name in ("localhost", *configured))
