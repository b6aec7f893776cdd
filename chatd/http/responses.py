"""HTTP responses for results and refusals."""

import math
from collections.abc import AsyncIterator

import msgspec
from quart import Response
from quart.wrappers.response import DataBody

from chatd.app.command_metrics import CommandMetrics
from chatd.app.context import Node
from chatd.app.encoding import Answer, EncodedResult
from chatd.core.errors import REFUSALS, Refused
from chatd.http.stream import PART_BYTES
from chatd.wire.base import Error, error_of

# Responses contain tokens and messages of one user, which no cache may store and no page may display.
HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}


class SlicedBody(DataBody):
    """A body in memory that is sent in parts, because each layer copies the part that it gets."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(self.begin, self.end, PART_BYTES):
            yield bytes(self.data[start : min(start + PART_BYTES, self.end)])


def answer_of(result: Answer) -> Response:
    """200 and the result, or the status of the refusal."""
    if isinstance(result, EncodedResult):
        response = json_response(None)
        response.response = SlicedBody(result.wrapped(b"", b""))  # type: ignore[arg-type]
        response.content_length = len(result)
        return response
    if not isinstance(result, Error):
        return json_response(result)
    headers = {}
    if isinstance(result.retry_after, float | int):
        headers["Retry-After"] = str(max(1, math.ceil(result.retry_after)))
    if result.code == "unauthenticated":
        headers["WWW-Authenticate"] = "Bearer"
    return json_response(result, REFUSALS[result.code].status, headers)


def refused_answer(node: Node, refused: Refused) -> Response:
    """The response for a request that is not a command, or was refused before it became one. It is counted, as commands
    are.
    """
    node.get(CommandMetrics).refusals[refused.code] += 1
    return answer_of(error_of(refused))


def refusal(code: str, message: str, status: int, headers: dict[str, str] | None = None) -> Response:
    """An error of HTTP itself, in the form of the others; `status` is its own."""
    return json_response(error_of(Refused(code, message)), status, headers)


def json_response(value: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(
        msgspec.json.encode(value),
        status=status,
        headers={**HEADERS, **(headers or {})},
        content_type="application/json",
    )
