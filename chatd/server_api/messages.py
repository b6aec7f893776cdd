"""Messages: posting them as the system or for a user, editing and deleting them."""

from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta
from msgspec.structs import asdict

from chatd.app.context import Ctx
from chatd.app.effects import Effects, Reply
from chatd.app.registry import server_command
from chatd.conversations.attachment_types import MAX_ATTACHMENTS, AttachmentInput
from chatd.conversations.button_types import Buttons
from chatd.conversations.log.transaction import SYSTEM_USER, ConversationTx
from chatd.conversations.messages.buttons import checked
from chatd.conversations.messages.deletion import delete_messages, deletion_events
from chatd.conversations.messages.edits import (
    Edited,
    EditedText,
    MessageResult,
    NewContent,
    check_editable,
    check_new_content,
    check_pace,
    edit_effects,
    store_content,
)
from chatd.conversations.messages.sending import (
    MessageAck,
    MessageMeta,
    MessageText,
    MessageWithButtons,
    is_known,
    prepare,
)
from chatd.conversations.settings import MessageSettings
from chatd.core.errors import Refused
from chatd.db import queries
from chatd.server_api.acting import As, acting_as, as_system, change
from chatd.wire.base import ClientId, Id, Ok
from chatd.wire.reference.examples import Example
from chatd.wire.server import Scope, ServerCommand

SQL = queries.load("server_api/messages")
IN_THE_NAME_OF_USERS: Scope = "users:write"


class ServerPostMessage(ServerCommand, tag="server.message.send"):
    """Post a message: as the system, or for the user `sender`, who is a member.

    The fields have the meaning of `message.send`. Sending it again with the same `client_id` gives the same ack and no
    second message, without a time limit; a `client_id` is unique for each sender, and the system is one. Messages of
    the system pass no filter, slow mode or block; those for a user follow the rules for that user. `actions`: buttons,
    for a `sender` that is a bot.
    """

    conversation: Id
    client_id: ClientId
    sender: Id | None = None
    text: MessageText | None = None
    attachments: Annotated[list[AttachmentInput], Meta(max_length=MAX_ATTACHMENTS)] = msgspec.field(
        default_factory=list
    )
    reply_to: Id | None = None
    meta: MessageMeta | None = None
    mentions: Annotated[list[Id], Meta(max_length=50)] = msgspec.field(default_factory=list)
    everybody: bool = False
    thread: Id | None = None
    actions: Buttons = msgspec.field(default_factory=list)
    EXAMPLE: ClassVar = Example(client_id="order-4711-shipped", text="Your parcel is on its way.")


@server_command(
    ServerPostMessage,
    result=MessageAck,
    scope="messages:write",
    refuses=("not_found", "conflict", "too_large", "blocked", "forbidden"),
    http="POST /v1/server/conversations/{conversation}/messages",
)
async def post(ctx: Ctx, cmd: ServerPostMessage) -> Effects:
    """`forbidden`: a message for a user needs the scope `users:write` too; the user may not write there, or is no bot
    and sends `actions`; or a filter refuses the message. `not_found`: there is no such conversation with members, the
    user is not a member, or a message or upload does not exist. The other refusals are those of `message.send`.
    """
    acting = acting_for(ctx, cmd.sender)
    if cmd.sender is not None:
        await check_member(acting, cmd)
    fields = {name: value for name, value in asdict(cmd).items() if name != "sender"}
    fields["attachments"] = cmd.attachments
    append = await prepare(acting, MessageWithButtons(**fields), MessageAck)
    return [As(acting, [append])]


def acting_for(ctx: Ctx, sender: str | None) -> Ctx:
    """The context of the sender of a message. Raises Refused: `forbidden`, `not_found`."""
    if sender is None:
        return as_system(ctx)
    if IN_THE_NAME_OF_USERS not in ctx.service_identity.scopes:
        raise Refused("forbidden", f"messages in the name of users need the scope {IN_THE_NAME_OF_USERS} too")
    if sender == SYSTEM_USER:
        raise Refused("not_found", "$.sender: no such user")
    return acting_as(ctx, sender)


async def check_member(acting: Ctx, cmd: ServerPostMessage) -> None:
    """Name the field of a sender who is not a member; a repeated message needs none. Raises Refused: `not_found`."""
    if await acting.node.db.value(SQL.is_member, acting.tenant, cmd.conversation, acting.user) is not None:
        return
    if not await is_known(acting, cmd.client_id):
        raise Refused("not_found", "$.sender: this user is not a member of this conversation, or it does not exist")


class ServerEditMessage(ServerCommand, tag="server.message.edit"):
    """Change the text of a message, or the buttons of a message of a bot, at any time. Omitted fields stay unchanged;
    an empty list removes the buttons. Deleted and forwarded messages cannot be edited.
    """

    conversation: Id
    message: Id
    text: EditedText | None = None
    actions: Buttons | None = None
    EXAMPLE: ClassVar = Example(shown=("text",))


@server_command(
    ServerEditMessage,
    result=MessageResult,
    scope="messages:write",
    refuses=("not_found", "forbidden", "conflict", "too_large"),
    http="PATCH /v1/server/conversations/{conversation}/messages/{message}",
    uncancellable=True,
)
async def edit_message(ctx: Ctx, cmd: ServerEditMessage) -> Effects:
    """`forbidden`: the message was forwarded; a message of a user needs the scope `users:write` too; or `actions` are
    for a message that no bot has sent. `conflict`: the message was deleted. `too_large`: the text or the buttons are
    too large, or the message was edited `messages.edits` times. `rate_limited`: more than `messages.edits_per_minute`.
    """
    check_new_content(ctx, cmd.text, cmd.actions)
    new = NewContent(cmd.text, actions=None if cmd.actions is None else checked(cmd.actions))
    acting = as_system(ctx)
    may_edit_users = IN_THE_NAME_OF_USERS in ctx.service_identity.scopes
    settings = ctx.node.config.get(MessageSettings)
    edited = await change(acting, cmd.conversation, write_edit, cmd.message, new, may_edit_users, settings)
    return [As(acting, edit_effects(edited))]


async def write_edit(
    tx: ConversationTx, message: str, new: NewContent, may_edit_users: bool, settings: MessageSettings
) -> Edited:
    """Store the new content of a message. Raises Refused: `not_found`, `forbidden`, `conflict`, `too_large`,
    `rate_limited`.
    """
    row = await tx.message(message)
    if row["system"] is not None:
        raise Refused("forbidden", "a message about what has happened cannot be edited")
    if row["author"] != SYSTEM_USER and not may_edit_users:
        raise Refused("forbidden", f"messages of users need the scope {IN_THE_NAME_OF_USERS} too")
    check_editable(row)
    if new.text is not None:
        await check_pace(tx, row["seq"], settings)
    return await store_content(tx, row, new)


class ServerDeleteMessage(ServerCommand, tag="server.message.delete"):
    """Delete a message of any sender for all members. A tombstone stays; deleting it again changes nothing."""

    conversation: Id
    message: Id


@server_command(
    ServerDeleteMessage,
    result=Ok,
    scope="messages:write",
    refuses=("not_found",),
    http="DELETE /v1/server/conversations/{conversation}/messages/{message}",
    uncancellable=True,
)
async def delete_message(ctx: Ctx, cmd: ServerDeleteMessage) -> Effects:
    """`not_found`: there is no such message."""
    acting = as_system(ctx)
    deleted = await change(acting, cmd.conversation, delete, cmd.message)
    return [As(acting, [*deleted, Reply(Ok())])]


async def delete(tx: ConversationTx, message: str) -> Effects:
    """Raises Refused: `not_found`."""
    row = await tx.message(message)
    if row["deleted_at"] is not None:
        return []
    return deletion_events(tx, await delete_messages(tx, [row["seq"]]), "delete")
