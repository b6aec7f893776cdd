"""What is at "/": the addresses of this server, or the page that a subsystem has for browsers."""

from abc import ABC, abstractmethod

from quart import Response
from quart_trio import QuartTrio

from chatd import __version__
from chatd.app.context import Node
from chatd.http.responses import json_response


class RootPage(ABC):
    """What browsers get at "/". Found in `Node.services`."""

    @abstractmethod
    def answer(self) -> Response | None:
        """The response to the current request, or None if it gets the addresses."""


def add_routes(app: QuartTrio, node: Node) -> None:
    """To be called after the routes of subsystems, one of which may have added a page."""
    page = node.services.find(RootPage)
    links = {"socket": node.config.gateway.public_url, "openapi": "/openapi.json", "health": "/health"}

    @app.get("/")
    async def welcome() -> Response:
        answer = (page and page.answer()) or json_response({"chatd": __version__, **links})
        answer.headers["Vary"] = "Accept"
        return answer
