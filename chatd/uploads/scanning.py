"""Scans files for malware before anybody can see them, by a clamd (clamd(8), command INSTREAM)."""

import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

import trio

from chatd.core import log
from chatd.core.errors import OperatorError, Refused
from chatd.core.health import Condition
from chatd.core.identity import Principal
from chatd.uploads.chunks import Chunks
from chatd.uploads.settings import UploadSettings

LOG = log.get(__name__)
# Files that are scanned at once; clamd has ten threads unless it is configured otherwise.
MAX_AT_ONCE = 8
MAX_REPLY_BYTES = 4096
UNIX, TCP = "unix:", "tcp:"
# Documented ends of a reply.
CLEAN, FOUND = b"OK", b"FOUND"
Connect = Callable[[], Awaitable[trio.abc.Stream]]


class BadScanner(OperatorError):
    """`uploads.scan` names no address; the text says what is expected."""


class ScanFailed(Exception):
    """The scanner did not say whether the file is clean."""


class Scanner:
    """The scanner of this node. Without an address it accepts every file.

    `found`: how many files were refused. `unscanned`: how many were accepted while the scanner failed.
    """

    def __init__(self, settings: UploadSettings) -> None:
        self.condition = Condition("virus scanner")
        self.found = self.unscanned = 0
        self._connect = address_of(settings.scan)
        self._is_required = settings.scan_required
        self._timeout = settings.scan_timeout
        self._turns = trio.CapacityLimiter(MAX_AT_ONCE)

    @property
    def is_used(self) -> bool:
        return self._connect is not None

    async def check(self, data: Chunks, who: Principal) -> None:
        """Scan a file. Raises Refused: `bad_request` for malware, `unavailable` without an answer."""
        if self._connect is None:
            return
        try:
            with trio.fail_after(self._timeout):
                async with self._turns:
                    reply = await ask(self._connect, data)
        except (OSError, trio.BrokenResourceError, trio.TooSlowError, ScanFailed) as error:
            self.condition.fail(error)
            if self._is_required:
                raise Refused("unavailable", "files cannot be scanned at the moment", retry_after=5) from error
            self.unscanned += 1
            return
        self.condition.recover()
        if reply is not None:
            self.found += 1
            LOG.warning(
                "an upload with malware was refused",
                extra={"tenant": who.tenant, "user": who.user, "malware": log.clean(reply), "size": len(data)},
            )
            raise Refused("bad_request", "the file contains malware")


def address_of(text: str) -> Connect | None:
    """How to connect to the address in `uploads.scan`. Raises BadScanner."""
    if not text:
        return None
    if text.startswith(UNIX) and text.removeprefix(UNIX).startswith("/"):
        return partial(trio.open_unix_socket, text.removeprefix(UNIX))
    host, _, port = text.removeprefix(TCP).rpartition(":")
    if not text.startswith(TCP) or not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 2**16:
        raise BadScanner('uploads.scan: expected "unix:/path/of/socket" or "tcp:host:port"')
    return partial(trio.open_tcp_stream, host.strip("[]"), int(port))


async def ask(connect: Connect, data: Chunks) -> str | None:
    """Have a file scanned. Returns the name of malware in it, or None. Raises ScanFailed, OSError."""
    async with await connect() as stream:
        # A file that is too large for clamd ends the connection, after a reply that says so.
        with suppress(trio.BrokenResourceError):
            await stream.send_all(b"zINSTREAM\0")
            for chunk in data:
                await stream.send_all(struct.pack(">I", len(chunk)) + chunk)
            await stream.send_all(struct.pack(">I", 0))
        return verdict(await reply_of(stream))


async def ping(settings: UploadSettings) -> None:
    """Check that the scanner answers. Raises BadScanner, ScanFailed, OSError, trio.TooSlowError."""
    connect = address_of(settings.scan)
    assert connect is not None
    with trio.fail_after(settings.scan_timeout):
        async with await connect() as stream:
            await stream.send_all(b"zPING\0")
            reply = await reply_of(stream)
    if reply != b"PONG":
        raise ScanFailed(log.clean(reply.decode("utf8", "replace")))


async def reply_of(stream: trio.abc.Stream) -> bytes:
    """A reply ends with NUL, because the command began with `z`."""
    reply = b""
    while b"\0" not in reply:
        part = await stream.receive_some(MAX_REPLY_BYTES)
        reply += part
        if not part or len(reply) > MAX_REPLY_BYTES:
            raise ScanFailed("the scanner ended the connection without a complete answer")
    return reply.partition(b"\0")[0]


def verdict(reply: bytes) -> str | None:
    """The name of the malware in `stream: NAME FOUND`; None for `stream: OK`. Raises ScanFailed."""
    words = reply.removeprefix(b"stream: ")
    if words == CLEAN:
        return None
    if words.endswith(b" " + FOUND):
        return words.removesuffix(b" " + FOUND).decode("utf8", "replace")
    raise ScanFailed(log.clean(reply.decode("utf8", "replace")))
