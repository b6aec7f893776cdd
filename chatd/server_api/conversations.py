"""Conversations: creating, changing and dissolving them."""

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta

from chatd.app.context import Ctx
from chatd.app.effects import Broadcast, Effects, Reply, ToConversation
from chatd.app.registry import server_command
from chatd.cluster.control_messages import SubscribeUsers
from chatd.conversations.commands.conversations import check_not_erased, insert_direct
from chatd.conversations.commands.group_settings import INFO, RULES, Edited, apply, check_kind
from chatd.conversations.commands.groups import dissolve
from chatd.conversations.consent_rules import AnnounceAccepted, accept_direct
from chatd.conversations.effects import message_event
from chatd.conversations.entities import Joining, SlowSeconds
from chatd.conversations.events import ConversationUpdate
from chatd.conversations.log.transaction import ConversationTx
from chatd.conversations.membership import check_bots_of, check_conversation_limit
from chatd.conversations.settings import ConversationLimits
from chatd.core.errors import Refused
from chatd.core.ids import NIL, uuid7
from chatd.db import queries
from chatd.db.postgres import ForeignKeyViolation, Tx
from chatd.server_api.acting import As, acting_as, as_system, change, change_group
from chatd.server_api.external_ids import ExternalId, check_external_id, conversation_id_of
from chatd.server_api.views import ServerConversation, View, WithView
from chatd.wire.base import Id, Name, Ok
from chatd.wire.reference.examples import ALICE, BOB, Example
from chatd.wire.server import ServerCommand
from chatd.wire.texts import NAME, PROSE

SQL = queries.load("server_api/conversations")


class ServerCreateGroup(ServerCommand, tag="server.conversation.create"):
    """Create a group. Without `owner` no member owns it, and only your backend changes its members.

    With an `external_id` the command is idempotent: repeated, it answers with the group that exists, and changes
    nothing. Blocks between the members do not matter.
    """

    members: Annotated[list[Id], Meta(max_length=10_000)]
    title: Name | None = None
    owner: Id | None = None
    external_id: ExternalId | None = None
    joining: Joining = "closed"
    EXAMPLE: ClassVar = Example(shown=("external_id",), external_id="order-4711", members=ALICE)


@server_command(
    ServerCreateGroup,
    result=ServerConversation,
    scope="conversations:write",
    cost=5,
    refuses=("not_found", "too_large", "conflict"),
    http="POST /v1/server/conversations",
    uncancellable=True,
)
async def create_group(ctx: Ctx, cmd: ServerCreateGroup) -> Effects:
    """`not_found`: a member does not exist. `conflict`: the external id is that of a direct conversation. `too_large`:
    there are too many members, or one of them is in too many conversations.
    """
    check_external_id(cmd.external_id)
    users = sorted({*cmd.members, *([cmd.owner] if cmd.owner else [])})
    most = ctx.node.config.get(ConversationLimits).members
    if len(users) > most:
        raise Refused("too_large", f"$.members: expected at most {most} members, the owner included")
    if NIL in users:
        raise Refused("not_found", "$.members: no such user")
    acting = as_system(ctx)
    if cmd.external_id is not None and (known := await existing(ctx, cmd.external_id, "group")) is not None:
        return [As(acting, [WithView(known, partial(opened_events, ctx, created=False))])]
    await check_not_erased(acting, users)
    await check_conversation_limit(acting, NIL, users)
    await check_bots_of(acting, users)
    id_ = conversation_id_of(ctx.tenant, cmd.external_id) if cmd.external_id else uuid7(ctx.now)
    values = (id_, cmd.title, cmd.owner, users, ctx.now, cmd.external_id, cmd.joining)
    try:
        made = await ctx.node.db.value(SQL.create_group, ctx.tenant, *values)
    except ForeignKeyViolation:
        raise Refused("not_found", "$.members: no such user") from None
    if made is None and cmd.external_id is not None:
        await existing(ctx, cmd.external_id, "group")
    return [As(acting, [WithView(id_, partial(opened_events, ctx, users=users, created=made is not None))])]


async def existing(ctx: Ctx, external_id: str, kind: str) -> str | None:
    """The id of the conversation with this external id. Raises Refused: `conflict` if it is of another kind."""
    row = await ctx.node.db.one(SQL.by_external_id, ctx.tenant, external_id)
    if row is None:
        return None
    if row["kind"] != kind:
        raise Refused("conflict", f"$.external_id: it is the external id of another conversation, a {row['kind']} one")
    return str(row["id"])


def opened_events(ctx: Ctx, view: View, *, users: Sequence[str] = (), created: bool) -> Effects:
    """Subscribe the members of a new conversation, answer, and send it to them."""
    reply = Reply(view.result(created=created))
    if not created:
        return [reply]
    seen = view.conversation
    joined = Broadcast(SubscribeUsers(ctx.tenant, seen.id, list(users), seen.rev))
    return [joined, reply, ToConversation(seen.id, ConversationUpdate(conversation=view.shared))]


class ServerOpenDirect(ServerCommand, tag="server.conversation.direct"):
    """Open the direct conversation of `user` with `other`, as if `user` had done it. Two users have only one;
    `external_id` is set when it is created. Neither user is asked; a request of one to the other is accepted.
    """

    user: Id
    other: Id
    external_id: ExternalId | None = None
    EXAMPLE: ClassVar = Example(user=ALICE, other=BOB)


@server_command(
    ServerOpenDirect,
    result=ServerConversation,
    scope="conversations:write",
    cost=2,
    refuses=("not_found", "blocked", "too_large", "conflict"),
    http="POST /v1/server/conversations/direct",
    uncancellable=True,
)
async def open_direct(ctx: Ctx, cmd: ServerOpenDirect) -> Effects:
    """`not_found`: one of the users does not exist. `blocked`: one has blocked the other. `conflict`: the external id
    is that of another conversation. `too_large`: one of the two is in too many conversations.
    """
    check_external_id(cmd.external_id)
    low, high = users = sorted((cmd.user, cmd.other))
    if low == high:
        raise Refused("bad_request", "$.other: expected another user than `user`")
    acting = acting_as(ctx, cmd.user)
    found = await ctx.node.db.one(SQL.find_direct, ctx.tenant, low, high)
    known = None if found is None else found["id"]
    if cmd.external_id is not None and await existing(ctx, cmd.external_id, "direct") not in (None, known):
        raise Refused("conflict", "$.external_id: it is the external id of another conversation")
    if found is not None:
        accepted = [] if found["requested"] is None else await accept_for(ctx, found["id"], found["requested"])
        return [*accepted, As(acting, [WithView(found["id"], partial(opened_events, ctx, created=False))])]
    await check_not_erased(acting, users)
    await check_conversation_limit(acting, NIL, users)
    try:
        made = await ctx.node.db.in_transaction(insert_named_direct, acting, cmd.other, cmd.external_id)
    except ForeignKeyViolation:
        raise Refused("not_found", "$: no such user") from None
    if made is None:
        return await open_direct(ctx, cmd)
    return [As(acting, [WithView(made, partial(opened_events, ctx, users=users, created=True))])]


async def accept_for(ctx: Ctx, conversation: str, user: str) -> Effects:
    """Accept the direct conversation for a user who was asked to. Raises Refused: `blocked`."""
    acting = acting_as(ctx, user)
    accepted = await change(acting, conversation, accept_direct, True)
    return [] if accepted is None else [As(acting, [AnnounceAccepted(conversation, accepted)])]


async def insert_named_direct(tx: Tx, acting: Ctx, other: str, external_id: str | None) -> str | None:
    """Insert a direct conversation, without asking the other user. Returns its id, or None if there is one.

    Raises Refused: `blocked`; ForeignKeyViolation.
    """
    low, high = sorted((acting.user, other))
    made = await insert_direct(tx, acting, low, high)
    if made is not None and external_id is not None:
        await tx.run(SQL.set_external_id, acting.tenant, made, external_id)
    return made


class ServerEditConversation(ServerCommand, tag="server.conversation.edit"):
    """Change the given fields of a conversation. An empty text clears the field.

    The fields have the meaning of `conversation.edit`; no right is needed.
    """

    conversation: Id
    title: Annotated[str, Meta(max_length=100, extra=NAME)] | None = None
    description: Annotated[str, Meta(max_length=1000, extra=PROSE)] | None = None
    announce: bool | None = None
    disappear: Annotated[int, Meta(ge=0, le=31_536_000)] | None = None
    joining: Joining | None = None
    history: Literal["all", "joined"] | None = None
    keep_days: Annotated[int, Meta(ge=0, le=36_500)] | None = None
    slow_seconds: SlowSeconds | None = None


@server_command(
    ServerEditConversation,
    result=ServerConversation,
    scope="conversations:write",
    cost=2,
    refuses=("not_found", "forbidden"),
    http="PATCH /v1/server/conversations/{conversation}",
    uncancellable=True,
)
async def edit_conversation(ctx: Ctx, cmd: ServerEditConversation) -> Effects:
    """`forbidden`: the field does not apply to this kind of conversation, or a filter refuses a text."""
    given = {name: value for name in INFO + RULES if (value := getattr(cmd, name, None)) is not None}
    if not given:
        raise Refused("bad_request", "$: expected at least one field to change")
    acting = as_system(ctx)
    edited = await change(acting, cmd.conversation, edit, given)
    return [As(acting, [WithView(cmd.conversation, partial(edit_events, edited))])]


async def edit(tx: ConversationTx, given: dict[str, Any]) -> Edited:
    """Change the given settings. Raises Refused: `forbidden`."""
    check_kind(tx, given)
    return await apply(tx, given)


def edit_events(edited: Edited, view: View) -> Effects:
    seen = view.conversation
    return [
        ToConversation(seen.id, ConversationUpdate(conversation=view.shared, rev=edited.rev)),
        *(message_event(seen.id, message) for message in edited.messages),
        Reply(view.result()),
    ]


class ServerDissolveConversation(ServerCommand, tag="server.conversation.dissolve"):
    """Dissolve a group. All memberships end, and no user has access to it any more."""

    conversation: Id


@server_command(
    ServerDissolveConversation,
    result=Ok,
    scope="conversations:write",
    refuses=("not_found", "forbidden"),
    http="DELETE /v1/server/conversations/{conversation}",
    uncancellable=True,
)
async def dissolve_conversation(ctx: Ctx, cmd: ServerDissolveConversation) -> Effects:
    """`forbidden`: this is not a group."""
    acting = as_system(ctx)
    gone = await change_group(acting, cmd.conversation, dissolve)
    return [As(acting, [Reply(Ok()), gone])]
