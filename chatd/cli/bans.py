"""chatd bans"""

from typing import Annotated, Any

import typer

from chatd.accounts import bans
from chatd.accounts.bans import BadRange
from chatd.accounts.range_ban_sweep import CloseRange
from chatd.app import audit_log
from chatd.app.installation import check_secret
from chatd.cli.cluster import notify_nodes
from chatd.cli.common import (
    AlwaysJson,
    AsJson,
    ConfigFile,
    TenantOption,
    current_operator,
    end_of,
    exit_failed,
    exit_usage,
    format_time,
    print_json,
    run_with,
)
from chatd.cli.databases import database
from chatd.cli.printing import records, say
from chatd.cluster import control_messages
from chatd.core.clock import now_ms
from chatd.core.config import Config
from chatd.core.ids import is_uuid

app = typer.Typer(help="Ban users, devices and addresses; list and lift bans.", no_args_is_help=True)


@app.command()
def add(
    user: Annotated[str | None, typer.Argument(help="The user's id.")] = None,
    address: Annotated[str | None, typer.Option(help="An IP address, or a range such as 203.0.113.0/24.")] = None,
    devices: Annotated[bool, typer.Option("--devices", help="Ban the user's devices as well.")] = False,
    reason: Annotated[str, typer.Option(help="Reason, for the audit log.")] = "",
    lasts: Annotated[
        str | None, typer.Option("--for", help="Duration, such as 30m, 12h or 7d. Default: permanent.")
    ] = None,
    tenant: TenantOption = "default",
    config: ConfigFile = None,
) -> None:
    """Ban a user or an address: close the connections on all nodes and end the user's logins.

    [bold]Examples[/]

      chatd bans add 01890a5d-ac96-774b-bcce-b302099a8057 --reason spam --for 7d

      chatd bans add --address 203.0.113.0/24 --reason flood
    """
    if (user is None) == (address is None) or (user is not None and not is_uuid(user)):
        raise exit_usage("specify either a user id or --address")
    run_with(config, add_ban, tenant, user, address, devices, reason or "no reason given", end_of(lasts))


async def add_ban(
    config: Config, tenant: str, user: str | None, address: str | None, devices: bool, reason: str, until: int | None
) -> None:
    message: CloseRange | control_messages.CloseUserSessions
    async with database(config) as db:
        if address is not None:
            hash_ = hash_of(config, address)
            await check_secret(db, config.data.secret)
            say(await bans.ban_range(db, current_operator(tenant), hash_, reason, until))
            message = CloseRange(tenant, hash_, now_ms())
        else:
            assert user is not None
            say(await bans.ban_user(db, current_operator(tenant), user, reason, until, devices=devices))
            # The metric chatd_revocation_seconds starts here.
            message = control_messages.CloseUserSessions(tenant, user, "banned", None, now_ms())
    await notify_nodes(config, message)


def hash_of(config: Config, address: str) -> bytes:
    try:
        return bans.range_hash(config, address)
    except BadRange as error:
        raise exit_failed(str(error)) from None


@app.command("list")
def list_bans(
    every: Annotated[bool, typer.Option("--all", help="Include expired and lifted bans.")] = False,
    tenant: TenantOption = "default",
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """List the bans in force, newest first."""
    rows = run_with(config, find_bans, tenant, not every)
    if as_json:
        print_json(rows)
        return
    records(map(lines_of, rows))


def lines_of(row: dict[str, Any]) -> tuple[str, ...]:
    whom = f"user {row['user']}" if row["user"] else row["kind"]
    return (
        f"{row['id']}  {whom}",
        f"since {format_time(row['created_at'])} until {format_time(row['expires_at'])}, by {row['actor']}: "
        f"{row['reason']}",
    )


async def find_bans(config: Config, tenant: str, in_force: bool) -> list[dict[str, Any]]:
    async with database(config) as db:
        return await bans.page(db, tenant, now_ms(), in_force=in_force)


@app.command()
def lift(
    ban: Annotated[str, typer.Argument(help="The ban's id.")],
    tenant: TenantOption = "default",
    config: ConfigFile = None,
) -> None:
    """Lift a ban before it expires."""
    if not is_uuid(ban) or not run_with(config, lift_ban, tenant, ban):
        raise exit_failed(f"no ban {ban} is in force in tenant {tenant}")


async def lift_ban(config: Config, tenant: str, ban: str) -> bool:
    async with database(config) as db:
        return await bans.revoke_ban(db, current_operator(tenant), ban)


@app.command()
def audit(tenant: TenantOption = "default", config: ConfigFile = None, as_json: AlwaysJson = True) -> None:
    """Print the latest entries of the audit log as JSON."""
    print_json(run_with(config, find_acts, tenant))


async def find_acts(config: Config, tenant: str) -> list[dict[str, Any]]:
    async with database(config) as db:
        return await audit_log.page(db, tenant)
