"""chatd admins"""

from typing import Annotated, Any

import typer

from chatd.accounts.token_rules import DEFAULT_TENANT
from chatd.admin_pages.totp import OneTimeCodes
from chatd.app import audit_log
from chatd.cli.common import AsJson, ConfigFile, current_operator, exit_failed, load_or_exit, print_json, run_async
from chatd.cli.databases import database
from chatd.cli.printing import out, plain, say, table_of
from chatd.core.config import Config

app = typer.Typer(help="List the admins, and reset their one-time codes.", no_args_is_help=True)
AdminName = Annotated[str, typer.Argument(help="The admin's name in the configuration.", metavar="NAME")]


@app.command("list")
def list_admins(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """List the admins of the configuration: role, tenants, and whether they have set up one-time codes."""
    rows = run_async(find_admins, load_or_exit(config).config)
    if as_json:
        print_json(rows)
        return
    table = table_of("admin", "role", "tenants", "one-time codes", whole="admin")
    for row in rows:
        table.add_row(*map(plain, (row["admin"], row["role"], ", ".join(row["tenants"]) or "all", yes(row["codes"]))))
    out.print(table)


def yes(value: bool) -> str:
    return "yes" if value else "no"


async def find_admins(config: Config) -> list[dict[str, Any]]:
    async with database(config) as db:
        codes = OneTimeCodes(config, db)
        return [
            {"admin": name, "role": admin.role, "tenants": admin.tenants, "codes": await codes.is_set_up(name)}
            for name, admin in sorted(config.admins.items())
        ]


@app.command("reset-codes")
def reset_codes(name: AdminName, config: ConfigFile = None) -> None:
    """Remove the one-time codes of an admin who has lost the app: the token alone opens the admin pages again.

    [bold]Example[/]

      chatd admins reset-codes ann
    """
    if not run_async(remove_codes, load_or_exit(config).config, name):
        raise exit_failed(f"{name} has no one-time codes")
    say("The codes are removed.")


async def remove_codes(config: Config, name: str) -> bool:
    async with database(config) as db:
        removed = await OneTimeCodes(config, db).remove(name)
        if removed:
            await audit_log.write(db, current_operator(DEFAULT_TENANT), "admin.totp.reset", name)
    return removed
