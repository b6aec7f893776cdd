"""The content of a received file: its type, its facts, what is stored of it."""

from dataclasses import dataclass

import trio

from chatd.app.context import Node
from chatd.core.errors import Refused
from chatd.core.identity import Principal
from chatd.uploads import file_types
from chatd.uploads.chunks import Chunks
from chatd.uploads.media.protocol import INSPECTED, Facts
from chatd.uploads.media.workers import Examined, MediaWorkers
from chatd.uploads.scanning import Scanner
from chatd.uploads.settings import UploadSettings

# An image may become larger when it is re-encoded, up to this many times the largest file.
MAX_GROWTH = 2


@dataclass(frozen=True, slots=True)
class Content:
    """The content of a file to store."""

    data: Chunks
    facts: Facts
    sha256: bytes
    thumbnail: Chunks | None = None


async def prepared(node: Node, who: Principal, data: Chunks) -> Content:
    """Scan a file, detect its type, re-encode images, and read the facts of sound and video.

    Raises Refused: `bad_request`, `too_large`, `unavailable`.
    """
    await node.get(Scanner).check(data, who)
    return await examined(node.get(MediaWorkers), data, node.config.get(UploadSettings).max_bytes)


async def examined(workers: MediaWorkers, data: Chunks, max_bytes: int) -> Content:
    """The content of a file that was scanned; `max_bytes` of the largest one. Raises Refused as `prepared` does."""
    mime = file_types.sniff(data.first)
    done = await workers.inspect(data, mime) if mime in INSPECTED else Examined(Facts(mime=mime))
    made = data if done.content is None else done.content
    if len(made) > MAX_GROWTH * max_bytes:
        raise Refused("too_large", "the image becomes too large when it is re-encoded")
    return await content_of(made, done)


async def content_of(data: Chunks, done: Examined) -> Content:
    """What is stored of a file: these bytes, and what a process has found in them."""
    return Content(data, done.facts, await trio.to_thread.run_sync(data.sha256), done.thumbnail)
