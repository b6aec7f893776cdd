"""The figures as CSV (RFC 4180). All values are numbers and dates, so no cell can be a formula."""

import csv
import io
from collections.abc import Sequence
from typing import Any

from msgspec import to_builtins

from chatd.analytics.figures import Cohort, DayFigures


def csv_of_days(days: Sequence[DayFigures]) -> str:
    return csv_of([to_builtins(one) for one in days])


def csv_of_cohorts(cohorts: Sequence[Cohort]) -> str:
    return csv_of(
        [
            {"week": one.week, "users": one.users} | {f"day_{age}": value for age, value in one.retention.items()}
            for one in cohorts
        ]
    )


def csv_of(rows: Sequence[dict[str, Any]]) -> str:
    """Rows with the same names, at least one."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
