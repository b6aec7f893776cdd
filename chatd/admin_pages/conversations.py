"""Conversations: the list, and one with its metadata. Its messages are shown for a stated reason only."""

from quart import Response

from chatd.admin_pages.forms import Action, Field, hidden
from chatd.admin_pages.page import Page, PageRequest
from chatd.core.errors import Refused
from chatd.core.ids import is_uuid

PAGE_SIZE = 50


async def conversations(page: PageRequest) -> Response:
    user, before = page.argument("user"), page.argument("before") or None
    if user and not is_uuid(user):
        raise Refused("not_found", "no such user")
    found = await page.run("conversations", user=user or None, before=before, limit=PAGE_SIZE)
    return await page.render("conversations.html", found=found, user=user)


async def conversation(page: PageRequest, conversation: str) -> Response:
    if not is_uuid(conversation):
        raise Refused("not_found", "no such conversation")
    shown = await page.run("conversation", conversation=conversation)
    return await page.render("conversation.html", shown=shown, values={"conversation": conversation})


# Its result is a page of its own: the address of a page would have the reason, and reloading it would read again.
ACTIONS = (
    Action(
        "conversation-messages",
        "conversation.messages",
        "Read messages",
        "This access is in the audit log.",
        (
            hidden("conversation"),
            hidden("before"),
            Field(
                "reason", "Why you have to read them", "area", hint="At least 10 characters. It is in the audit log."
            ),
        ),
        shows=True,
        template="messages.html",
        build=lambda fields, values: {
            name: text for name in ("conversation", "before", "reason") if (text := values.get(name))
        },
    ),
)
PAGES = (
    Page("/admin/conversations", conversations, ("conversations",), title="Conversations"),
    Page("/admin/conversations/<conversation>", conversation, ("conversation",)),
)
