"""Runs `media/process.py`: a few processes, started when a file needs one, and killed when a file takes too long."""

import subprocess
from collections.abc import Callable, Sequence
from typing import NamedTuple

import trio
from msgspec import DecodeError, json

from chatd.core import log
from chatd.core.child_processes import end_of, environment
from chatd.core.errors import Refused
from chatd.uploads.chunks import Chunks
from chatd.uploads.media.protocol import Facts, Job, Limits, Outcome, arguments

LOG = log.get(__name__)
MAX_PROCESSES = 2
# Files that one process reads before another takes its place: a decoder may leak memory.
MAX_FILES = 200
# A process without work ends after this time.
IDLE_S = 300.0
# Time for the start of a process, in addition to that for a file.
START_S = 10.0
MAX_LINE_BYTES = 65_536
READ_BYTES = 65_536


class Crashed(Exception):
    """The process ended, or answered nonsense."""


class Examined(NamedTuple):
    """The facts, the new content of an image (None: the file stays as it is), and its thumbnail."""

    facts: Facts
    content: Chunks | None = None
    thumbnail: Chunks | None = None


class MediaProcess:
    """One process. `files`: how many it has read; `idle_since`: in Trio's time."""

    def __init__(self, process: trio.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.files = 0
        self.idle_since = trio.current_time()
        self._process = process
        self._in = process.stdin
        self._out = process.stdout
        self._buffer = bytearray()

    async def inspect(self, data: Chunks, mime: str) -> Examined:
        """Have a file inspected. Raises Refused, Crashed."""
        self.files += 1
        try:
            await self._in.send_all(json.encode(Job(mime, len(data))) + b"\n")
            for chunk in data:
                await self._in.send_all(chunk)
            outcome = json.decode(await self._line(), type=Outcome)
            if outcome.facts is None:
                raise Refused(outcome.code, outcome.message)
            content = None if outcome.content is None else await self._exactly(outcome.content)
            thumbnail = None if outcome.thumbnail is None else await self._exactly(outcome.thumbnail)
        except (trio.BrokenResourceError, trio.ClosedResourceError, DecodeError) as error:
            raise Crashed from error
        self.idle_since = trio.current_time()
        return Examined(outcome.facts, content, thumbnail)

    async def _line(self) -> bytes:
        while (end := self._buffer.find(b"\n")) < 0:
            if len(self._buffer) > MAX_LINE_BYTES:
                raise Crashed
            await self._read()
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line

    async def _exactly(self, size: int) -> Chunks:
        data = Chunks()
        while len(data) < size:
            if not self._buffer:
                await self._read()
            piece = bytes(self._buffer[: size - len(data)])
            del self._buffer[: len(piece)]
            data.append(piece)
        return data

    async def _read(self) -> None:
        part = await self._out.receive_some(READ_BYTES)
        if not part:
            raise Crashed
        self._buffer += part

    async def kill(self) -> str:
        """Kill it, and say how it ended."""
        with trio.CancelScope(shield=True):
            was_running = self._process.poll() is None
            self._process.kill()
            code = await self._process.wait()
            await self._in.aclose()
            await self._out.aclose()
        return "it took too long" if was_running else end_of(code)


class MediaWorkers:
    """The processes of this node. `failures`: how many files a process did not survive."""

    def __init__(
        self,
        limits: Limits,
        *,
        command: Callable[[Limits], Sequence[str]] = arguments,
        idle_s: float = IDLE_S,
        start_s: float = START_S,
    ) -> None:
        self.failures = 0
        self._limits = limits
        self._command = command
        self._idle_s = idle_s
        self._start_s = start_s
        self._turns = trio.CapacityLimiter(MAX_PROCESSES)
        self._idle: list[MediaProcess] = []

    @property
    def processes(self) -> Sequence[MediaProcess]:
        """Those that wait for a file."""
        return self._idle

    async def inspect(self, data: Chunks, mime: str) -> Examined:
        """Have a file inspected. Raises Refused: `bad_request`, `too_large`, `unavailable`."""
        async with self._turns:
            try:
                with trio.fail_after(self._start_s):
                    process = self._idle.pop() if self._idle else await self._start()
            except (OSError, trio.TooSlowError) as error:
                raise Refused("unavailable", "files cannot be examined at the moment", retry_after=5) from error
            is_usable = False
            try:
                with trio.fail_after(self._limits.seconds + (0 if process.files else self._start_s)):
                    done = await process.inspect(data, mime)
                is_usable = True
                return done
            except Refused:
                is_usable = True
                raise
            except (Crashed, trio.TooSlowError):
                self.failures += 1
                cause = await process.kill()
                LOG.warning("a file could not be examined", extra={"mime": mime, "size": len(data), "cause": cause})
                raise Refused("bad_request", "the file cannot be read, or takes too long") from None
            finally:
                if is_usable and process.files < MAX_FILES:
                    self._idle.append(process)
                else:
                    await process.kill()

    async def _start(self) -> MediaProcess:
        process = await trio.lowlevel.open_process(
            list(self._command(self._limits)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # numpy would reserve memory for a thread of each core.
            env={**environment(), "OPENBLAS_NUM_THREADS": "1"},
            # ^C in a terminal is for the parent only.
            start_new_session=True,
        )
        return MediaProcess(process)

    async def end_idle(self, now: float) -> None:
        """End the processes that have had no work for some time."""
        idle = [one for one in self._idle if now - one.idle_since >= self._idle_s]
        self._idle = [one for one in self._idle if one not in idle]
        for one in idle:
            await one.kill()

    async def aclose(self) -> None:
        """End all processes."""
        while self._idle:
            await self._idle.pop().kill()
