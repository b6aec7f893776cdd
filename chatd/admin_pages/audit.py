"""The audit log: who did what."""

from quart import Response

from chatd.admin_pages.page import Page, PageRequest

PAGE_SIZE = 100


async def audit(page: PageRequest) -> Response:
    found = await page.run("audit", before=page.argument("before") or None, limit=PAGE_SIZE)
    return await page.render("audit.html", found=found)


PAGES = (Page("/admin/audit", audit, ("audit",), title="Audit log"),)
