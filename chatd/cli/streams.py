"""The standard streams of all commands. Characters that a terminal cannot encode are escaped. If the reader closes the
output, the command ends silently, as other programs of a shell do.
"""

import errno
import io
import os
import sys

BROKEN_PIPE = 128 + 13
FAILED = 1


class Output(io.TextIOWrapper):
    """Standard output. A failed write ends the command: with exit code 141 (as by SIGPIPE) if the reader has closed it,
    else with 1.
    """

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError as error:
            raise self._end(error) from None

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            raise self._end(error) from None

    def _end(self, error: OSError) -> SystemExit:
        # Discard the buffer: the interpreter would fail to flush it at exit.
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, self.fileno())
        os.close(null)
        if error.errno == errno.EPIPE:
            return SystemExit(BROKEN_PIPE)
        sys.stderr.write(f"chatd: the output cannot be written: {error.strerror}\n")
        return SystemExit(FAILED)


def guard_streams() -> None:
    """Replace standard streams that were closed before the start: writes are dropped, and reads return nothing."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf8")  # noqa: SIM115
    elif isinstance(sys.stdout, io.TextIOWrapper):
        encoding, by_line = sys.stdout.encoding, sys.stdout.line_buffering
        sys.stdout = Output(sys.stdout.detach(), encoding=encoding, errors="backslashreplace", line_buffering=by_line)
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf8")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf8")  # noqa: SIM115


def flush_output() -> None:
    """Flush the output before the interpreter does, which would print a traceback."""
    sys.stdout.flush()
