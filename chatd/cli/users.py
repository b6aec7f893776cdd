"""chatd users"""

from contextlib import suppress
from typing import Annotated, Any

import typer

from chatd.accounts.authentication import ensure_tenants
from chatd.accounts.external_ids import external_id_of, user_id_of
from chatd.accounts.keys import Keyring
from chatd.app import audit_log
from chatd.app.audit_log import AuditActor
from chatd.app.checks import account_name
from chatd.cli import logins, strikes
from chatd.cli.cluster import close_sessions
from chatd.cli.common import (
    MAX_DURATION_S,
    AlwaysJson,
    AsJson,
    ConfigFile,
    TenantOption,
    UserId,
    current_operator,
    exit_failed,
    exit_usage,
    failures,
    load_or_exit,
    print_json,
    run_async,
    run_with,
)
from chatd.cli.databases import database
from chatd.cli.printing import fields, out, say, write_json
from chatd.core.clock import now_ms
from chatd.core.config import Config
from chatd.core.ids import is_uuid, uuid7
from chatd.db import queries
from chatd.db.postgres import Tx
from chatd.privacy import erasure, export
from chatd.subsystems import all_personal_data

SQL = queries.load("cli/users")

app = typer.Typer(
    help="Add, show, export and erase users; create access tokens; logins, strikes and shadow bans.",
    no_args_is_help=True,
)
app.command("logins")(logins.list_logins)
app.command()(logins.end_login)
app.command()(strikes.strike)
app.command("strikes")(strikes.list_strikes)
app.command()(strikes.shadow)
app.command()(strikes.unshadow)


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="Display name.")],
    tenant: TenantOption = "default",
    external_id: Annotated[
        str | None, typer.Option(help="The user's id in your own backend: `sub` of its tokens.", metavar="ID")
    ] = None,
    config: ConfigFile = None,
    json: AsJson = False,
) -> None:
    """Add a user and print the id.

    [bold]Examples[/]

      chatd users add Alice

      chatd users add Alice --external-id "auth0|5f7c8ec7c33c6c004bbafe82"
    """
    user = run_with(config, add_user, tenant, name, external_id)
    print_json({"user": user, "tenant": tenant, "name": name}) if json else say(user)


async def add_user(config: Config, tenant: str, name: str, external_id: str | None = None) -> str:
    with failures():
        keys = Keyring(config)
    if tenant not in keys.tenants:
        raise exit_failed(f"tenant {tenant} does not exist; configured: {', '.join(keys.tenants)}")
    try:
        user = uuid7(now_ms()) if external_id is None else user_id_of(tenant, external_id)
    except ValueError as error:
        raise exit_usage(f"The external id {error}.") from None
    kept = None if external_id is None else external_id_of(external_id)
    async with database(config) as db:
        await ensure_tenants(db, keys, now_ms())
        added = await db.in_transaction(insert_user, current_operator(tenant), user, name, kept)
    if not added:
        raise exit_failed(f"user {user} exists already in tenant {tenant}")
    return user


async def insert_user(tx: Tx, actor: AuditActor, user: str, name: str, external_id: str | None) -> bool:
    """Returns False if the user exists."""
    added = await tx.value(SQL.add, actor.tenant, user, name[:100] or None, actor.now, external_id)
    if added is not None:
        await audit_log.write(tx, actor, "user.add", user)
    return added is not None


@app.command()
def show(user: UserId, tenant: TenantOption = "default", config: ConfigFile = None, json: AsJson = False) -> None:
    """Show a user, named by id or external id.

    [bold]Example[/]

      chatd users show 01890a5d-ac96-774b-bcce-b302099a8057
    """
    row = run_with(config, find_user, tenant, user)
    if json:
        print_json(row)
    else:
        out.print(fields(row))


async def find_user(config: Config, tenant: str, user: str) -> dict[str, Any]:
    """The user with this id or external id."""
    row = None
    with suppress(ValueError):
        id_ = user_id_of(tenant, user)
        async with database(config) as db:
            row = await db.one(SQL.show, tenant, id_)
    if row is None:
        raise exit_failed(f"user {user} does not exist in tenant {tenant}")
    return dict(row)


@app.command()
def token(
    user: UserId,
    tenant: TenantOption = "default",
    ttl: Annotated[int, typer.Option(help="Lifetime in seconds.", min=1, max=MAX_DURATION_S)] = 900,
    config: ConfigFile = None,
) -> None:
    """Print an access token for a user, for tests with any client.

    [bold]Example[/]

      wscat -s chatd.v1.json -H "Authorization: Bearer $(chatd users token USER)" -c ws://127.0.0.1:8080/v1/ws
    """
    settings = load_or_exit(config).config
    row = run_async(find_user, settings, tenant, user)
    with failures():
        minted = Keyring(settings).mint(tenant, row["user"], "", now_ms(), float(ttl))[0]
    run_async(note, settings, tenant, "user.token", row["user"], {"ttl": ttl})
    say(minted)


async def note(config: Config, tenant: str, act: str, user: str, details: dict[str, Any] | None = None) -> None:
    """Add an entry to the audit log."""
    async with database(config) as db:
        await audit_log.write(db, current_operator(tenant), act, user, details)


@app.command()
def erase(
    user: UserId,
    yes: Annotated[bool, typer.Option("--yes", help="Confirm. This cannot be undone.")] = False,
    tenant: TenantOption = "default",
    config: ConfigFile = None,
) -> None:
    """Erase a user permanently: messages, files, settings, logins. Running nodes do the work; see `chatd users
    erasures`.

    [bold]Example[/]

      chatd users erase 01890a5d-ac96-774b-bcce-b302099a8057 --yes
    """
    if not yes:
        raise exit_usage("Nothing was erased. Add --yes to confirm.")
    new = run_with(config, erase_user, tenant, user.lower())
    say("The erasure has started." if new else "This user has already been erased.")


async def erase_user(config: Config, tenant: str, user: str) -> bool:
    if not is_uuid(user):
        raise exit_failed(f"user {user} does not exist in tenant {tenant}")
    async with database(config) as db:
        new = await db.in_transaction(erasure.begin, all_personal_data(), tenant, user, account_name(), now_ms())
        now = now_ms()
    await close_sessions(config, tenant, user, "logged_out", now)
    return new


@app.command()
def erasures(tenant: TenantOption = "default", config: ConfigFile = None, json: AlwaysJson = True) -> None:
    """List erasures as JSON: the user, how many messages are erased, and when it was finished."""
    print_json(run_with(config, find_erasures, tenant))


async def find_erasures(config: Config, tenant: str) -> list[dict[str, Any]]:
    async with database(config) as db:
        return await erasure.page(db, tenant)


@app.command("export")
def export_user(user: UserId, tenant: TenantOption = "default", config: ConfigFile = None) -> None:
    """Print all data stored about a user as JSON lines, like GET /v1/me/export.

    [bold]Example[/]

      chatd users export 01890a5d-ac96-774b-bcce-b302099a8057 > alice.jsonl
    """
    run_with(config, print_export, tenant, user.lower())


async def print_export(config: Config, tenant: str, user: str) -> None:
    if not is_uuid(user):
        raise exit_failed(f"user {user} does not exist in tenant {tenant}")
    async with database(config) as db:
        pages = export.pages(db, all_personal_data(), tenant, user)
        first = await anext(pages)
        await audit_log.write(db, current_operator(tenant), "user.export", user)
        write_json(first.decode())
        async for page in pages:
            write_json(page.decode())
