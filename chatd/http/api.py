"""Every command as REST, from its declaration. A request becomes the same struct and takes the same road as a frame."""

from collections.abc import Mapping
from typing import Any

import msgspec
import trio
from quart import Request, Response, request
from quart_trio import QuartTrio
from werkzeug.exceptions import RequestEntityTooLarge

from chatd.domain.addresses import client_address, parse_networks
from chatd.domain.identity import Principal
from chatd.errors import Refused
from chatd.http.answers import answer_of
from chatd.node.context import Ctx, Node
from chatd.node.dispatch import run_command
from chatd.node.registry import Needs, Registry, Row
from chatd.wire.codec import check_free_form
from chatd.wire.messages import Command, Result, error_of

BODIES = ("POST", "PUT", "PATCH")


def add_routes(app: QuartTrio, node: Node, registry: Registry) -> None:
    """One route per command that has a place in REST."""
    proxies = parse_networks(node.config.gateway.trusted_proxies)

    def address() -> str:
        peer = request.remote_addr or ""
        return client_address(peer, request.headers.get("X-Forwarded-For", ""), proxies)

    for row in registry.commands.values():
        if row.http:
            method, path = row.http.split(" ")
            view = view_of(row, node, address)
            app.add_url_rule(path.replace("{", "<").replace("}", ">"), row.tag, view, methods=[method])


def view_of(row: Row, node: Node, address: Any) -> Any:
    async def view(**path: str) -> Response:
        results: list[Result] = []
        try:
            principal = await sign_in(row, node, address())
            command = await command_of(row, node, path)
            ctx = Ctx(node, principal, "", address(), node.clock(), results.append)
            await run_command(row, ctx, command)
        except Refused as refused:
            results = [error_of(refused)]
        return answer_of(results[0])

    return view


async def sign_in(row: Row, node: Node, address: str) -> Principal | None:
    """Who asks; None where nobody has to be anybody."""
    if row.needs is Needs.NOTHING:
        return None
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    bearer = token.strip() if scheme.lower() == "bearer" else None
    now = node.clock()
    principal = await node.sign_in.principal(address, token=bearer, now=now)
    await node.sign_in.check(principal, now)
    return principal


async def command_of(row: Row, node: Node, path: Mapping[str, str]) -> Command:
    """The command that a request stands for. Raises Refused: `bad_request`, `too_large`, `timeout`."""
    has_body = request.method in BODIES
    fields = await read_body(request, node.config.http.body_timeout) if has_body else dict(request.args)
    doubled = fields.keys() & (path.keys() | {"t"})
    if doubled:
        raise Refused("bad_request", f"$: {sorted(doubled)[0]} is in the path already")
    try:
        command = msgspec.convert({**fields, **path}, row.command, strict=has_body)
    except msgspec.ValidationError as error:
        raise Refused("bad_request", str(error)[:300]) from None
    check_free_form(command, node.config.gateway.max_depth)
    return command


async def read_body(asked: Request, timeout: float) -> dict[str, Any]:
    """A JSON object; an empty body is an empty one. Only application/json: what a form can send is not taken."""
    try:
        with trio.fail_after(timeout):
            data = await asked.get_data()
    except trio.TooSlowError:
        raise Refused("timeout", "the body took too long") from None
    except RequestEntityTooLarge:
        raise Refused("too_large", "the body is too large") from None
    if not data:
        return {}
    if asked.mimetype != "application/json":
        raise Refused("bad_request", "the body must be application/json")
    try:
        body = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Refused("bad_request", "the body is not JSON") from None
    if not isinstance(body, dict):
        raise Refused("bad_request", "$: expected object")
    return body
