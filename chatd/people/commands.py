"""Profiles: one's own, those of others one by one and in batches, and the search."""

import re
from typing import Annotated, ClassVar

from msgspec import Meta

from chatd.app.context import Ctx
from chatd.app.effects import Effects, Reply
from chatd.app.registry import command
from chatd.core.errors import Refused
from chatd.core.ids import PYTHON_END, UUID, is_uuid
from chatd.db import queries
from chatd.people.entities import User, own_user_of
from chatd.people.lookup import Since, find_by_handle, find_users
from chatd.wire.base import Command, Cursor, Id, Result
from chatd.wire.reference.examples import Example

SQL = queries.load("people/profiles")
MAX_BATCH = 100
IdOrHandle = Annotated[
    str, Meta(pattern=f"^(?:{UUID}|@[^@/\\s]{{1,64}}){PYTHON_END}", description="UUID, lower case, or `@` and a handle")
]
# A transaction id without leading zeros, which Postgres would read as an octal number.
CURSOR = re.compile(r"([0-9a-f.]{1,40}):(0|[1-9][0-9]{0,18})")


class UserResult(Result, tag="user"):
    """A user."""

    user: User


class GetOwnUser(Command, tag="me.get"):
    """Get your own profile."""


@command(GetOwnUser, result=UserResult, refuses=("unauthenticated",), http="GET /v1/me")
async def get_own_user(ctx: Ctx, _: GetOwnUser) -> Effects:
    row = await ctx.node.db.one(SQL.own, ctx.tenant, ctx.user)
    if row is None:
        # The account was erased after the sign-in.
        raise Refused("unauthenticated", "no such user")
    return [Reply(UserResult(user=own_user_of(row)))]


class GetUser(Command, tag="user.get"):
    """Get the profile of a user, by id or by `@handle`.

    The alias of a member of your running match gets the name only. A user who has blocked you has no status and no
    profile for you, and is not found by handle.
    """

    user: IdOrHandle
    EXAMPLE: ClassVar = Example(user="@bob")


@command(GetUser, result=UserResult, refuses=("not_found",), http="GET /v1/users/{user}")
async def get_user(ctx: Ctx, cmd: GetUser) -> Effects:
    """`not_found`: there is no such user."""
    if is_uuid(cmd.user):
        user = (await find_users(ctx, [cmd.user])).users.get(cmd.user)
    else:
        user = await find_by_handle(ctx, cmd.user)
    if user is None:
        raise Refused("not_found", "$.user: no such user")
    return [Reply(UserResult(user=user))]


class QueryUsers(Command, tag="user.query"):
    """Get the profiles of up to 100 users, by id or by the alias of a member of your running match.

    `changed_since`: the `cursor` of an earlier answer, about these users or others; users whose profiles have not
    changed since are left out. Keep the cursor of the first answer after each connect, and use it after the next one.
    """

    users: Annotated[list[Id], Meta(min_length=1, max_length=MAX_BATCH)]
    changed_since: Cursor | None = None


class Users(Result, tag="users"):
    """Users, in the order of the request. `unknown`: ids that belong to no user.

    After the database was restored from a backup, `changed_since` leaves out nobody.
    """

    items: list[User]
    unknown: list[Id]
    cursor: str


@command(QueryUsers, result=Users, cost=5, http="POST /v1/users/query")
async def query_users(ctx: Ctx, cmd: QueryUsers) -> Effects:
    ids = list(dict.fromkeys(cmd.users))
    found = await find_users(ctx, ids, position(cmd.changed_since))
    items = [found.users[id_] for id_ in ids if id_ in found.users]
    unknown = [id_ for id_ in ids if id_ not in found.users and id_ not in found.unchanged]
    return [Reply(Users(items=items, unknown=unknown, cursor=str(found.now)))]


def position(cursor: str | None) -> Since:
    """Decode a cursor. Raises Refused: `bad_request`."""
    if cursor is None:
        return Since()
    match = CURSOR.fullmatch(cursor)
    if match is None or int(match[2]) >= 2**63:
        raise Refused("bad_request", "$.changed_since: expected a cursor from user.query")
    return Since(*match.groups())
