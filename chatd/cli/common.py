"""What the commands share: the configuration, what people type, and failures that are told instead of thrown.

Exit codes: 0 done, 1 failed or would not start, 2 the command line or the configuration is wrong.
"""

import getpass
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

import trio
import typer
from rich.console import Console
from rich.markup import escape

from chatd.clock import now_ms
from chatd.errors import OperatorError, Refused
from chatd.ids import is_uuid
from chatd.node.audit import Actor
from chatd.settings import ConfigError, Loaded, ensure_secret, load

T = TypeVar("T")
FAILED, WRONG_USE = 1, 2
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
EXPECTED = (OperatorError, Refused, OSError)

out = Console(soft_wrap=True)
err = Console(stderr=True, soft_wrap=True)

ConfigFile = Annotated[
    Path | None, typer.Option("--config", "-c", help="The configuration file; else CHATD_CONFIG, else ./chatd.toml.")
]
TenantOption = Annotated[str, typer.Option("--tenant", help="The tenant.")]
UserId = Annotated[str, typer.Argument(help="The user's id.", metavar="USER")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON, for scripts.")]


def load_or_exit(path: Path | None) -> Loaded:
    """The configuration, with a secret; what is wrong with it goes to standard error."""
    with failures():
        loaded = load(path, os.environ)
        return Loaded(ensure_secret(loaded.config), loaded.sources, loaded.path)


@contextmanager
def failures() -> Iterator[None]:
    """Expected failures become one clear message and an exit code; anything else is a bug, and shows itself."""
    try:
        yield
    except ConfigError as error:
        err.print(f"[red]The configuration is wrong:[/]\n{escape(str(error))}", highlight=False)
        raise typer.Exit(WRONG_USE) from None
    except EXPECTED as error:
        err.print(f"[red]chatd:[/] {escape(str(error))}", highlight=False)
        raise typer.Exit(FAILED) from None


def run_async(work: Callable[..., Awaitable[T]], *args: Any) -> T:
    """Run it in Trio; an expected failure deep in a nursery is told as if it stood alone."""
    with failures():
        try:
            return trio.run(work, *args)
        except BaseExceptionGroup as group:
            raise only_one(group) from None


def only_one(group: BaseException) -> BaseException:
    while isinstance(group, BaseExceptionGroup) and len(group.exceptions) == 1:
        group = group.exceptions[0]
    return group


def print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def seconds_of(text: str) -> int:
    """A time as people write it: 90s, 30m, 12h, 7d."""
    if text[-1:] not in UNITS or not text[:-1].isdigit():
        raise wrong(f"{text} is no time: write 90s, 30m, 12h or 7d")
    return int(text[:-1]) * UNITS[text[-1]]


def end_of(lasts: str | None) -> int | None:
    """When what begins now and lasts so long is over, in milliseconds; None: never."""
    return None if lasts is None else now_ms() + seconds_of(lasts) * 1000


def checked_id(text: str) -> str:
    """An id as somebody has typed it."""
    if not is_uuid(text):
        raise wrong(f"{text} is no id")
    return text


def operator(tenant: str) -> Actor:
    """Whoever gives the command, now, as the audit log says it."""
    return Actor(tenant, getpass.getuser(), now_ms())


def moment(at: int | None) -> str:
    """Milliseconds as people read them."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at / 1000)) if at else "for ever"


def failed(message: str) -> typer.Exit:
    """Say so; raise what comes back."""
    err.print(f"[red]chatd:[/] {escape(message)}", highlight=False)
    return typer.Exit(FAILED)


def wrong(message: str) -> typer.Exit:
    """The same for a command line that cannot be meant."""
    err.print(f"[red]chatd:[/] {escape(message)}", highlight=False)
    return typer.Exit(WRONG_USE)
