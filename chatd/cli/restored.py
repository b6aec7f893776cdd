"""chatd restored"""

from chatd.cli.common import ConfigFile, load_or_exit, run_async
from chatd.cli.databases import database
from chatd.cli.printing import out
from chatd.core.config import Config
from chatd.db import queries

SQL = queries.load("cli/restored")


def restored(config: ConfigFile = None) -> None:
    """Say that the data was restored from a backup, so that clients drop what the backup does not have.

    A restore that makes the tables again is recognised without it. It is needed when only rows were loaded, such as by
    `pg_restore --data-only`, or by a tool of your own. It does no harm otherwise: clients sync from the start once more.

    [bold]Example[/]

      PGOPTIONS="-c session_replication_role=replica" pg_restore --data-only --dbname chatd backup.dump && chatd restored
    """
    run_async(renew, load_or_exit(config).config)
    out.print("done: clients that come back drop what they have, and sync from the start; nodes that run close their sessions")


async def renew(config: Config) -> None:
    async with database(config) as db:
        await db.run(SQL.renew_epoch)
