"""chatd analytics"""

from typing import Annotated, Any

import msgspec
import typer

from chatd.analytics.commands import MAX_DAYS
from chatd.analytics.csv_files import csv_of_days
from chatd.analytics.days import day_of
from chatd.analytics.figures import Cohort, DayFigures, read_cohorts, read_days
from chatd.cli.common import AsJson, ConfigFile, TenantOption, load_or_exit, print_json, run_async
from chatd.cli.databases import database
from chatd.cli.printing import out, plain, say, table_of
from chatd.core.clock import now_ms
from chatd.core.config import Config

Figures = tuple[list[DayFigures], list[Cohort]]


def analytics(
    days: Annotated[int, typer.Option(min=1, max=MAX_DAYS, help="The last days, with today.")] = 30,
    weeks: Annotated[int, typer.Option(min=1, max=60, help="Weeks whose retention is shown.")] = 12,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print the days as CSV.")] = False,
    tenant: TenantOption = "default",
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Show active users, messages, matches and retention by day (UTC). docs/analytics.md defines each figure.

    [bold]Examples[/]

      chatd analytics --days 7

      chatd analytics --days 365 --csv > year.csv
    """
    found, cohorts = run_async(read, load_or_exit(config).config, tenant, days, weeks)
    if as_json:
        print_json({"days": msgspec.to_builtins(found), "cohorts": msgspec.to_builtins(cohorts)})
    elif as_csv:
        say(csv_of_days(found).replace("\r\n", "\n"), end="")
    else:
        print_tables(found, cohorts)


async def read(config: Config, tenant: str, days: int, weeks: int) -> Figures:
    today = day_of(now_ms())
    async with database(config) as db:
        found = await read_days(db, tenant, today - days + 1, today)
        return found, await read_cohorts(db, tenant, weeks, today)


def print_tables(days: list[DayFigures], cohorts: list[Cohort]) -> None:
    table = table_of(
        "day", "active", "new", "30 days", "messages", "length", "matches", "delivered", "read", whole="day"
    )
    for one in reversed(days):
        cells = (one.active_users, one.new_users, one.monthly_users, one.messages, one.average_length, one.matches)
        table.add_row(one.day, *map(shown, cells), percent(one.delivery_rate), percent(one.read_rate))
    out.print(table)
    ages = list(cohorts[0].retention)
    table = table_of("week of", "users", *(f"day {age}" for age in ages), whole="week of")
    for cohort in cohorts:
        table.add_row(plain(cohort.week), str(cohort.users), *map(percent, cohort.retention.values()))
    out.print("", table)


def shown(value: Any) -> str:
    return "-" if value is None else str(value)


def percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.1%}"
