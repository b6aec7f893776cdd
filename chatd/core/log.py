"""Structured logging on the standard library: one line per record, as JSON or text.

External text cannot break a line or control a terminal: JSON escapes it, and the text format quotes it. Everything that
looks like a credential is masked, at any position and of any length, even if its end was cut off. The pattern takes
linear time: at each position where a credential may begin, it matches or fails within 20 characters.
"""

import json
import logging
import math
import re
import sys
import time
from typing import Any

MAX_CHARS = 2000
SECRETS = re.compile(
    r"(eyJ[\w-]{5,}(?:\.[\w-]*){0,2}|\beyJ[\w.-]*"
    r"|(?<=[?&]token=)[^&\s\"']+|(?<=[?&]ticket=)[^&\s\"']+"
    r"|(?<=[Bb]earer[ .])[\w.~+/=-]+"
    r"|c[irt]_[\w-]{20,}|\bc[irt]_[\w-]+)"
)
PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}


# Without it the standard library writes warnings to standard error also where no log was set up, as in commands.
logging.getLogger("chatd").addHandler(logging.NullHandler())


def get(name: str) -> logging.Logger:
    """The logger of a module. Context goes into `extra`."""
    return logging.getLogger(name)


def clean(text: str) -> str:
    """Mask credentials, and shorten the text to a line."""
    text = SECRETS.sub("[secret]", text)
    return text if len(text) <= MAX_CHARS else text[:MAX_CHARS] + "[cut]"


def fields(record: logging.LogRecord) -> dict[str, Any]:
    """The fields in `extra`. Finite numbers and booleans keep their type."""
    return {key: plain(value) for key, value in vars(record).items() if key not in PLAIN}


def plain(value: Any) -> Any:
    is_number = isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))
    return value if value is None or is_number else clean(str(value))


def trace(record: logging.LogRecord) -> str:
    if not record.exc_info:
        return ""
    text = SECRETS.sub("[secret]", logging.Formatter().formatException(record.exc_info))
    return text[-8 * MAX_CHARS :]


class JsonLines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, Any] = {
            "time": f"{stamp}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": clean(record.getMessage()),
            **fields(record),
        }
        if record.exc_info:
            line["trace"] = trace(record)
        return json.dumps(line, ensure_ascii=True)


class TextLines(logging.Formatter):
    """The text format: time, level, message, and the fields. Control characters are escaped."""

    def format(self, record: logging.LogRecord) -> str:
        stamp = time.strftime("%H:%M:%S", time.localtime(record.created))
        rest = "".join(f" {key}={printable(str(value))}" for key, value in fields(record).items())
        line = f"{stamp} {record.levelname.lower():7} {printable(clean(record.getMessage()))}{rest}"
        return f"{line}\n{trace(record)}" if record.exc_info else line


def printable(text: str) -> str:
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def setup(level: str, form: str) -> None:
    """Log to standard error. `form` is json, text, or auto: text on a terminal."""
    handler = logging.StreamHandler(sys.stderr)
    as_text = form == "text" or (form == "auto" and sys.stderr.isatty())
    handler.setFormatter(TextLines() if as_text else JsonLines())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for chatty in ("trio-websocket", "hypercorn", "asyncio", "httpx", "httpcore"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
