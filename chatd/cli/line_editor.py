"""A line editor for a terminal. The edited line stays below the lines that are printed.

The terminal is in cbreak mode while the editor runs: it echoes nothing, and still turns Ctrl-C and Ctrl-Z into signals.
While the program is stopped, the terminal is in its original mode. The line takes one row: of a longer text the part
around the cursor is shown.
"""

import codecs
import os
import re
import select
import shutil
import signal
import sys
import termios
import tty
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import trio
from rich.cells import cell_len

from chatd.cli.printing import draw_line, encodable, erase_line, has_rows, say

PROMPT = "> "
READ_BYTES = 4096
MAX_LINE_CHARACTERS = 100_000
# A key: an escape sequence (ECMA-48, section 5.4), or one character. An incomplete sequence is not a key until the rest
# arrives.
SEQUENCE_START = r"\x1b(?:\[[0-?]{0,32}[ -/]{0,8}|O)?\Z"
KEY = re.compile(rf"\x1b\[[0-?]{{0,32}}[ -/]{{0,8}}[@-~]|\x1bO[@-~]|\x1b[^\[O\x1b]|(?!{SEQUENCE_START}).", re.DOTALL)


def without_last_word(text: str) -> str:
    """Remove the last word and the spaces after it."""
    text = text.rstrip()
    return text[: len(text) - len(text.rsplit(maxsplit=1)[-1])] if text else ""


class EndOfInput(Exception):
    """Ctrl-D on an empty line."""


class LineEditor:
    """The text before the cursor and after it. `feed` and `lines` change it, `lifted` prints above it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._modes: list[Any] | None = None
        self._before, self._after = "", ""
        self._decoder = codecs.getincrementaldecoder("utf8")("replace")
        self._unread = ""

    async def lines(self) -> AsyncIterator[str]:
        """Lines until Ctrl-D or the end of the terminal."""
        while True:
            await trio.lowlevel.wait_readable(self._descriptor)
            try:
                data = os.read(self._descriptor, READ_BYTES)
            except OSError:
                # Linux reports this for a terminal whose other side is closed.
                return
            if not data:
                if self._modes is None or is_hung_up(self._descriptor):
                    return
                continue
            entered = list[str]()
            try:
                entered.extend(self.feed(data))
            except EndOfInput:
                return
            for line in entered:
                yield line
            self.draw()

    def feed(self, data: bytes) -> Iterator[str]:
        """Edit by the bytes of the keyboard; yields each line that is entered. Raises EndOfInput."""
        self._unread += self._decoder.decode(data)
        end = 0
        while match := KEY.match(self._unread, end):
            end = match.end()
            key = match[0]
            if key in "\r\n":
                yield self._enter()
            elif key == "\x04":
                self._end_or_delete()
            elif key in KEYS:
                self._before, self._after = KEYS[key](self._before, self._after)
            elif key.isprintable() or key in "\t\u200c\u200d":
                self._insert(key)
        self._unread = self._unread[end:]

    @contextmanager
    def lifted(self) -> Iterator[None]:
        """Erase the line within the block, so that other lines can be printed; draw it again below them."""
        erase_line()
        try:
            yield
        finally:
            self.draw()

    def draw(self) -> None:
        """Draw the prompt and the part of the text that fits, with the cursor."""
        room = max(shutil.get_terminal_size().columns - len(PROMPT) - 1, 1)
        before = fitting(encodable(self._before)[::-1], room)[::-1]
        draw_line(PROMPT + before, fitting(encodable(self._after), room - cell_len(before)))

    def take_terminal(self) -> None:
        """Set cbreak mode and draw. Do nothing in the background, where this would stop the program."""
        if os.tcgetpgrp(self._descriptor) == os.getpgrp():
            self._modes = self._modes or termios.tcgetattr(self._descriptor)
            termios.tcsetattr(self._descriptor, termios.TCSADRAIN, editing_modes(self._modes))
            self.draw()

    def restore_terminal(self) -> None:
        if self._modes is not None:
            termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._modes)
            erase_line()

    async def stop_and_continue(self, task_status: trio.TaskStatus[None]) -> None:
        """Stop with Ctrl-Z and continue in the foreground. Runs until cancelled; started when it gets the signals."""
        with trio.open_signal_receiver(signal.SIGTSTP, signal.SIGCONT) as signals:
            task_status.started()
            async for number in signals:
                if number == signal.SIGTSTP:
                    self.restore_terminal()
                    signal.raise_signal(signal.SIGSTOP)
                else:
                    self.take_terminal()

    def _insert(self, key: str) -> None:
        if len(self._before) + len(self._after) < MAX_LINE_CHARACTERS:
            self._before += key

    def _enter(self) -> str:
        """Leave the entered line on the screen."""
        line, self._before, self._after = self._before + self._after, "", ""
        erase_line()
        say(PROMPT + line)
        return line

    def _end_or_delete(self) -> None:
        if not self._before + self._after:
            raise EndOfInput
        self._after = self._after[1:]


KEYS: dict[str, Callable[[str, str], tuple[str, str]]] = {
    **dict.fromkeys(("\x7f", "\b"), lambda before, after: (before[:-1], after)),
    "\x1b[3~": lambda before, after: (before, after[1:]),
    "\x15": lambda before, after: ("", after),
    "\x0b": lambda before, after: (before, ""),
    "\x17": lambda before, after: (without_last_word(before), after),
    **dict.fromkeys(("\x01", "\x1b[H", "\x1bOH", "\x1b[1~"), lambda before, after: ("", before + after)),
    **dict.fromkeys(("\x05", "\x1b[F", "\x1bOF", "\x1b[4~"), lambda before, after: (before + after, "")),
    **dict.fromkeys(("\x02", "\x1b[D", "\x1bOD"), lambda before, after: (before[:-1], before[-1:] + after)),
    **dict.fromkeys(("\x06", "\x1b[C", "\x1bOC"), lambda before, after: (before + after[:1], after[1:])),
}


def editing_modes(modes: list[Any]) -> list[Any]:
    """Cbreak mode, in which a read never waits: Ctrl-C and Ctrl-Z discard what was typed before them, even after it was
    reported as readable.
    """
    local = modes[tty.LFLAG] & ~(termios.ECHO | termios.ICANON)
    characters = list(modes[tty.CC])
    characters[termios.VMIN] = characters[termios.VTIME] = 0
    return [*modes[: tty.LFLAG], local, *modes[tty.LFLAG + 1 : tty.CC], characters]


def is_hung_up(descriptor: int) -> bool:
    """Whether the terminal is closed. An empty read does not say it."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return any(events & (select.POLLHUP | select.POLLERR | select.POLLNVAL) for _, events in poll.poll(0))


def fitting(text: str, room: int) -> str:
    """The beginning of a text, up to a width in cells."""
    end = 0
    for char in text:
        room -= cell_len(char)
        if room < 0:
            break
        end += 1
    return text[:end]


@contextmanager
def editing() -> Iterator[LineEditor | None]:
    """An editor on standard input, or None if standard input or output is not a terminal.

    Restores the terminal at the end.
    """
    if not sys.stdin.isatty() or not has_rows():
        yield None
        return
    editor = LineEditor(sys.stdin.fileno())
    try:
        editor.take_terminal()
        yield editor
    finally:
        editor.restore_terminal()
