"""chatd migrate"""

from chatd.cli.common import AsJson, ConfigFile, load_or_exit, print_json, run_async
from chatd.cli.databases import database
from chatd.cli.printing import out
from chatd.core.config import Config
from chatd.db import migrations
from chatd.subsystems import schemas_of


def migrate(config: ConfigFile = None, json: AsJson = False) -> None:
    """Apply the pending migrations of the database. `chatd serve` does this as well.

    [bold]Example[/]

      chatd migrate --config /etc/chatd.toml
    """
    applied = run_async(apply, load_or_exit(config, make=True).config)
    if json:
        print_json({"applied": applied})
    else:
        out.print("applied: " + ", ".join(applied) if applied else "up to date: nothing to apply")


async def apply(config: Config) -> list[str]:
    async with database(config, begin=True) as db:
        return [str(script) for script in await migrations.migrate(db, schemas_of())]
