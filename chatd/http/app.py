"""The HTTP side, put together: commands, probes, the description of itself, and what errors look like."""

import uuid

from quart import Response, request
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException, MethodNotAllowed, RequestEntityTooLarge

from chatd import __version__, log
from chatd.errors import Refused
from chatd.http import api, health
from chatd.http.answers import HEADERS, answer_of, json_response
from chatd.node.context import Node
from chatd.node.drain import Drain
from chatd.node.registry import Registry
from chatd.wire.messages import error_of
from chatd.wire.openapi import openapi

LOG = log.get(__name__)


def build_app(node: Node, registry: Registry, drain: Drain, socket_url: str) -> QuartTrio:
    """The application that Hypercorn serves."""
    app = QuartTrio("chatd", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = node.config.http.max_body_bytes
    app.config["BODY_TIMEOUT"] = node.config.http.body_timeout
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    api.add_routes(app, node, registry)
    health.add_routes(app, node, drain, socket_url)
    add_pages(app, registry, socket_url)
    add_errors(app)
    add_cors(app, node.config.http.cors_origins)
    return app


def add_pages(app: QuartTrio, registry: Registry, socket_url: str) -> None:
    description = openapi(registry.commands.values(), __version__)
    links = {"socket": socket_url, "openapi": "/openapi.json", "health": "/readyz"}

    @app.get("/openapi.json")
    async def openapi_json() -> Response:
        return json_response(description)

    @app.get("/")
    async def welcome() -> Response:
        return json_response({"chatd": __version__, **links})


def add_errors(app: QuartTrio) -> None:
    """Errors that are not the answer to a command look like those that are."""

    @app.errorhandler(HTTPException)
    async def known(error: HTTPException) -> Response:
        code = "too_large" if isinstance(error, RequestEntityTooLarge) else "not_found" if error.code == 404 else "bad_request"
        body = error_of(Refused(code, error.description or error.name))
        headers = {"Allow": ", ".join(error.valid_methods or ())} if isinstance(error, MethodNotAllowed) else {}
        return json_response(body, error.code or 400, headers)

    @app.errorhandler(Exception)
    async def unknown(error: Exception) -> Response:
        incident = str(uuid.uuid4())
        LOG.error("a request failed", exc_info=error, extra={"incident": incident, "path": request.path})
        return answer_of(error_of(Refused("internal", details={"incident": incident})))


def add_cors(app: QuartTrio, origins: list[str]) -> None:
    """Let pages of these origins call the REST side. There are no cookies, so a token is always needed."""

    def allowed() -> dict[str, str]:
        origin = request.headers.get("Origin", "")
        if "*" not in origins and origin not in origins:
            return {}
        return {"Access-Control-Allow-Origin": "*" if "*" in origins else origin, "Vary": "Origin"}

    @app.before_request
    async def preflight() -> Response | None:
        if request.method != "OPTIONS" or not allowed():
            return None
        grants = {
            "Access-Control-Allow-Methods": "GET, POST, PUT, PATCH, DELETE",
            "Access-Control-Allow-Headers": "Authorization, Content-Type",
            "Access-Control-Max-Age": "600",
        }
        return Response("", status=204, headers={**HEADERS, **allowed(), **grants})

    @app.after_request
    async def mark(response: Response) -> Response:
        response.headers.update(allowed())
        return response
