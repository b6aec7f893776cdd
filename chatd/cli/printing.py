"""The output of all commands. Text from users and from other programs is printed as text: it contains no markup and no
control characters.

Rich parses markup in a `str`, and no escaping works for every text (for example a backslash before a bracket). So text
that is not a constant of this program is passed through `styled`, `plain` or `fields`.

All commands print through this module; a test checks it. `out` and `err` print styled text, `say` prints plain lines,
and `write_json` prints JSON.
"""

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

# Without them some scripts, and some emoji, are spelled wrong.
JOINERS = "\u200c\u200d"


def printable(text: str, keep: str = "") -> str:
    """Replace unprintable characters, except those in `keep`. The result is one line."""
    return "".join(
        sign if sign.isprintable() or sign in JOINERS or sign in keep else "?" for sign in text.replace("\t", " ")
    )


class Terminal(Console):
    """A console that replaces control characters in all texts. The styles of Rich are not affected."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text, keep="\n"), segment.style)


out = Terminal(soft_wrap=True)
err = Terminal(stderr=True, soft_wrap=True)


def say(text: str, end: str = "\n") -> None:
    """Print lines without styles and without folding."""
    sys.stdout.write(printable(text, keep="\n") + end)
    sys.stdout.flush()


def encodable(text: str) -> str:
    """One line for standard output, with escapes for characters that its encoding lacks."""
    encoding = sys.stdout.encoding or "utf8"
    return printable(text).encode(encoding, "backslashreplace").decode(encoding)


def has_rows() -> bool:
    """Whether standard output is a terminal on which a row can be redrawn."""
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def erase_line() -> None:
    """Erase the row of the cursor, and move the cursor to its beginning."""
    sys.stdout.write("\r\x1b[K")
    sys.stdout.flush()


def draw_line(before: str, after: str) -> None:
    """Redraw the row of the cursor, with the cursor between the two texts."""
    back = cell_len(encodable(after))
    sys.stdout.write("\r\x1b[K" + encodable(before) + encodable(after) + (f"\x1b[{back}D" if back else ""))
    sys.stdout.flush()


def write_json(text: str) -> None:
    """Print JSON in one or more lines, with escapes for unprintable characters. The values stay the same."""
    sys.stdout.write(
        "".join(sign if sign == "\n" or sign in JOINERS or sign.isprintable() else escape(sign) for sign in text)
    )
    sys.stdout.flush()


def escape(sign: str) -> str:
    """The escape of one character in a string of JSON."""
    return json.dumps(sign)[1:-1] if sign != "\x7f" else "\\u007f"


def plain(text: str) -> Text:
    """One line without a style."""
    return Text(printable(text))


def styled(*parts: str | tuple[str, str]) -> Text:
    """Join parts, each a text, or a text and its style. Line breaks are kept."""
    shown = Text()
    for part in parts:
        text, style = (part, "") if isinstance(part, str) else part
        shown.append(printable(text, keep="\n"), style)
    return shown


def fields(values: Mapping[str, object]) -> Text:
    """One line for each value. Further lines of a value are indented, so that they do not look like another field."""
    rows = ((name, str(value).replace("\n", "\n" + " " * 15)) for name, value in values.items())
    return styled("\n".join(f"{name:14} {value}" for name, value in rows))


def records(rows: Iterable[Iterable[str]]) -> None:
    """Print each record in lines of its own, the further ones indented: ids are long, and are copied."""
    found = ["\n    ".join(printable(text) for text in row) for row in rows]
    out.print(styled("\n".join(found) or "none"))


def complain(message: str, style: str = "red") -> None:
    """Print a message to standard error, in the form of all commands."""
    err.print(styled(("chatd:", style), " ", message))


def warn(message: str) -> None:
    complain(message, "yellow")


def table_of(*columns: str, whole: str) -> Table:
    """A table without borders. In a narrow terminal all columns except `whole` are folded; nothing is cut off."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for column in columns:
        table.add_column(column, no_wrap=column == whole, overflow="fold")
    return table
