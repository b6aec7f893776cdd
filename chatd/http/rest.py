"""Every command as REST, from its declaration. A request becomes the same struct as a frame and is dispatched in the
same way.

GET and DELETE have their fields in the query, the others in a JSON body; fields of the path are in neither.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from functools import cache
from typing import Any

import msgspec
from quart import Response, g, request
from quart_trio import QuartTrio
from werkzeug.exceptions import UnsupportedMediaType

from chatd.accounts.authentication import SignIn
from chatd.app.context import Ctx, Node
from chatd.app.dispatch import answer_by, run_command
from chatd.app.encoding import Answer, AnswerWith
from chatd.app.registry import Guard, Registry, Row
from chatd.core.addresses import Network, client_address, parse_networks
from chatd.core.errors import Refused
from chatd.core.identity import Principal
from chatd.db.deadline import limit_statements
from chatd.http.asgi_guard import PEER
from chatd.http.body_flow import BODY_FLOW
from chatd.http.read_turns import ReadTurns
from chatd.http.responses import answer_of, refused_answer
from chatd.http.session_header import named_session, run_elsewhere
from chatd.wire.base import Command
from chatd.wire.codec import Malformed
from chatd.wire.explanations import explain
from chatd.wire.validation import untyped_fields

BODIES = ("POST", "PUT", "PATCH")


def add_routes(app: QuartTrio, node: Node, registry: Registry, read_turns: ReadTurns) -> None:
    """Add one route per user command that is available over REST."""
    for row in registry.commands.values():
        if row.http and row.guard not in (Guard.ADMIN, Guard.SERVER):
            method, path = row.http.split(" ")
            app.add_url_rule(
                path.replace("{", "<").replace("}", ">"), row.tag, view_of(row, node, read_turns), methods=[method]
            )


def view_of(row: Row, node: Node, read_turns: ReadTurns) -> Callable[..., Awaitable[Response]]:
    proxies = parse_networks(node.config.gateway.trusted_proxies)
    reader, elsewhere = RequestDecoder(row.command, node.config.gateway.max_depth), run_elsewhere(row)

    async def view(**path: str) -> Response:
        results: list[Answer] = []
        address = request_address(proxies)
        async with AsyncExitStack() as turn:
            try:
                principal = None if row.guard is Guard.NOTHING else await bearer(node, address)
                if request.method in ("GET", "HEAD"):
                    await turn.enter_async_context(read_turns.turn(read_turns.owners.of(principal, address)))
                ctx = context_of(node, principal, address, results.append)
                command = await reader.command(path)
                ctx.began = request.scope["state"][PEER].read_at
                limit_statements(answer_by(ctx))
                if principal is not None:
                    await node.get(SignIn).check(principal, address, ctx.now)
                is_elsewhere = row.of_session and not ctx.session
                await run_command(elsewhere if is_elsewhere else row, ctx, command)
            except Refused as refused:
                return refused_answer(node, refused)
            return answer_of(results[0])

    return view


def context_of(node: Node, principal: Principal | None, address: str, answer: AnswerWith) -> Ctx:
    """The context of the command in the current request. Raises Refused: `bad_request`."""
    session, remote = named_session(node, principal)
    ctx = Ctx(node, principal, "", address, node.clock(), answer, is_request=True, remote_session=remote)
    if session is not None:
        ctx.session, ctx.renew = session.id, session.renew
    return ctx


def request_address(proxies: tuple[Network, ...]) -> str:
    """The address of the client. Several X-Forwarded-For headers are the same as one long list."""
    forwarded = ",".join(request.headers.getlist("X-Forwarded-For"))
    return client_address(request.remote_addr or "", forwarded, proxies)


async def identify(node: Node, address: str) -> Principal:
    """The user of a valid token that is not revoked. Raises Refused: `unauthenticated`, `banned`, `rate_limited`."""
    who = await bearer(node, address)
    await node.get(SignIn).check(who, address, node.clock())
    return who


async def bearer(node: Node, address: str) -> Principal:
    """The user of the token; also stored as `g.who`. Cookies are never used."""
    who = await node.get(SignIn).principal(address, token=offered_token(), now=node.clock())
    g.who = who
    return who


def offered_token() -> str | None:
    """The bearer token of the request (RFC 6750, section 2.1)."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


class RequestDecoder:
    """Decodes requests into commands of one type."""

    def __init__(self, kind: type[Command], max_depth: int) -> None:
        self._kind = kind
        self._untyped = untyped_fields(kind)
        self._max_depth = max_depth

    async def command(self, path: Mapping[str, str]) -> Command:
        """Decode the current request. Raises Refused: `bad_request`."""
        if request.method in BODIES:
            self._check_query()
            fields = await read_body()
        else:
            fields = self._typed(query())
        for name in ("t", *path):
            if name in fields:
                raise Refused("bad_request", f"$.{name}: the field is already part of the path")
        command = self._command({**fields, **self._typed(path)})
        self._untyped.check(command, self._max_depth, nul=True)
        return command

    def _typed(self, texts: Mapping[str, str]) -> dict[str, Any]:
        """Texts of a URL as values of the types of their fields: `limit=50` is a number."""
        types = field_types(self._kind) if texts else {}
        return {name: typed(name, text, types.get(name, str)) for name, text in texts.items()}

    def _command(self, fields: dict[str, Any]) -> Command:
        try:
            return msgspec.convert(fields, self._kind)
        except msgspec.ValidationError as error:
            raise Refused("bad_request", explain(error, self._kind)) from None

    def _check_query(self) -> None:
        for name in request.args:
            raise Refused("bad_request", f"$.{name[:64]}: fields belong in the body, not in the query")


@cache
def field_types(kind: type[Command]) -> dict[str, Any]:
    """The types of the fields. Not found before they are needed: those of all commands take 10 ms."""
    return {field.encode_name: field.type for field in msgspec.structs.fields(kind)}


def typed(name: str, text: str, kind: Any) -> Any:
    try:
        return msgspec.convert(text, kind, strict=False)
    except msgspec.ValidationError as error:
        raise Refused("bad_request", explain(error, kind).replace("$", f"$.{name}", 1)) from None


def query() -> dict[str, str]:
    """The query, in which each name occurs once. Raises Refused: `bad_request`."""
    fields = request.args.to_dict(flat=False)
    for name, texts in fields.items():
        if len(texts) > 1:
            raise Refused("bad_request", f"$.{name[:64]}: given more than once")
    return {name: texts[0] for name, texts in fields.items()}


async def read_body() -> dict[str, Any]:
    """A JSON object; an empty body is an empty object.

    Only application/json, which a form of another site cannot send.
    """
    request.scope["state"][BODY_FLOW].take_all()
    data = await request.get_data()
    if request.mimetype != "application/json" and (data or request.mimetype):
        raise UnsupportedMediaType
    if not data:
        return {}
    try:
        body = msgspec.json.decode(data)
    except Malformed as error:
        raise Refused("bad_request", explain(error)) from None
    if not isinstance(body, dict):
        raise Refused("bad_request", "$: expected object")
    return body
