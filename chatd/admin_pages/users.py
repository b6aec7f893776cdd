"""Users: search, and one user with profile, logins, strikes, bans and what an admin can do."""

from quart import Response

from chatd.admin_pages.forms import LASTS, REASON, Action, Field, confirm, hidden, plain
from chatd.admin_pages.page import Page, PageRequest
from chatd.core.errors import Refused
from chatd.core.ids import is_uuid

PAGE_SIZE = 50
REMOVABLE = (
    ("name", "Name"),
    ("handle", "Handle"),
    ("avatar", "Avatar"),
    ("picture_url", "Picture"),
    ("status_text", "Status"),
    ("profile", "Profile"),
)


async def users(page: PageRequest) -> Response:
    query, before = page.argument("query"), page.argument("before") or None
    found = await page.run("users", query=query, before=before, limit=PAGE_SIZE)
    return await page.render("users.html", found=found, query=query)


async def user(page: PageRequest, user: str) -> Response:
    if not is_uuid(user):
        raise Refused("not_found", "no such user")
    known = await page.run("user", user=user)
    details = await page.run("user.details", user=user)
    conversations = await page.run("conversations", user=user, limit=10)
    reports = await page.run("reports", user=user, state="any", limit=10) if page.may("reports") else None
    return await page.render(
        "user.html", known=known, details=details, conversations=conversations, reports=reports, values={"user": user}
    )


USER = hidden("user")
ACTIONS = (
    Action(
        "ban",
        "ban",
        "Ban the user",
        "The user is banned, and all connections are closed.",
        (USER, REASON, LASTS, Field("devices", "Ban the devices as well", "check", required=False)),
        is_dangerous=True,
    ),
    Action("strike", "strike", "Give a strike", "The user has got a strike.", (USER, REASON)),
    Action("shadow", "shadow", "Shadow-ban", "The user is shadow-banned.", (USER, hidden("on"))),
    Action("kick", "kick", "Close the connections", "The connections are closed.", (USER,)),
    Action("revoke", "revoke", "End all logins", "All logins of the user have ended.", (USER,), is_dangerous=True),
    Action(
        "profile-clear",
        "profile.clear",
        "Remove",
        "The part of the profile is removed.",
        (USER, Field("fields", "Part", "select", choices=REMOVABLE), REASON),
        build=lambda fields, values: {**plain(fields, values), "fields": [values.get("fields", "")]},
    ),
    Action(
        "erase",
        "erase",
        "Erase the user",
        "The erasure has started. The data is removed within minutes.",
        (USER, confirm("Erase this user permanently, with all messages and files")),
        is_dangerous=True,
        build=lambda fields, values: {**plain(fields, values), "confirm": values.get("confirm") == "on"},
    ),
)
PAGES = (
    Page("/admin/users", users, ("users",), title="Users"),
    Page("/admin/users/<user>", user, ("user", "user.details", "conversations")),
)
