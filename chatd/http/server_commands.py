"""The server commands, under /v1/server. Their service token is in a header, and no page of a browser gets an answer:
CORS does not apply to these routes.
"""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from quart import Response, request
from quart_trio import QuartTrio

from chatd.accounts.service_tokens import ServiceTokens
from chatd.app.context import Ctx, Node
from chatd.app.dispatch import answer_by, check_scope, run_command
from chatd.app.encoding import Answer
from chatd.app.registry import Guard, Registry, Row
from chatd.core.addresses import parse_networks
from chatd.core.errors import Refused
from chatd.core.identity import ServiceIdentity
from chatd.db.deadline import limit_statements
from chatd.http.asgi_guard import PEER
from chatd.http.read_turns import ReadTurns
from chatd.http.responses import answer_of, refused_answer
from chatd.http.rest import RequestDecoder, offered_token, request_address
from chatd.wire.server import ROOT


def add_routes(app: QuartTrio, node: Node, registry: Registry, read_turns: ReadTurns) -> None:
    """Add one route per server command."""
    for row in registry.commands.values():
        if row.guard is Guard.SERVER:
            method, path = row.http.split(" ")
            app.add_url_rule(
                path.replace("{", "<").replace("}", ">"), row.tag, view_of(row, node, read_turns), methods=[method]
            )


def is_for_servers(path: str) -> bool:
    return path.startswith(f"{ROOT}/")


def view_of(row: Row, node: Node, read_turns: ReadTurns) -> Callable[..., Awaitable[Response]]:
    proxies = parse_networks(node.config.gateway.trusted_proxies)
    reader = RequestDecoder(row.command, node.config.gateway.max_depth)

    async def view(**path: str) -> Response:
        results: list[Answer] = []
        address = request_address(proxies)
        async with AsyncExitStack() as turn:
            try:
                service = await identify_service(node, address)
                if row.scope == "read":
                    owner = read_turns.owners.of_service(service.token, address)
                    await turn.enter_async_context(read_turns.turn(owner))
                ctx = Ctx(node, None, "", address, node.clock(), results.append, service=service)
                check_scope(ctx, row.scope)
                command = await reader.command(path)
                ctx.began = request.scope["state"][PEER].read_at
                limit_statements(answer_by(ctx))
                await run_command(row, ctx, command)
            except Refused as refused:
                return refused_answer(node, refused)
            return answer_of(results[0])

    return view


async def identify_service(node: Node, address: str) -> ServiceIdentity:
    """The service of the token of the request. Raises Refused: `unauthenticated`, `rate_limited`."""
    return await node.get(ServiceTokens).identify(offered_token(), address, node.clock())
