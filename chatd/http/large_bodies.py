"""Paths whose requests may have larger bodies than others."""

from typing import Any, ClassVar, cast

from quart_trio import QuartTrio
from quart_trio.wrappers import TrioRequest


class RoomyRequest(TrioRequest):
    """A request that may have a larger body if it is a POST to one of these paths.

    Quart creates the body before it selects the route, so a view could not set this limit in time.
    """

    most: ClassVar[dict[str, int]] = {}

    def __init__(self, method: str, scheme: str, path: str, *args: Any, **options: Any) -> None:
        if method == "POST" and path in self.most:
            options["max_content_length"] = self.most[path]
        super().__init__(method, scheme, path, *args, **options)


def allow_large_bodies(app: QuartTrio, path: str, most: int) -> None:
    """Allow POST requests to this path to have bodies of `most` bytes."""
    known = getattr(app.request_class, "most", {})
    app.request_class = cast(type[TrioRequest], type("Request", (RoomyRequest,), {"most": {**known, path: most}}))
