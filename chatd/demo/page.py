"""The demo page: an app that uses the public JavaScript client only. Its sources are in `web/demo`.

Everything is a file of this server: the page has no inline script or style, so the policy needs no exception, and
markup in a name could not run even if the page did not write names as text.
"""

from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from quart import Response, abort, request
from quart_trio import QuartTrio

from chatd.app.context import Node
from chatd.core.addresses import is_loopback, name_of
from chatd.core.config import Config
from chatd.demo.origins import origin_of
from chatd.demo.settings import DemoSettings, is_served
from chatd.http.welcome import RootPage
from chatd.uploads.settings import UploadSettings

STATIC = Path(__file__).parents[1] / "web" / "static"
# The page, and by their names below /demo/ the files that it loads.
PAGE = "demo/index.html"
FILES = {
    "demo.css": "demo/demo.css",
    "demo.js": "demo/demo.js",
    "icon.svg": "demo/icon.svg",
    "chatd-client.js": "chatd-client.js",
}
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


class StaticFile(NamedTuple):
    data: bytes
    content_type: str
    etag: str


def read(path: str) -> StaticFile:
    data = (STATIC / path).read_bytes()
    return StaticFile(data, TYPES[Path(path).suffix], f'"{sha256(data).hexdigest()[:32]}"')


def policy(config: Config) -> str:
    """The Content-Security-Policy: this server, its WebSocket, and the addresses that signed URLs of files have."""
    socket, files = origin_of(config.gateway.public_url), origin_of(config.http.public_url)
    uploads = config.get(UploadSettings)
    if uploads.s3_presigned:
        files += f" {origin_of(uploads.s3_endpoint)}"
    return (
        f"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: {files}; "
        f"media-src 'self' blob: {files}; connect-src 'self' {socket}; form-action 'none'; base-uri 'none'; "
        "frame-ancestors 'none'"
    )


class DemoPage(RootPage):
    """Answers requests for the page and its files. A browser keeps them, and asks each time whether they have changed.

    Without `http.demo = "on"`, only browsers that have reached this machine under a loopback name get the page: a proxy
    on this machine may make the port public, although no setting says so.
    """

    def __init__(self, config: Config) -> None:
        self._for_all = config.get(DemoSettings).demo == "on"
        self._page = read(PAGE)
        self._files = {name: read(path) for name, path in FILES.items()}
        self._headers = {
            "Cache-Control": "private, no-cache",
            "Content-Security-Policy": policy(config),
            "Cross-Origin-Opener-Policy": "same-origin",
            "Permissions-Policy": "camera=(), geolocation=(), microphone=(self)",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
        }

    def answer(self) -> Response | None:
        is_wanted = "text/html" in request.headers.get("Accept", "")
        return self._sent(self._page) if is_wanted and self._is_shown() else None

    async def file(self, name: str) -> Response:
        file = self._files.get(name)
        if file is None or not self._is_shown():
            abort(404)
        return self._sent(file)

    def _is_shown(self) -> bool:
        return self._for_all or is_loopback(name_of(request.headers.get("Host", "")))

    def _sent(self, file: StaticFile) -> Response:
        headers = {**self._headers, "ETag": file.etag}
        if request.headers.get("If-None-Match") == file.etag:
            return Response("", 304, headers)
        return Response(file.data, 200, headers, content_type=file.content_type)


def add_routes(app: QuartTrio, node: Node) -> None:
    if is_served(node.config):
        page = DemoPage(node.config)
        node.services.add(page, RootPage)
        app.add_url_rule("/demo/<name>", "demo file", page.file)
