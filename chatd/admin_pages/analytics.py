"""Analytics: the figures of the days and the cohorts, as charts, tables and CSV."""

from quart import Response

from chatd.admin_pages.http_rules import HEADERS
from chatd.admin_pages.page import Page, PageRequest
from chatd.analytics.csv_files import csv_of_cohorts, csv_of_days

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
    return as_file(csv_of_days(found.days), f"chatd-{page.scope.tenant}-days.csv")


async def cohorts_csv(page: PageRequest) -> Response:
    found = await page.run("analytics", days=1, weeks=WEEKS)
    return as_file(csv_of_cohorts(found.cohorts), f"chatd-{page.scope.tenant}-cohorts.csv")


def as_file(text: str, name: str) -> Response:
    headers = {**HEADERS, "Content-Disposition": f'attachment; filename="{name}"'}
    return Response(text, 200, headers, content_type="text/csv; charset=utf-8")


PAGES = (
    Page("/admin/analytics", analytics, ("analytics",), title="Analytics"),
    Page("/admin/analytics/days.csv", days_csv, ("analytics",)),
    Page("/admin/analytics/cohorts.csv", cohorts_csv, ("analytics",)),
)
