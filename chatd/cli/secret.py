"""chatd secret"""

import typer

from chatd.app.installation import adopt_secret
from chatd.cli.common import AsJson, ConfigFile, load_or_exit, print_json, run_async
from chatd.cli.databases import database
from chatd.cli.printing import out
from chatd.core.config import Config
from chatd.core.secrets import fingerprint

app = typer.Typer(help="Manage the secret of the installation.", no_args_is_help=True)


@app.command()
def adopt(config: ConfigFile = None, json: AsJson = False) -> None:
    """Use this node's secret after the previous one was lost. Existing address bans no longer match.

    [bold]Example[/]

      chatd secret adopt
    """
    loaded = load_or_exit(config).config
    before, now = run_async(carry_out, loaded), fingerprint(loaded.data.secret)
    if json:
        print_json({"before": before, "now": now})
    else:
        out.print(f"fingerprint {now}" + (f", previously {before}" if before else ""))


async def carry_out(config: Config) -> str | None:
    async with database(config) as db:
        return await adopt_secret(db, config.data.secret)
