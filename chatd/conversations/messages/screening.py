"""Screening of messages: the filters of the tenant, then the moderation hook.

Screened are the text, the names of files, the URLs of links, and every text in `meta`. Other texts (names, titles,
tags) pass the filters in `chatd/app/command_texts.py`.

A message that is stored already is not screened again, so that sending it again repeats the first ack, even if the
filters would refuse it now.
"""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from chatd.app.context import Ctx
from chatd.conversations.button_types import Button
from chatd.conversations.entities import Json
from chatd.conversations.messages.buttons import filtered_buttons, stored_buttons
from chatd.core.errors import Refused
from chatd.core.slices import Sliced
from chatd.core.turns import in_turns
from chatd.db import queries
from chatd.db.postgres import Postgres, Row
from chatd.filters.moderation_hook import Hook, Question
from chatd.filters.service import Filter, Filters

SQL = queries.load("conversations/screening")


class MessageToScreen(Struct, frozen=True):
    """A message that is not stored yet."""

    tenant: str
    conversation: str
    sender: str
    client_id: str
    text: str | None
    attachments: list[dict[str, Any]]
    reply_to: str | None
    meta: dict[str, Any] | None
    actions: list[list[Button]]


async def screen(
    ctx: Ctx,
    conversation: str,
    client_id: str,
    text: str | None,
    attachments: Sequence[Json] = (),
    reply_to: str | None = None,
    meta: Json | None = None,
    actions: Sequence[list[Button]] = (),
) -> MessageToScreen:
    """The message after the filters and the hook. Raises Refused: `forbidden`; with a hook also `not_found`,
    `unavailable`.
    """
    to_screen = MessageToScreen(
        ctx.tenant, conversation, ctx.user, client_id, text, list(attachments), reply_to, meta, list(actions)
    )
    filters = ctx.node.services.find(Filters)
    if filters is None:
        return to_screen
    if filters.hook is None:
        return await filtered_or_stored(ctx.node.db, filters.of(ctx.tenant), to_screen)
    return await checked_or_stored(ctx.node.db, filters.of(ctx.tenant), filters.hook, to_screen)


async def filtered_or_stored(db: Postgres, tenant_filter: Filter, to_screen: MessageToScreen) -> MessageToScreen:
    """Apply the filters, unless the message is already stored. Raises Refused: `forbidden`."""
    try:
        return await in_turns(filtered(tenant_filter, to_screen))
    except Refused:
        if (await screening_state(db, to_screen))["is_stored"]:
            return to_screen
        raise


async def checked_or_stored(
    db: Postgres, tenant_filter: Filter, hook: Hook, to_screen: MessageToScreen
) -> MessageToScreen:
    """Call the hook, unless the message is already stored. Raises Refused: `forbidden`, `not_found`, `unavailable`."""
    row = await screening_state(db, to_screen)
    if row["is_stored"]:
        return to_screen
    if row["kind"] is None:
        raise Refused("not_found", "no such conversation")
    passed = await in_turns(filtered(tenant_filter, to_screen))
    return replace(passed, text=await hook.ask(question_of(passed, row["kind"])))


async def screening_state(db: Postgres, to_screen: MessageToScreen) -> Row:
    row = await db.one(
        SQL.screening_state, to_screen.tenant, to_screen.conversation, to_screen.sender, to_screen.client_id
    )
    assert row is not None
    return row


def filtered(tenant_filter: Filter, to_screen: MessageToScreen) -> Sliced[MessageToScreen]:
    """The message with all its texts as they are stored. Raises Refused: `forbidden`."""
    if not tenant_filter.is_needed:
        return to_screen
    text = to_screen.text
    if text:
        text = yield from tenant_filter.apply(text, "$.text")
    attachments = list[dict[str, Any]]()
    for index, one in enumerate(to_screen.attachments):
        attachments.append((yield from filtered_attachment(tenant_filter, one, f"$.attachments[{index}]")))
    meta = to_screen.meta
    if meta is not None:
        meta = yield from tenant_filter.apply_to_all(meta, "$.meta")
    actions = yield from filtered_buttons(tenant_filter, to_screen.actions)
    return replace(to_screen, text=text, attachments=attachments, meta=meta, actions=actions)


def filtered_attachment(tenant_filter: Filter, stored: Json, path: str) -> Sliced[Json]:
    for name in ("url", "image"):
        if stored["type"] == "link" and name in stored:
            yield from tenant_filter.apply(stored[name], f"{path}.{name}", may_mask=False)
    texts = {}
    for name in ("name", "address", "title", "description"):
        if stored.get(name):
            texts[name] = yield from tenant_filter.apply(stored[name], f"{path}.{name}")
    return {**stored, **texts}


def question_of(to_screen: MessageToScreen, kind: str) -> Question:
    return Question(
        tenant=to_screen.tenant,
        conversation=to_screen.conversation,
        kind=kind,
        sender=to_screen.sender,
        text=to_screen.text,
        attachments=to_screen.attachments,
        reply_to=to_screen.reply_to,
        meta=to_screen.meta,
        actions=stored_buttons(to_screen.actions),
        client_id=to_screen.client_id,
    )
