"""chatd restored"""

from chatd.cli.common import ConfigFile, run_with
from chatd.cli.databases import database
from chatd.cli.printing import out
from chatd.core.config import Config
from chatd.db import queries

SQL = queries.load("cli/restored")


def restored(config: ConfigFile = None) -> None:
    """Tell clients that the data was restored from a backup, so that they drop what the backup does not contain.

    A restore that creates the tables again is detected without it. Run it when only rows were loaded, for example with
    `pg_restore --data-only`. Otherwise it does no harm: clients sync from the start once more.

    [bold]Example[/]

      PGOPTIONS="-c session_replication_role=replica" pg_restore --data-only --dbname chatd backup.dump && chatd
      restored
    """
    run_with(config, renew)
    out.print(
        "done: running nodes close their sessions; clients drop their local data and sync from the start when they "
        "reconnect"
    )


async def renew(config: Config) -> None:
    async with database(config) as db:
        await db.run(SQL.renew_epoch)
