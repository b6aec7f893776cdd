"""Webhook endpoints, their events, and what an admin can do with them."""

from typing import Any

from quart import Response

from chatd.admin_pages.forms import Action, Field, FormValues, confirm, hidden, plain
from chatd.admin_pages.page import Page, PageRequest
from chatd.core.errors import Refused
from chatd.core.ids import is_uuid

PAGE_SIZE = 50
STATES = ("any", "pending", "parked")


async def webhooks(page: PageRequest) -> Response:
    return await page.render("webhooks.html", found=await page.run("webhooks"))


async def webhook(page: PageRequest, endpoint: str) -> Response:
    found = await page.run("webhooks")
    shown = next((one for one in found.items if one.id == endpoint), None)
    if shown is None or not is_uuid(endpoint):
        raise Refused("not_found", "no such endpoint")
    state, before = page.argument("state", "any"), page.argument("before") or None
    state = state if state in STATES else "any"
    events = await page.run("webhook.deliveries", endpoint=endpoint, state=state, before=before, limit=PAGE_SIZE)
    values = {"endpoint": endpoint, "url": shown.url, "types": " ".join(shown.types), "note": shown.note}
    return await page.render("webhook.html", shown=shown, events=events, state=state, states=STATES, values=values)


def with_types(fields: tuple[Field, ...], values: FormValues) -> dict[str, Any]:
    """The types of events are written with spaces or commas between them."""
    return plain(fields, values) | {"types": values.get("types", "").replace(",", " ").split()}


ENDPOINT = hidden("endpoint")
URL = Field("url", "URL")
TYPES = Field(
    "types", "Types of events", max_length=2000, hint="* for all, message.*, or names with spaces between them"
)
NOTE = Field("note", "Note", required=False)
ACTIONS = (
    Action(
        "webhook-add", "webhook.add", "Add the endpoint", "The endpoint is added. Its secret is shown this once.",
        (URL, TYPES, NOTE), shows=True, build=with_types,
    ),
    Action(
        "webhook-edit", "webhook.edit", "Change", "The endpoint is changed.", (ENDPOINT, URL, TYPES, NOTE),
        edits=True, build=with_types,
    ),
    # The endpoint of a bot gets what concerns the bot.
    Action("bot-webhook-edit", "webhook.edit", "Change", "The endpoint is changed.", (ENDPOINT, URL, NOTE), edits=True),
    Action("webhook-test", "webhook.test", "Send a test", "The test is queued; see the list of events.", (ENDPOINT,)),
    Action("webhook-enable", "webhook.enable", "Enable", "The endpoint is enabled.", (ENDPOINT,)),
    Action("webhook-disable", "webhook.disable", "Disable", "The endpoint is disabled.", (ENDPOINT,)),
    Action(
        "webhook-rotate", "webhook.rotate", "Make a new secret", "The new secret is shown this once.", (ENDPOINT,),
        shows=True,
    ),
    Action(
        "webhook-remove", "webhook.remove", "Remove", "The endpoint is removed.",
        (ENDPOINT, confirm("Remove it with its events")), is_dangerous=True,
    ),
)  # fmt: skip
PAGES = (
    Page("/admin/webhooks", webhooks, ("webhooks",), title="Webhooks"),
    Page("/admin/webhooks/<endpoint>", webhook, ("webhooks", "webhook.deliveries")),
)
