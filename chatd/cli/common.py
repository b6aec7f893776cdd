"""What the commands share: the configuration, what people type, and failures that are told instead of thrown.

Exit codes: 0 done, 1 failed or would not start, 2 the command line or the configuration is wrong, 141 nobody reads the output.
"""

import getpass
import json
import os
import re
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, TypeVar

import trio
import typer

from chatd.app.audit_log import Actor
from chatd.cli.printing import complain, err, styled, write_json
from chatd.core.clock import now_ms
from chatd.core.errors import OperatorError, Refused
from chatd.core.ids import is_uuid
from chatd.core.settings import ConfigError, Loaded, ensure_secrets, load
from chatd.db.postgres import ForeignKeyViolation

T = TypeVar("T")
FAILED, WRONG_USE = 1, 2
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
LONGEST = 36_500 * 86_400
EXPECTED = (OperatorError, Refused, OSError)

ConfigFile = Annotated[
    Path | None, typer.Option("--config", "-c", help="The configuration file; else CHATD_CONFIG, else ./chatd.toml.")
]
TenantOption = Annotated[str, typer.Option("--tenant", help="The tenant.")]
UserId = Annotated[str, typer.Argument(help="The user's id.", metavar="USER")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON, for scripts.")]
AlwaysJson = Annotated[bool, typer.Option("--json", help="It is always JSON.", hidden=True)]


def load_or_exit(path: Path | None, *, make: bool = True) -> Loaded:
    """The configuration, with a secret; what is wrong with it goes to standard error. `make`: see `ensure_secrets`."""
    with failures():
        loaded = load(path, os.environ)
        return replace(loaded, config=ensure_secrets(loaded.config, make=make))


@contextmanager
def failures() -> Iterator[None]:
    """Expected failures become one clear message and an exit code; anything else is a bug, and shows itself."""
    try:
        yield
    except ConfigError as error:
        err.print(styled(("The configuration is wrong:", "red"), f"\n{error}"))
        raise typer.Exit(WRONG_USE) from None
    except EXPECTED as error:
        raise failed(f"{error}{cause_of(error)}") from None
    except ForeignKeyViolation as error:
        if not str(error).endswith("_tenant_fkey"):
            raise
        raise failed("there is no such tenant in this database; `chatd serve` makes those of the configuration") from None


def cause_of(error: BaseException) -> str:
    """What a server, or the system, has said to a failure, if anything; clients are never told."""
    cause = error.__cause__ if isinstance(error, Refused) else None
    return f" ({str(cause) or type(cause).__name__})" if cause else ""


def run_async(work: Callable[..., Awaitable[T]], *args: Any) -> T:
    """Run it in Trio; an expected failure deep in a nursery is told as if it stood alone."""
    with failures():
        try:
            return trio.run(work, *args)
        except BaseExceptionGroup as group:
            error = only_one(group)
        # Out here, so that it keeps its own cause, and a bug is shown once.
        raise error


def only_one(group: BaseException) -> BaseException:
    while isinstance(group, BaseExceptionGroup) and len(group.exceptions) == 1:
        group = group.exceptions[0]
    return group


def print_json(value: Any) -> None:
    write_json(json.dumps(value, indent=2) + "\n")


def seconds_of(text: str) -> int:
    """A time as people write it: 90s, 30m, 12h, 7d."""
    if not re.fullmatch("[0-9]{1,10}[smhd]", text):
        raise wrong(f"{text or 'nothing'} is no time: write 90s, 30m, 12h or 7d")
    seconds = int(text[:-1]) * UNITS[text[-1]]
    if seconds > LONGEST:
        raise wrong(f"{text} is too long: 36500d at most")
    return seconds


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
    return Actor(tenant, account_name(), now_ms())


def account_name() -> str:
    """Of the account that gives the command. In a container a user id may have no account."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def moment(at: int | None) -> str:
    """Milliseconds as people read them."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at / 1000)) if at else "for ever"


def failed(message: str) -> typer.Exit:
    """Say so; raise what comes back."""
    complain(message)
    return typer.Exit(FAILED)


def wrong(message: str) -> typer.Exit:
    """The same for a command line that cannot be meant."""
    complain(message)
    return typer.Exit(WRONG_USE)
