"""Lists of all users and of all conversations of a tenant, with filters.

A page examines at most `MAX_EXAMINED` rows, so that a filter that selects few of many is no long statement. It may then
have few items, or none, and a cursor.
"""

import re
from typing import Annotated, ClassVar, Literal

from msgspec import Meta, Struct, convert

from chatd.app.context import Ctx
from chatd.app.effects import Effects, Reply
from chatd.app.registry import server_command
from chatd.core.errors import Refused
from chatd.core.ids import NIL, UUID
from chatd.db import queries
from chatd.db.batches import page_of
from chatd.server_api.users import ServerUser, read
from chatd.wire.base import MAX_BIGINT, Cursor, Id, Limit, Millis, Result, Rev, Seq
from chatd.wire.reference.examples import Example
from chatd.wire.server import ServerCommand
from chatd.wire.times import Moment

SQL = queries.load("server_api/lists")
MAX_EXAMINED = 2000
LAST_ID = "ffffffff-ffff-ffff-ffff-ffffffffffff"
USER_CURSOR = re.compile(rf"([0-9]{{1,18}})\.({UUID})")
HasExternalId = Annotated[bool, Meta(description="Only those with an external id, or only those without one")]


class ServerListUsers(ServerCommand, tag="server.users.list"):
    """List all users of the tenant that are not erased, in the order of their last change.

    `created_since`, `created_until`: when they were created, from the first time to before the second one.
    `updated_since`: created or changed since that time. A page may have fewer items than `limit`, or none, and a
    `cursor` for the next one.
    """

    created_since: Moment | None = None
    created_until: Moment | None = None
    updated_since: Moment | None = None
    has_external_id: HasExternalId | None = None
    cursor: Cursor | None = None
    limit: Limit = 100


class ListedUser(Struct, kw_only=True, frozen=True):
    """A user, and when they were created or changed last, with their profile, roles and deactivation."""

    user: ServerUser
    updated_at: Millis


class UserPage(Result, tag="server.user.page"):
    """A page of users. `cursor` is null on the last page."""

    items: list[ListedUser]
    cursor: str | None


@server_command(ServerListUsers, result=UserPage, scope="read", cost=2, http="GET /v1/server/users")
async def list_users(ctx: Ctx, cmd: ServerListUsers) -> Effects:
    after = user_position(cmd)
    edge = await ctx.node.db.one(SQL.users_edge, ctx.tenant, *after, MAX_EXAMINED - 1)
    up_to = (MAX_BIGINT, LAST_ID) if edge is None else (edge["updated_at"], edge["id"])
    filters = (cmd.created_since or 0, cmd.created_until or MAX_BIGINT, cmd.has_external_id)
    rows = await ctx.node.db.all(SQL.users, ctx.tenant, *after, *up_to, *filters, cmd.limit + 1)
    page, more = page_of(rows, cmd.limit)
    last = (page[-1]["updated_at"], page[-1]["id"]) if more else None if edge is None else up_to
    items = [ListedUser(user=read(row), updated_at=row["updated_at"]) for row in page]
    return [Reply(UserPage(items=items, cursor=None if last is None else f"{last[0]}.{last[1]}"))]


def user_position(cmd: ServerListUsers) -> tuple[int, str]:
    """The position after which a page begins. Raises Refused: `bad_request`."""
    # A user is not changed before they are created.
    start = (max(cmd.updated_since or 0, cmd.created_since or 0) - 1, LAST_ID)
    if cmd.cursor is None:
        return start
    found = USER_CURSOR.fullmatch(cmd.cursor)
    if found is None:
        raise Refused("bad_request", "$.cursor: expected a cursor from server.users.list")
    return max(start, (int(found[1]), found[2]))


class ServerListAllConversations(ServerCommand, tag="server.conversations.list"):
    """List all conversations of the tenant, ordered by id.

    `created_since`, `created_until`: when they were created, from the first time to before the second one.
    `active_since`: with a message since that time, or created since then. A page may have fewer items than `limit`, or
    none, and a `cursor` for the next one.
    """

    created_since: Moment | None = None
    created_until: Moment | None = None
    active_since: Moment | None = None
    has_external_id: HasExternalId | None = None
    cursor: Id | None = None
    limit: Limit = 100


class ListedConversation(Struct, kw_only=True, frozen=True):
    """A conversation without its members. `active_at`: the time of the last message, or of the creation."""

    id: Id
    external_id: str | None
    kind: Literal["direct", "group", "match"]
    title: str | None
    member_count: int
    seq: Seq
    rev: Rev
    created_at: Millis
    active_at: Millis
    EXAMPLE: ClassVar = Example(external_id="order-4711")


class ConversationPage(Result, tag="server.conversation.page"):
    """A page of conversations. `cursor` is null on the last page."""

    items: list[ListedConversation]
    cursor: Id | None


@server_command(
    ServerListAllConversations, result=ConversationPage, scope="read", cost=2, http="GET /v1/server/conversations"
)
async def list_all_conversations(ctx: Ctx, cmd: ServerListAllConversations) -> Effects:
    after = cmd.cursor or NIL
    edge = await ctx.node.db.one(SQL.conversations_edge, ctx.tenant, after, MAX_EXAMINED - 1)
    up_to = LAST_ID if edge is None else edge["id"]
    filters = (cmd.created_since or 0, cmd.created_until or MAX_BIGINT, cmd.active_since or 0, cmd.has_external_id)
    rows = await ctx.node.db.all(SQL.conversations, ctx.tenant, after, up_to, *filters, cmd.limit + 1)
    page, more = page_of(rows, cmd.limit)
    last = page[-1]["id"] if more else None if edge is None else up_to
    items = convert([dict(row) for row in page], list[ListedConversation])
    return [Reply(ConversationPage(items=items, cursor=last))]
