"""The HTTP application: commands, probes, the OpenAPI description, and the form of errors."""

import uuid
from collections.abc import Callable, Iterable
from typing import NoReturn

from hypercorn.typing import ASGIFramework
from quart import Response, request
from quart.routing import QuartRule
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.routing import Rule

from chatd import __version__
from chatd.app.context import Node
from chatd.app.registry import Registry
from chatd.app.subsystem import AddRoutes
from chatd.core import log
from chatd.core.errors import Refused
from chatd.http import admin, cors, long_answers, rest, server_commands, welcome
from chatd.http.asgi_guard import AsgiGuard
from chatd.http.read_turns import ReadTurns
from chatd.http.responses import answer_of, json_response, refusal
from chatd.wire.base import error_of
from chatd.wire.reference.openapi import openapi

LOG = log.get(__name__)

# Refusals of HTTP itself: code and text by status. All others are `bad_request`.
KNOWN = {
    404: ("not_found", "no such path; see /openapi.json"),
    405: ("bad_request", "this path does not support this method; see the Allow header"),
    408: ("timeout", "the request body did not arrive in time"),
    413: ("too_large", "the request body is too large"),
    415: ("bad_request", "the body must be application/json"),
}


class Route(QuartRule):
    """A path to match only.

    To build URLs from it, werkzeug would compile two functions for each: 25 ms of the start.
    """

    def _compile_builder(self, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:
        return no_url


def no_url(rule: Rule, **values: object) -> NoReturn:
    raise NotImplementedError(f"no URL is built from {rule.rule}")


def build_app(node: Node, registry: Registry, routes: Iterable[AddRoutes]) -> ASGIFramework:
    """The application for `serve_http`; `routes` add those of the subsystems."""
    app = quart_app(node, registry, routes)
    return AsgiGuard(app, node.config.gateway.public_url, node.config.http.max_body_bytes)


def quart_app(node: Node, registry: Registry, routes: Iterable[AddRoutes]) -> QuartTrio:
    app = QuartTrio("chatd", static_folder=None)
    app.url_rule_class = Route
    app.config["MAX_CONTENT_LENGTH"] = node.config.http.max_body_bytes
    app.config["BODY_TIMEOUT"] = node.config.http.body_timeout
    # `AsgiGuard` refuses paths that are not canonical; a redirect would repeat the Host that was sent.
    app.url_map.merge_slashes = False
    app.url_map.strict_slashes = True
    read_turns = ReadTurns(node.config)
    rest.add_routes(app, node, registry, read_turns)
    admin.add_routes(app, node, registry, read_turns)
    server_commands.add_routes(app, node, registry, read_turns)
    for add in routes:
        add(app, node)
    welcome.add_routes(app, node)
    add_description(app, registry, node.config.http.public_url)
    add_errors(app)
    long_answers.bound(app, node)
    cors.add_headers(app, node.config.http.cors_origins)
    return app


def add_description(app: QuartTrio, registry: Registry, http_url: str) -> None:
    description = openapi(registry.description, __version__, http_url)

    @app.get("/openapi.json")
    async def openapi_json() -> Response:
        return json_response(description)


def add_errors(app: QuartTrio) -> None:
    """Give errors of HTTP itself the form of refused commands."""

    @app.errorhandler(HTTPException)
    async def known(error: HTTPException) -> Response:
        status = error.code or 400
        code, message = KNOWN.get(status, ("bad_request", error.name.lower()))
        methods = error.valid_methods if isinstance(error, MethodNotAllowed) else None
        return refusal(code, message, status, {"Allow": ", ".join(sorted(methods))} if methods else None)

    @app.errorhandler(Exception)
    async def unknown(error: Exception) -> Response:
        incident = str(uuid.uuid4())
        LOG.error("a request failed", exc_info=error, extra={"incident": incident, "path": request.path})
        return answer_of(error_of(Refused("internal", details={"incident": incident})))
