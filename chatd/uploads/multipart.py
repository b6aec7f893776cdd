"""Reads one file from a multipart/form-data body (RFC 7578) as a stream, with limits.

Quart's own parser uses the limits of the whole application, and stores every part in a file. Its byte limit counts the
bytes that wait, not those that were received, so this module counts them. Werkzeug's decoder parses small pieces, and
refuses a body if what it must buffer (headers of a part, bytes before the first part and after the last) becomes large.
"""

from collections.abc import AsyncIterable, Callable
from typing import NamedTuple

from quart import request
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.sansio.multipart import Data, Epilogue, Event, Field, File, MultipartDecoder, NeedData

from chatd.core.errors import Refused
from chatd.http.body_flow import BODY_FLOW, BodyFlow
from chatd.uploads.chunks import Chunks

FIELDS = ("file", "image")
# Bytes that the form may contain besides the file.
MAX_FORM_OVERHEAD_BYTES = 65_536
CHUNK_BYTES = 16_384
MAX_BUFFERED_BYTES = 2 * CHUNK_BYTES
# One file; a second part is read so that the error can name it.
MAX_PARTS = 2
MAX_BOUNDARY_LENGTH = 70


class Received(NamedTuple):
    """A received file; its name is a claim of the client."""

    data: Chunks
    name: str | None


async def read_file(most: int, hold: Callable[[int], None]) -> Received:
    """The file of this request; `hold` is called with the number of bytes to keep. Raises Refused, and
    RequestEntityTooLarge.
    """
    if request.mimetype != "multipart/form-data":
        raise Refused("bad_request", "the body must be multipart/form-data, with a field `file`")
    form = Form(boundary_of(request.mimetype_params), most)
    async for piece in pieces(request.body):
        hold(len(piece))
        form.feed(piece)
    return form.end()


def boundary_of(options: dict[str, str]) -> bytes:
    boundary = options.get("boundary", "")
    if not 0 < len(boundary) <= MAX_BOUNDARY_LENGTH or not boundary.isascii():
        raise Refused("bad_request", "the form has no boundary")
    return boundary.encode("ascii")


async def pieces(body: AsyncIterable[bytes]) -> AsyncIterable[bytes]:
    """The body in parts. As much as they contain may be received in addition."""
    flow: BodyFlow = request.scope["state"][BODY_FLOW]
    async for data in body:
        flow.take(len(data))
        for start in range(0, len(data), CHUNK_BYTES):
            yield data[start : start + CHUNK_BYTES]


class Form:
    """Collects the one file of the form."""

    def __init__(self, boundary: bytes, most: int) -> None:
        self._decoder = MultipartDecoder(boundary, MAX_BUFFERED_BYTES, max_parts=MAX_PARTS)
        self._most = most
        self._received_bytes = 0
        self._part: Field | File | None = None
        self._data = Chunks()
        self._done = False

    def feed(self, piece: bytes) -> None:
        self._received_bytes += len(piece)
        if self._received_bytes > self._most + MAX_FORM_OVERHEAD_BYTES:
            raise RequestEntityTooLarge
        self._decode(piece)

    def end(self) -> Received:
        """Return the received file. Raises Refused if the file is missing or incomplete."""
        self._decode(None)
        if self._part is None or not self._done:
            raise Refused("bad_request", "$.file: the file is missing or incomplete")
        name = self._part.filename if isinstance(self._part, File) else None
        return Received(self._data, name)

    def _decode(self, piece: bytes | None) -> None:
        try:
            self._decoder.receive_data(piece)
            event = self._decoder.next_event()
            while not isinstance(event, NeedData | Epilogue):
                self._take(event)
                event = self._decoder.next_event()
        # Also for names that are not UTF-8.
        except ValueError:
            raise Refused("bad_request", "the form is malformed or truncated") from None

    def _take(self, event: Event) -> None:
        if isinstance(event, Field | File):
            if event.name not in FIELDS:
                raise Refused("bad_request", f"$.{str(event.name)[:64]}: expected only the field `file`")
            if self._part is not None:
                raise Refused("bad_request", "$.file: expected only one file")
            self._part = event
        elif isinstance(event, Data):
            self._data.append(event.data)
            self._done = not event.more_data
            if len(self._data) > self._most:
                raise RequestEntityTooLarge
