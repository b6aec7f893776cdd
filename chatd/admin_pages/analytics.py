"""Analytics: the figures of the days and the cohorts, as charts, tables and CSV."""

import csv
import io

from msgspec import to_builtins
from quart import Response

from chatd.admin_pages.http_rules import HEADERS
from chatd.admin_pages.page import Page, PageRequest

SPANS = (7, 30, 90, 365)
WEEKS = 12


async def analytics(page: PageRequest) -> Response:
    found = await page.run("analytics", days=span_of(page), weeks=WEEKS)
    return await page.render("analytics.html", found=found, span=span_of(page), spans=SPANS)


def span_of(page: PageRequest) -> int:
    text = page.argument("days", "30")
    return int(text) if text in map(str, SPANS) else 30


async def days_csv(page: PageRequest) -> Response:
    found = await page.run("analytics", days=span_of(page), weeks=1)
    return as_file([to_builtins(one) for one in found.days], f"chatd-{page.scope.tenant}-days.csv")


async def cohorts_csv(page: PageRequest) -> Response:
    found = await page.run("analytics", days=1, weeks=WEEKS)
    rows = [
        {"week": one.week, "users": one.users} | {f"day_{age}": value for age, value in one.retention.items()}
        for one in found.cohorts
    ]
    return as_file(rows, f"chatd-{page.scope.tenant}-cohorts.csv")


def as_file(rows: list[dict[str, object]], name: str) -> Response:
    """Rows as CSV (RFC 4180). All values are numbers and dates, so no cell can be a formula."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    headers = {**HEADERS, "Content-Disposition": f'attachment; filename="{name}"'}
    return Response(text.getvalue(), 200, headers, content_type="text/csv; charset=utf-8")


PAGES = (
    Page("/admin/analytics", analytics, ("analytics",), title="Analytics"),
    Page("/admin/analytics/days.csv", days_csv, ("analytics",)),
    Page("/admin/analytics/cohorts.csv", cohorts_csv, ("analytics",)),
)
