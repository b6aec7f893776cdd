"""Reports: the list, and one with its pictures and its transcript, with decisions by one key."""

from typing import Any

from quart import Response, g

from chatd.admin_pages.forms import DURATIONS, Action, Field, FormValues, hidden, plain
from chatd.admin_pages.http_rules import HEADERS
from chatd.admin_pages.page import Page, PageRequest
from chatd.app.audit_log import AuditActor
from chatd.core.errors import Refused
from chatd.core.ids import is_uuid
from chatd.http.slots import Owners
from chatd.moderation.reports import find_file
from chatd.uploads.downloads import answer

STATES = ("open", "resolved", "any")
PAGE_SIZE = 50
PICTURES = ("image/jpeg", "image/png", "image/gif", "image/webp")


async def reports(page: PageRequest) -> Response:
    state = page.argument("state", "open")
    user, before = page.argument("user") or None, page.argument("before") or None
    state = state if state in STATES else "open"
    found = await page.run("reports", state=state, user=user, before=before, limit=PAGE_SIZE)
    return await page.render("reports.html", found=found, state=state, user=user or "", states=STATES)


async def report(page: PageRequest, report: str) -> Response:
    if not is_uuid(report):
        raise Refused("not_found", "no such report")
    full = await page.run("report", report=report)
    about = await page.run("user", user=full.report.user)
    following = await page.run("reports", state="open", before=report, limit=1)
    newest = following.items or (await page.run("reports", state="open", limit=2)).items
    return await page.render(
        "report.html",
        full=full,
        about=about,
        following=next((one.id for one in newest if one.id != report), None),
        pictures=PICTURES,
    )


async def file(page: PageRequest, report: str, upload: str) -> Response:
    """A file of a report, as `admin.report.file` returns it."""
    if not (is_uuid(report) and is_uuid(upload)):
        raise Refused("not_found", "no such file")
    g.reader = Owners(page.node.config).of_admin(page.scope.name, page.address)
    actor = AuditActor(page.scope.tenant, page.scope.name, page.now)
    stored = await page.node.db.in_transaction(find_file, actor, report, upload)
    cache = {**HEADERS, "Content-Security-Policy": "sandbox; default-src 'none'"}
    return await answer(page.node, stored, cache)


def decision(fields: tuple[Field, ...], values: FormValues) -> dict[str, Any]:
    """The fields of `admin.report.resolve`: what follows from a report is one of a list."""
    found = plain(fields, values)
    sanction, lasts, devices = found.pop("sanction"), found.pop("lasts", ""), found.pop("devices", False)
    found["outcome"] = "dismissed" if sanction == "dismiss" else "upheld"
    found["strike"] = sanction == "strike"
    if sanction == "ban":
        found["ban"] = {"devices": devices} | ({"lasts": int(lasts)} if lasts else {})
    return found


SANCTIONS = (
    ("dismiss", "Dismiss: nothing to it"),
    ("uphold", "Uphold, without a consequence"),
    ("strike", "Uphold, and give a strike"),
    ("ban", "Uphold, and ban the user"),
)
RESOLVE = Action(
    "report-resolve",
    "report.resolve",
    "Decide",
    "The report is resolved.",
    (
        hidden("report"),
        Field("sanction", "Decision", "select", choices=SANCTIONS),
        Field("lasts", "Duration of a ban", "select", required=False, choices=DURATIONS),
        Field("devices", "Ban the devices of the user as well", "check", required=False),
        Field("note", "Note for admins", "area", required=False),
    ),
    build=decision,
)
PAGES = (
    Page("/admin/reports", reports, ("reports",), title="Reports"),
    Page("/admin/reports/<report>", report, ("report", "user", "reports")),
    Page("/admin/reports/<report>/files/<upload>", file, ("report",)),
)
ACTIONS = (RESOLVE,)
