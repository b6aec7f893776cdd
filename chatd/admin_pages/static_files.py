"""The styles, scripts and pictures of the pages, read once from the package."""

from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from quart import Response, abort, request

from chatd.admin_pages.http_rules import HEADERS

FOLDER = Path(__file__).parent / "static"
TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}


class StaticFile(NamedTuple):
    data: bytes
    content_type: str
    etag: str


def read_all() -> dict[str, StaticFile]:
    """The files by their path below /admin/static/."""
    found = {}
    for path in FOLDER.rglob("*"):
        if path.suffix in TYPES:
            data = path.read_bytes()
            name = path.relative_to(FOLDER).as_posix()
            found[name] = StaticFile(data, TYPES[path.suffix], f'"{sha256(data).hexdigest()[:32]}"')
    return found


class StaticFiles:
    """Answers requests for the files. A browser keeps one, and asks each time whether it has changed."""

    def __init__(self) -> None:
        self._files = read_all()

    async def view(self, name: str) -> Response:
        file = self._files.get(name)
        if file is None:
            abort(404)
        headers = {**HEADERS, "Cache-Control": "private, no-cache", "ETag": file.etag}
        if request.headers.get("If-None-Match") == file.etag:
            return Response("", 304, headers)
        return Response(file.data, 200, headers, content_type=file.content_type)
