"""Settings of a conversation that all its members share: title, description, picture and rules."""

from collections.abc import Container
from functools import partial
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from chatd.app.context import Ctx
from chatd.app.effects import Effects, Reply, ToConversation
from chatd.app.registry import command
from chatd.conversations.effects import WithConversation, message_event
from chatd.conversations.entities import Conversation, Joining, Message, SlowSeconds
from chatd.conversations.events import ConversationUpdate
from chatd.conversations.log.transaction import ConversationTx, change_conversation
from chatd.conversations.permissions import Right
from chatd.conversations.read_model import shared
from chatd.core.errors import Refused
from chatd.db import queries
from chatd.wire.base import Command, Id, Result
from chatd.wire.texts import NAME, PROSE

SQL = queries.load("conversations/group_settings")
INFO = ("title", "description", "picture")
RULES = ("announce", "disappear", "joining", "history", "keep_days", "slow_seconds")
# Changes of these are announced by a system message.
ANNOUNCED = ("title", "picture", "announce", "disappear", "keep_days")


class EditConversation(Command, tag="conversation.edit"):
    """Change the given fields of a conversation. An empty text clears the field.

    `title`, `description` and `picture` (an uploaded image) need the right to change the info; the other fields need
    the right to change the rules. In a direct conversation both members have it.

    `announce`: only moderators and above may write. `disappear`: seconds after which new messages disappear; 0: never.
    `joining`: how users may join without being added. `history`: whether new members see earlier messages. `keep_days`:
    days after which messages are deleted; 0: the setting of the server. `slow_seconds`: a member may send one message
    in this many seconds, and is refused with `rate_limited` before; 0: no limit.
    """

    conversation: Id
    title: Annotated[str, Meta(max_length=100, extra=NAME)] | None = None
    description: Annotated[str, Meta(max_length=1000, extra=PROSE)] | None = None
    picture: Id | None = None
    announce: bool | None = None
    disappear: Annotated[int, Meta(ge=0, le=31_536_000)] | None = None
    joining: Joining | None = None
    history: Literal["all", "joined"] | None = None
    keep_days: Annotated[int, Meta(ge=0, le=36_500)] | None = None
    slow_seconds: SlowSeconds | None = None


class ConversationInfo(Result, tag="conversation.info"):
    """The conversation as it is now."""

    conversation: Conversation


@command(
    EditConversation,
    result=ConversationInfo,
    cost=2,
    refuses=("not_found", "forbidden", "blocked"),
    http="PATCH /v1/conversations/{conversation}",
    uncancellable=True,
)
async def edit_conversation(ctx: Ctx, cmd: EditConversation) -> Effects:
    """`forbidden`: the requester lacks the right, the field does not apply to this kind of conversation, or a filter
    refuses a text. `not_found`: there is no such conversation, or the picture is not an image that the requester has
    uploaded.
    """
    given = {name: getattr(cmd, name) for name in INFO + RULES if getattr(cmd, name) is not None}
    if not given:
        raise Refused("bad_request", "$: expected at least one field to change")
    edited = await change_conversation(ctx, cmd.conversation, edit, cmd, given)
    return [WithConversation(cmd.conversation, partial(edit_events, edited))]


class Edited(Struct, frozen=True):
    """The rev of the changed fields, and the system messages about them."""

    rev: int
    messages: list[Message]


async def edit(tx: ConversationTx, cmd: EditConversation, given: dict[str, Any]) -> Edited:
    """Change the given settings. Raises Refused: `forbidden`, `not_found`."""
    await check(tx, cmd, given)
    return await apply(tx, given)


async def apply(tx: ConversationTx, given: dict[str, Any]) -> Edited:
    """Write the given settings, with a system message for each that is announced."""
    rev = tx.next_rev(info=True)
    await tx.run(SQL.set, *(given.get(name) for name in INFO + RULES))
    if "picture" in given:
        await tx.run(SQL.use_picture, given["picture"])
    system_messages = [
        await tx.add_system_message({"act": "conversation.edited", name: given[name]})
        for name in ANNOUNCED
        if name in given
    ]
    return Edited(rev, system_messages)


def edit_events(edited: Edited, view: Conversation) -> Effects:
    return [
        ToConversation(view.id, ConversationUpdate(conversation=shared(view), rev=edited.rev)),
        *(message_event(view.id, message) for message in edited.messages),
        Reply(ConversationInfo(conversation=view)),
    ]


async def check(tx: ConversationTx, cmd: EditConversation, given: dict[str, Any]) -> None:
    """Check the new values and the rights of the requester. Raises Refused: `forbidden`, `not_found`."""
    if any(name in given for name in INFO):
        tx.check(Right.INFO)
    if any(name in given for name in RULES):
        tx.check(Right.RULES)
    check_kind(tx, given)
    if cmd.picture is not None and await tx.one(SQL.own_upload, tx.user, cmd.picture) is None:
        raise Refused("not_found", "$.picture: expected an image that you have uploaded")


def check_kind(tx: ConversationTx, given: Container[str]) -> None:
    """Check that the fields apply to this kind of conversation. Raises Refused: `forbidden`."""
    if tx.locked.kind != "group" and any(name in given for name in ("announce", "joining", "history", "slow_seconds")):
        raise Refused("forbidden", "announce, joining, history and slow_seconds apply to groups only")
    # Messages of a match are evidence for reports: a stranger must not be able to make them disappear.
    if tx.locked.kind == "match" and any(name in given for name in ("disappear", "keep_days")):
        raise Refused("forbidden", "disappear and keep_days do not apply to a match")
