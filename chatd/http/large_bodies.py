"""Paths whose requests may have larger bodies than others."""

from typing import Any, ClassVar, NamedTuple, cast

from quart_trio import QuartTrio
from quart_trio.wrappers import TrioRequest


class Allowance(NamedTuple):
    """Requests that may have bodies of `most` bytes. `path` ends with "/" if it stands for all paths below it."""

    method: str
    path: str
    most: int

    def is_for(self, method: str, path: str) -> bool:
        return method == self.method and (path.startswith(self.path) if self.path.endswith("/") else path == self.path)


class RoomyRequest(TrioRequest):
    """A request that may have a larger body.

    Quart creates the body before it selects the route, so a view could not set this limit in time.
    """

    allowances: ClassVar[tuple[Allowance, ...]] = ()

    def __init__(self, method: str, scheme: str, path: str, *args: Any, **options: Any) -> None:
        for one in self.allowances:
            if one.is_for(method, path):
                options["max_content_length"] = one.most
        super().__init__(method, scheme, path, *args, **options)


def allow_large_bodies(app: QuartTrio, method: str, path: str, most: int) -> None:
    """Allow these requests to have bodies of `most` bytes; see `Allowance`."""
    before: tuple[Allowance, ...] = getattr(app.request_class, "allowances", ())
    allowances = (*before, Allowance(method, path, most))
    app.request_class = cast(type[TrioRequest], type("Request", (RoomyRequest,), {"allowances": allowances}))
