"""Bans: the list, bans of addresses, and lifting a ban."""

from quart import Response

from chatd.admin_pages.forms import LASTS, REASON, Action, Field, hidden
from chatd.admin_pages.page import Page, PageRequest

PAGE_SIZE = 50


async def bans(page: PageRequest) -> Response:
    every, before = page.argument("every") == "yes", page.argument("before") or None
    found = await page.run("bans", every=every, before=before, limit=PAGE_SIZE)
    return await page.render("bans.html", found=found, every=every)


ACTIONS = (
    Action("ban-lift", "ban.lift", "Lift", "The ban is lifted.", (hidden("ban"),)),
    Action(
        "ban-address",
        "ban",
        "Ban the address",
        "The address is banned, and its connections are closed.",
        (
            Field("address", "Address or range", hint="203.0.113.7, 203.0.113.0/24 or 2001:db8::/64"),
            REASON,
            LASTS,
        ),
        is_dangerous=True,
    ),
)
PAGES = (Page("/admin/bans", bans, ("bans",), title="Bans"),)
