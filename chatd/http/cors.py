"""CORS: access for pages of other origins (the Fetch standard, section 3.2).

There are no cookies, so a page always needs a token of its own.
"""

from quart import Response, request
from quart_trio import QuartTrio

from chatd.core import log
from chatd.core.health import Sparse
from chatd.http.admin import is_for_admins
from chatd.http.responses import HEADERS
from chatd.http.server_commands import is_for_servers

LOG = log.get(__name__)
# Characters of an origin in the log.
MAX_LOGGED = 200
GRANTS = {
    "Access-Control-Allow-Methods": "GET, POST, PUT, PATCH, DELETE",
    "Access-Control-Allow-Headers": "Authorization, Chatd-Session, Content-Type, Last-Event-ID, Range, Tus-Resumable, "
    "Upload-Checksum, Upload-Length, Upload-Metadata, Upload-Offset",
    "Access-Control-Max-Age": "600",
}
EXPOSED = (
    "Retry-After, Chatd-Position, Content-Disposition, Content-Range, ETag, Location, Tus-Resumable, Upload-Expires, "
    "Upload-Length, Upload-Metadata, Upload-Offset"
)


def is_foreign(origin: str, host: str) -> bool:
    """Whether a page of this origin is not from this server, as far as its Host header tells."""
    return origin not in (f"https://{host}", f"http://{host}")


def log_foreign_origins(app: QuartTrio, origins: list[str]) -> None:
    """Name the setting, because a browser shows the refusal to nobody else."""
    refused = Sparse(LOG, "origin")

    @app.before_request
    async def log_origin() -> None:
        origin = request.headers.get("Origin")
        if origin is None or origin in origins or "*" in origins or is_for_admins(request.path):
            return
        if is_foreign(origin, request.headers.get("Host", "")):
            refused.log("a page of this origin may not use the REST API; see http.cors_origins", origin[:MAX_LOGGED])


def add_headers(app: QuartTrio, origins: list[str]) -> None:
    """Allow pages of these origins to call the REST API; "*" allows all. Routes of admins and backends are never
    allowed.
    """
    log_foreign_origins(app, origins)
    if not origins:
        return

    def allowed() -> dict[str, str]:
        origin = request.headers.get("Origin", "")
        if is_for_admins(request.path) or is_for_servers(request.path):
            return {}
        if "*" in origins:
            return {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": EXPOSED}
        if origin not in origins:
            return {"Vary": "Origin"}
        return {"Access-Control-Allow-Origin": origin, "Access-Control-Expose-Headers": EXPOSED, "Vary": "Origin"}

    @app.before_request
    async def preflight() -> Response | None:
        if "Access-Control-Request-Method" not in request.headers or "Access-Control-Allow-Origin" not in allowed():
            return None
        return Response("", status=204, headers={**HEADERS, **GRANTS}) if request.method == "OPTIONS" else None

    @app.after_request
    async def mark(response: Response) -> Response:
        response.headers.update(allowed())
        return response
