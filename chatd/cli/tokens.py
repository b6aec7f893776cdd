"""chatd tokens"""

from typing import Annotated, Any

import typer

from chatd.accounts import service_tokens
from chatd.accounts.authentication import ensure_tenants
from chatd.accounts.keys import Keyring
from chatd.accounts.service_tokens import NewToken
from chatd.accounts.token_rules import TENANT
from chatd.cli.common import (
    AsJson,
    ConfigFile,
    TenantOption,
    current_operator,
    end_of,
    exit_failed,
    exit_usage,
    failures,
    format_time,
    print_json,
    run_with,
    seconds_of,
)
from chatd.cli.databases import database
from chatd.cli.printing import records, say
from chatd.core.clock import now_ms
from chatd.core.config import Config
from chatd.core.ids import is_uuid
from chatd.db.postgres import Postgres
from chatd.wire.server import SCOPES

app = typer.Typer(
    help="Add, list, revoke and rotate service tokens, with which the backend of an app uses the server API.",
    no_args_is_help=True,
)
Token = Annotated[str, typer.Argument(help="The token's name or id.", metavar="TOKEN")]


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="Name of the token: a-z, 0-9, - and _.")],
    scope: Annotated[list[str], typer.Option(help=f"A scope, or several: {', '.join(SCOPES)}.")],
    expires: Annotated[str | None, typer.Option(help="Lifetime such as 90d. Default: it does not expire.")] = None,
    tenant: TenantOption = "default",
    config: ConfigFile = None,
    json: AsJson = False,
) -> None:
    """Add a service token and print it. It is shown this once.

    [bold]Example[/]

      chatd tokens add shop --scope users:write --scope messages:write --expires 365d
    """
    if TENANT.fullmatch(name) is None:
        raise exit_usage(f"{name or 'an empty string'} is not a name: expected 1 to 63 of a-z, 0-9, - and _")
    scopes = [each for one in scope for each in one.split(",")]
    if unknown := [one for one in scopes if one not in SCOPES]:
        raise exit_usage(f"unknown scope {', '.join(unknown)}; expected some of {', '.join(SCOPES)}")
    until = end_of(expires)
    show(run_with(config, add_token, tenant, name, scopes, until), json)


def show(token: NewToken, as_json: bool) -> None:
    print_json({"token": token.id, "secret": token.secret}) if as_json else say(token.secret)


async def add_token(config: Config, tenant: str, name: str, scopes: list[str], until: int | None) -> NewToken:
    with failures():
        keys = Keyring(config)
    if tenant not in keys.tenants:
        raise exit_failed(f"tenant {tenant} does not exist; configured: {', '.join(keys.tenants)}")
    async with database(config) as db:
        await ensure_tenants(db, keys, now_ms())
        return await db.in_transaction(service_tokens.add, current_operator(tenant), name, scopes, until)


@app.command("list")
def list_tokens(tenant: TenantOption = "default", config: ConfigFile = None, json: AsJson = False) -> None:
    """List the service tokens, newest first, without their secrets."""
    rows = run_with(config, find_tokens, tenant)
    if json:
        print_json(rows)
        return
    records(map(lines_of, rows))


def lines_of(row: dict[str, Any]) -> tuple[str, ...]:
    used = format_time(row["last_used_at"]) if row["last_used_at"] else "never"
    state = (
        f"revoked {format_time(row['revoked_at'])}" if row["revoked_at"] else f"until {format_time(row['expires_at'])}"
    )
    return (
        f"{row['name']}  {row['id']}",
        f"{', '.join(row['scopes'])}",
        f"by {row['actor']} {format_time(row['created_at'])}, {state}, last used {used}",
    )


async def find_tokens(config: Config, tenant: str) -> list[dict[str, Any]]:
    async with database(config) as db:
        return await service_tokens.listed(db, tenant)


@app.command()
def revoke(token: Token, tenant: TenantOption = "default", config: ConfigFile = None) -> None:
    """Revoke a service token, at once and on all nodes."""
    run_with(config, revoke_token, tenant, token)


async def revoke_token(config: Config, tenant: str, token: str) -> None:
    async with database(config) as db:
        id_ = await id_of(db, tenant, token)
        await db.in_transaction(service_tokens.revoke, current_operator(tenant), id_)


@app.command()
def rotate(
    token: Token,
    overlap: Annotated[str, typer.Option(help="How long the present secret remains valid, at most 30d.")] = "1d",
    tenant: TenantOption = "default",
    config: ConfigFile = None,
    json: AsJson = False,
) -> None:
    """Give a service token a new secret and print it. The present secret remains valid for a while.

    [bold]Example[/]

      chatd tokens rotate shop --overlap 1h
    """
    seconds = seconds_of(overlap)
    if seconds > service_tokens.MAX_OVERLAP_S:
        raise exit_usage(f"{overlap} is too long: the maximum is 30d")
    show(run_with(config, rotate_token, tenant, token, seconds), json)


async def rotate_token(config: Config, tenant: str, token: str, overlap_s: int) -> NewToken:
    async with database(config) as db:
        id_ = await id_of(db, tenant, token)
        return await db.in_transaction(service_tokens.rotate, current_operator(tenant), id_, overlap_s)


async def id_of(db: Postgres, tenant: str, token: str) -> str:
    """The id of a token, by its name or id."""
    if is_uuid(token.lower()):
        return token.lower()
    found = await service_tokens.find(db, tenant, token, now_ms())
    if found is None:
        raise exit_failed(f"tenant {tenant} has no valid token {token}")
    return found
