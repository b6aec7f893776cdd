"""Service tokens of backends: the list, and adding, rotating and revoking one. A secret is shown once."""

from typing import Any

from quart import Response

from chatd.admin_pages.forms import Action, Field, FormValues, confirm, hidden, plain
from chatd.admin_pages.page import Page, PageRequest
from chatd.wire.server import SCOPES

LASTS = (("", "does not expire"), ("2592000", "30 days"), ("7776000", "90 days"), ("31536000", "1 year"))
OVERLAP = (("86400", "for a day"), ("3600", "for an hour"), ("0", "not at all"))


async def tokens(page: PageRequest) -> Response:
    return await page.render("tokens.html", found=await page.run("tokens"), now=page.now)


def with_scopes(fields: tuple[Field, ...], values: FormValues) -> dict[str, Any]:
    """The scopes are written with spaces or commas between them."""
    return plain(fields, values) | {"scopes": values.get("scopes", "").replace(",", " ").split()}


TOKEN = hidden("token")
ACTIONS = (
    Action(
        "token-add", "token.add", "Add the token", "The token is added. Its secret is shown this once.",
        (
            Field("name", "Name", max_length=63, hint="The program that has it: a-z, 0-9, - and _"),
            Field("scopes", "Scopes", max_length=500, hint=f"With spaces between them: {', '.join(SCOPES)}"),
            Field("lasts", "Lifetime", "select", required=False, choices=LASTS),
        ),
        shows=True, build=with_scopes,
    ),
    Action(
        "token-rotate", "token.rotate", "Make a new secret", "The new secret is shown this once.",
        (TOKEN, Field("overlap", "The present secret stays valid", "select", choices=OVERLAP)), shows=True,
    ),
    Action(
        "token-revoke", "token.revoke", "Revoke", "The token is revoked.",
        (TOKEN, confirm("Requests with it are refused at once")), is_dangerous=True,
    ),
)  # fmt: skip
PAGES = (Page("/admin/tokens", tokens, ("tokens",), title="Tokens", role="operator"),)
