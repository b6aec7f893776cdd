"""GET /v1/notes/count: a route that is no command."""

from notes.board import SQL, Board
from quart import Response
from quart_trio import QuartTrio

from chatd.app.context import Node
from chatd.http.responses import json_response
from chatd.wire.reference.description import Routes
from chatd.wire.reference.routes import probe

PATH = "/v1/notes/count"
COUNTS = {key: {"type": "integer"} for key in ("notes", "archived", "counted")}
OPENAPI: Routes = {PATH: {"get": probe("note.count", "How many notes there are.", COUNTS)}}


def add_routes(app: QuartTrio, node: Node) -> None:
    @app.get(PATH)
    async def count() -> Response:
        found = await node.db.all(SQL.count)
        return json_response({**dict(found[0]), "counted": node.get(Board).counted})
