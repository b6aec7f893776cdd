"""chatd users strike, strikes, shadow, unshadow"""

from typing import Annotated, Any

import typer

from chatd.cli.cluster import close_sessions
from chatd.cli.common import (
    AsJson,
    ConfigFile,
    TenantOption,
    UserId,
    checked_id,
    current_operator,
    format_time,
    print_json,
    run_with,
)
from chatd.cli.databases import database
from chatd.cli.printing import records, say
from chatd.core.clock import now_ms
from chatd.core.config import Config
from chatd.moderation import actions, strikes
from chatd.moderation.settings import ModerationSettings
from chatd.moderation.strikes import StrikeResult


def strike(
    user: UserId,
    reason: Annotated[str, typer.Option(help="Reason, for the audit log and the ban that may follow.")],
    tenant: TenantOption = "default",
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Give a user a strike. [bold]moderation.strikes[/] sets the number of strikes that leads to a ban.

    [bold]Example[/]

      chatd users strike 01890a5d-ac96-774b-bcce-b302099a8057 --reason spam
    """
    done = run_with(config, strike_user, tenant, checked_id(user), reason)
    if as_json:
        print_json({"strike": done.id, "count": done.count, "ban": done.ban, "until": done.until})
    else:
        say(f"strike {done.count}" + (f", banned until {format_time(done.until)}" if done.ban else ""))


async def strike_user(config: Config, tenant: str, user: str, reason: str) -> StrikeResult:
    async with database(config) as db:
        done = await db.in_transaction(
            strikes.strike, config.get(ModerationSettings), current_operator(tenant), user, reason
        )
        at = now_ms()
    if done.ban is not None:
        await close_sessions(config, tenant, user, "banned", at)
    return done


def list_strikes(
    user: UserId, tenant: TenantOption = "default", config: ConfigFile = None, as_json: AsJson = False
) -> None:
    """List the strikes of a user, newest first."""
    rows = run_with(config, find_strikes, tenant, checked_id(user))
    if as_json:
        print_json(rows)
        return
    records(map(lines_of, rows))


def lines_of(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        f"{row['id']}  {format_time(row['created_at'])}, counts until {format_time(row['expires_at'])}",
        f"by {row['actor']}: {row['reason']}",
    )


async def find_strikes(config: Config, tenant: str, user: str) -> list[dict[str, Any]]:
    async with database(config) as db:
        return await strikes.of_user(db, tenant, user)


def shadow(user: UserId, tenant: TenantOption = "default", config: ConfigFile = None) -> None:
    """Shadow-ban a user: from the next search on, match them only with other shadow-banned users.

    They are not notified.
    """
    run_with(config, switch, tenant, checked_id(user), True)


def unshadow(user: UserId, tenant: TenantOption = "default", config: ConfigFile = None) -> None:
    """Remove a shadow ban."""
    run_with(config, switch, tenant, checked_id(user), False)


async def switch(config: Config, tenant: str, user: str, on: bool) -> None:
    async with database(config) as db:
        await db.in_transaction(actions.set_shadow, current_operator(tenant), user, on)
