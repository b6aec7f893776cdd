"""What admins can do, under /admin. Without an admin in the configuration nothing is there.

A token in a header, never a cookie; POST only, JSON only; and no page of another site (OWASP ASVS 5.0, 3.5): browsers say where
a request comes from, and what they say is foreign is refused before anything else is looked at.

A page whose own name was made to point at this server (DNS rebinding) is no other site to the browser, but it has to send that
name as Host. So Host has to be an address, `localhost`, or a name of the configuration.
"""

from collections.abc import Awaitable, Callable, Collection

from quart import Response, request
from quart_trio import QuartTrio

from chatd.domain.addresses import name_of, parse, parse_networks
from chatd.errors import Refused
from chatd.http.answers import answer_of, refused_answer
from chatd.http.api import Reader, asker, offered_token
from chatd.node.admins import Admins
from chatd.node.context import Ctx, Node
from chatd.node.dispatch import run_command
from chatd.node.registry import Needs, Registry, Row
from chatd.wire.messages import Result

# What a browser says of a request that comes from our own pages, or from nobody's.
OWN_SITE = ("same-origin", "none")
ROOT = "/admin"


def add_routes(app: QuartTrio, node: Node, registry: Registry) -> None:
    """One route per command of admins."""
    admins, names = Admins(node.config), {"localhost", *(name.lower() for name in node.config.http.admin_hosts)}

    @app.before_request
    async def check_host() -> Response | None:
        """On every path below, there or not."""
        if not node.config.admins or not is_for_admins(request.path) or is_own_host(request.headers.get("Host", ""), names):
            return None
        return refused_answer(node, Refused("forbidden", "not under this host name; see http.admin_hosts"))

    for row in registry.commands.values():
        if row.needs is Needs.ADMIN and node.config.admins:
            method, path = row.http.split(" ")
            view = view_of(row, node, admins)
            app.add_url_rule(path, row.tag, view, methods=[method], provide_automatic_options=False)


def view_of(row: Row, node: Node, admins: Admins) -> Callable[[], Awaitable[Response]]:
    proxies = parse_networks(node.config.gateway.trusted_proxies)
    reader = Reader(row, node.config.gateway.max_depth)

    async def view() -> Response:
        results: list[Result] = []
        address = asker(proxies)
        try:
            check_site()
            name = admins.name_of(offered_token(), address)
            command = await reader.command({})
            admin = admins.authority(name, getattr(command, "tenant"))  # noqa: B009
            await run_command(row, Ctx(node, None, "", address, node.clock(), results.append, admin=admin), command)
        except Refused as refused:
            return refused_answer(node, refused)
        return answer_of(results[0])

    return view


def is_for_admins(path: str) -> bool:
    return path == ROOT or path.startswith(f"{ROOT}/")


def check_site() -> None:
    """Raises Refused: `forbidden` for what a page of another site has sent (Fetch Metadata; RFC 6454)."""
    site, host = request.headers.get("Sec-Fetch-Site", "none"), request.headers.get("Host", "")
    if site not in OWN_SITE or request.headers.get("Origin", f"https://{host}") not in (f"https://{host}", f"http://{host}"):
        raise Refused("forbidden", "not from a page of another site")


def is_own_host(host: str, names: Collection[str]) -> bool:
    """Whether a Host header is an address, or one of these names; with or without a port."""
    name = name_of(host)
    return parse(name) is not None or name.lower().removesuffix(".") in names
