"""What admins can do, under /admin. Without an admin in the configuration nothing is there.

A token in a header, never a cookie; POST only, JSON only; and no page of another site (OWASP ASVS 5.0, 3.5): browsers say where
a request comes from, and what they say is foreign is refused before anything else is looked at.
"""

from collections.abc import Awaitable, Callable

from quart import Response, request
from quart_trio import QuartTrio

from chatd.domain.addresses import parse_networks
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


def add_routes(app: QuartTrio, node: Node, registry: Registry) -> None:
    """One route per command of admins."""
    admins = Admins(node.config)
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


def check_site() -> None:
    """Raises Refused: `forbidden` for what a page of another site has sent (Fetch Metadata; RFC 6454)."""
    site, host = request.headers.get("Sec-Fetch-Site", "none"), request.headers.get("Host", "")
    if site not in OWN_SITE or request.headers.get("Origin", f"https://{host}") not in (f"https://{host}", f"http://{host}"):
        raise Refused("forbidden", "not from a page of another site")
