"""chatd index"""

import os
import sys
from pathlib import Path

from msgspec.structs import replace

from chatd.cli.common import ConfigFile, exit_failed, failures
from chatd.core import setting_rules
from chatd.core.config import Config
from chatd.core.settings import load
from chatd.db.embedded.folder_lock import is_locked
from chatd.db.embedded.postgres import Server
from chatd.search.index_process import Start, arguments
from chatd.subsystems import setting_names


def index(config: ConfigFile = None) -> None:
    """Write the search index until SIGTERM or ^C: for `chatd serve` with search.indexer = "off".

    It needs [postgres] only: no Redis, no secrets, no ports. Several may run, on any machine: one of them works, and
    another one takes over when it ends. If Postgres is unavailable, it waits.

    [bold]Examples[/]

      chatd index

      chatd index --config /etc/chatd.toml

      CHATD_POSTGRES__DSN_FILE=/run/secrets/dsn chatd index
    """
    with failures():
        settings = load(config, os.environ, setting_names()).config
    postgres = replace(settings.postgres, dsn=dsn_of(settings))
    replace_process(Start(postgres, settings.log, is_child=False))


def dsn_of(config: Config) -> str:
    """The address of Postgres, also of the embedded one of a running daemon."""
    if config.postgres.dsn:
        try:
            setting_rules.postgres_address(config.postgres.dsn)
        except ValueError as error:
            raise exit_failed(str(error)) from None
        return config.postgres.dsn
    folder = Path(config.data.dir)
    if not (folder.exists() and is_locked(folder)):
        raise exit_failed(
            f"postgres.dsn is not set, and no chatd runs its own Postgres in {folder.absolute()}: set postgres.dsn, or "
            "start `chatd serve`"
        )
    return Server(folder / "postgres", {}).dsn


def replace_process(start: Start) -> None:
    """Become the index process, without the modules and the memory of this one."""
    reading, writing = os.pipe()
    os.write(writing, start.line())
    os.close(writing)
    os.dup2(reading, sys.stdin.fileno())
    os.close(reading)
    os.execv(sys.executable, arguments())  # noqa: S606
