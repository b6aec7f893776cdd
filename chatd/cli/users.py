"""chatd users"""

from typing import Annotated, Any, NoReturn

import typer

from chatd.cli.common import (
    FAILED,
    AsJson,
    ConfigFile,
    database,
    err,
    failures,
    load_or_exit,
    out,
    print_json,
    run_async,
)
from chatd.config import Config
from chatd.domain.tokens import USER
from chatd.ids import uuid7
from chatd.node.keys import Keyring, now_ms
from chatd.node.sign_in import ensure_tenants
from chatd.store import queries

SQL = queries.load("users")
TenantOption = Annotated[str, typer.Option("--tenant", help="The tenant.")]
UserId = Annotated[str, typer.Argument(help="The user's id.", metavar="USER")]

app = typer.Typer(help="Add users, look at them, make tokens for them.", no_args_is_help=True)


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="A name for people to see.")],
    tenant: TenantOption = "default",
    config: ConfigFile = None,
    json: AsJson = False,
) -> None:
    """Add a user and print the id.

    [bold]Example[/]

      chatd users add Alice
    """
    user = run_async(add_user, load_or_exit(config).config, tenant, name)
    print_json({"user": user, "tenant": tenant, "name": name}) if json else print(user)


async def add_user(config: Config, tenant: str, name: str) -> str:
    with failures():
        keys = Keyring(config)
    if tenant not in keys.tenants:
        raise_unknown(f"there is no tenant {tenant}; known: {', '.join(keys.tenants)}")
    async with database(config) as db:
        await ensure_tenants(db, keys, now_ms())
        return str(await db.value(SQL.add, tenant, uuid7(now_ms()), name[:100] or None, now_ms()))


@app.command()
def show(user: UserId, tenant: TenantOption = "default", config: ConfigFile = None, json: AsJson = False) -> None:
    """What is known of a user.

    [bold]Example[/]

      chatd users show 01890a5d-ac96-774b-bcce-b302099a8057
    """
    row = run_async(find_user, load_or_exit(config).config, tenant, user)
    if json:
        print_json(row)
    else:
        out.print("\n".join(f"{key:14} {value}" for key, value in row.items()), highlight=False)


async def find_user(config: Config, tenant: str, user: str) -> dict[str, Any]:
    row = None
    if USER.fullmatch(user.lower()):
        async with database(config) as db:
            row = await db.one(SQL.show, tenant, user.lower())
    if row is None:
        raise_unknown(f"there is no user {user} in tenant {tenant}")
    return dict(row)


@app.command()
def token(
    user: UserId,
    tenant: TenantOption = "default",
    ttl: Annotated[int, typer.Option(help="Seconds it is valid.")] = 900,
    config: ConfigFile = None,
) -> None:
    """Print an access token of a user, for trying things with any client.

    [bold]Example[/]

      wscat -s chatd.v1.json -H "Authorization: Bearer $(chatd users token USER)" -c ws://127.0.0.1:8080/v1/ws
    """
    settings = load_or_exit(config).config
    row = run_async(find_user, settings, tenant, user)
    with failures():
        print(Keyring(settings).mint(tenant, row["user"], "", now_ms(), float(ttl))[0])


def raise_unknown(message: str) -> NoReturn:
    err.print(f"[red]chatd:[/] {message}", highlight=False)
    raise typer.Exit(FAILED)
