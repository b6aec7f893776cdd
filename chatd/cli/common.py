"""Shared by the commands: loading the configuration, parsing arguments, and reporting expected failures.

Exit codes: 0 success, 1 failure, 2 invalid command line or configuration, 141 the reader closed the output.
"""

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

from chatd.accounts.keys import ensure_token_secret
from chatd.app.audit_log import AuditActor
from chatd.app.checks import account_name
from chatd.cli.printing import complain, err, styled, write_json
from chatd.core.clock import now_ms
from chatd.core.config import Config
from chatd.core.errors import OperatorError, Refused, cause_of
from chatd.core.ids import is_uuid
from chatd.core.settings import ConfigError, Loaded, ensure_installation_secret, load
from chatd.db.postgres import ForeignKeyViolation
from chatd.subsystems import setting_names

T = TypeVar("T")
FAILED, WRONG_USE = 1, 2
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
MAX_DURATION_S = 36_500 * 86_400
EXPECTED = (OperatorError, Refused, OSError)

ConfigFile = Annotated[
    Path | None, typer.Option("--config", "-c", help="Configuration file. Default: CHATD_CONFIG, then ./chatd.toml.")
]
TenantOption = Annotated[str, typer.Option("--tenant", help="The tenant.")]
UserId = Annotated[str, typer.Argument(help="The user's id.", metavar="USER")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
AlwaysJson = Annotated[bool, typer.Option("--json", help="The output is always JSON.", hidden=True)]


def load_or_exit(path: Path | None, *, make: bool | None = None) -> Loaded:
    """Load the configuration and its secrets; exit with a message if it is invalid.

    `make`: see `ensure_secrets`. None: only if the data folder exists, so that a command in the wrong directory creates
    nothing.
    """
    with failures():
        loaded = load(path, os.environ, setting_names())
        make = os.path.isdir(loaded.config.data.dir) if make is None else make
        return replace(loaded, config=ensure_secrets(loaded.config, make=make))


def ensure_secrets(config: Config, *, make: bool = True) -> Config:
    """The secrets that need no configuration; see `ensure_installation_secret`. Raises OperatorError."""
    return ensure_installation_secret(ensure_token_secret(config, make=make), make=make)


@contextmanager
def failures() -> Iterator[None]:
    """Turn an expected failure into one message and an exit code. Any other exception is a bug and propagates."""
    try:
        yield
    except ConfigError as error:
        err.print(styled(("Invalid configuration:", "red"), f"\n{error}"))
        raise typer.Exit(WRONG_USE) from None
    except EXPECTED as error:
        raise exit_failed(f"{error}{cause_of(error)}") from None
    except ForeignKeyViolation as error:
        if not str(error).endswith("_tenant_fkey"):
            raise
        raise exit_failed(
            "this tenant does not exist in the database; `chatd serve` creates the tenants of the configuration"
        ) from None


def run_async(work: Callable[..., Awaitable[T]], *args: Any) -> T:
    """Run an async function in Trio. An expected failure inside a nursery is reported like a single exception."""
    with failures():
        try:
            return trio.run(work, *args)
        except BaseExceptionGroup as group:
            error = only_one(group)
        # Raised outside the handler, so that it keeps its own cause and a bug is shown once.
        raise error


def run_with(config_file: Path | None, work: Callable[..., Awaitable[T]], *args: Any) -> T:
    """Run an async function with the configuration and these arguments, see `load_or_exit` and `run_async`."""
    return run_async(work, load_or_exit(config_file).config, *args)


def only_one(group: BaseException) -> BaseException:
    """The exception of a group of one; of expected failures that happened at the same time, the first."""
    while isinstance(group, BaseExceptionGroup) and (len(group.exceptions) == 1 or is_expected(group)):
        group = group.exceptions[0]
    return group


def is_expected(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(map(is_expected, error.exceptions))
    return isinstance(error, EXPECTED)


def print_json(value: Any) -> None:
    write_json(json.dumps(value, indent=2) + "\n")


def seconds_of(text: str) -> int:
    """Parse a duration such as 90s, 30m, 12h or 7d."""
    if not re.fullmatch("[0-9]{1,10}[smhd]", text):
        raise exit_usage(f"{text or 'an empty string'} is not a duration such as 90s, 30m, 12h or 7d")
    seconds = int(text[:-1]) * UNITS[text[-1]]
    if seconds > MAX_DURATION_S:
        raise exit_usage(f"{text} is too long: the maximum is 36500d")
    return seconds


def end_of(lasts: str | None) -> int | None:
    """The end of a duration that starts now, in milliseconds; None means never."""
    return None if lasts is None else now_ms() + seconds_of(lasts) * 1000


def checked_id(text: str) -> str:
    """Check an id from the command line."""
    if not is_uuid(text):
        raise exit_usage(f"{text} is not a valid id")
    return text


def current_operator(tenant: str) -> AuditActor:
    """The operating system account that runs the command, for the audit log."""
    return AuditActor(tenant, account_name(), now_ms())


def format_time(at: int | None) -> str:
    """Format a time in milliseconds."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at / 1000)) if at else "forever"


def exit_failed(message: str) -> typer.Exit:
    """Print a failure. Returns the exception to raise."""
    complain(message)
    return typer.Exit(FAILED)


def exit_usage(message: str) -> typer.Exit:
    """Print a usage error. Returns the exception to raise."""
    complain(message)
    return typer.Exit(WRONG_USE)
