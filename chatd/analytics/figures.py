"""The figures of a tenant as they are shown: of each day, and of the cohorts of each week. docs/analytics.md has the
definitions.
"""

from typing import Any

from msgspec import Struct

from chatd.analytics.days import WEEK, monday_of, text_of
from chatd.db import queries
from chatd.db.postgres import Postgres

SQL = queries.load("analytics/reading")
# After how many days the users of a cohort are looked for.
AGES = (0, 1, 7, 14, 30, 60, 90)


class DayFigures(Struct, kw_only=True, frozen=True):
    """A day in UTC. Shares are between 0 and 1; null: there was nothing to divide by, or it is not measured yet.

    `average_length` in characters, `average_match_s` in seconds, `unread_age_s`: the average age of unread messages.
    """

    day: str
    active_users: int
    new_users: int
    weekly_users: int | None
    monthly_users: int | None
    messages: int
    average_length: float | None
    matches: int
    matches_ended: int
    matches_kept: int
    average_match_s: float | None
    delivery_rate: float | None
    read_rate: float | None
    unread_age_s: float | None


class Cohort(Struct, kw_only=True, frozen=True):
    """Users whose first session was in the week that begins on `week`. `retention`: by a number of days, the share that
    had a session exactly so many days later; null while the week has not been over for so long.
    """

    week: str
    users: int
    retention: dict[str, float | None]


async def read_days(db: Postgres, tenant: str, first: int, last: int) -> list[DayFigures]:
    """The days from `first` to `last`, also those on which nothing happened."""
    rows = {row["day"]: row for row in await db.all(SQL.days, tenant, first, last)}
    return [figures_of(day, rows.get(day, {})) for day in range(first, last + 1)]


def figures_of(day: int, row: Any) -> DayFigures:
    unread = None if row.get("recipients") is None else row["recipients"] - row["read"]
    return DayFigures(
        day=text_of(day),
        active_users=row.get("active_users", 0),
        new_users=row.get("new_users", 0),
        weekly_users=row.get("weekly_users"),
        monthly_users=row.get("monthly_users"),
        messages=row.get("messages", 0),
        average_length=share(row.get("characters"), row.get("messages"), 1),
        matches=row.get("matches", 0),
        matches_ended=row.get("matches_ended", 0),
        matches_kept=row.get("matches_kept", 0),
        average_match_s=share((row.get("matches_ms") or 0) / 1000, row.get("matches_ended"), 1),
        delivery_rate=share(row.get("delivered"), row.get("recipients")),
        read_rate=share(row.get("read"), row.get("recipients")),
        unread_age_s=share((row.get("unread_ms") or 0) / 1000, unread, 1),
    )


def share(part: float | None, whole: int | None, digits: int = 4) -> float | None:
    return None if part is None or not whole else round(float(part) / whole, digits)


async def read_cohorts(db: Postgres, tenant: str, weeks: int, today: int) -> list[Cohort]:
    """The cohorts of the last weeks, the latest first."""
    first = monday_of(today) - (weeks - 1) * WEEK
    counts: dict[tuple[int, int], int] = {}
    for row in await db.all(SQL.cohorts, tenant, first, today, list(AGES)):
        key = ((row["first_day"] - first) // WEEK, row["age_days"])
        counts[key] = counts.get(key, 0) + row["users"]
    return [cohort_of(first + number * WEEK, number, counts, today) for number in reversed(range(weeks))]


def cohort_of(begin: int, number: int, counts: dict[tuple[int, int], int], today: int) -> Cohort:
    users = counts.get((number, 0), 0)
    retention = {
        str(age): share(counts.get((number, age), 0), users) if begin + WEEK - 1 + age < today else None
        for age in AGES[1:]
    }
    return Cohort(week=text_of(begin), users=users, retention=retention)
