"""Users: creating and updating them, also in bulk, and looking them up."""

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from chatd.accounts.external_ids import external_id_of, user_id_of
from chatd.accounts.profile_claims import MAX_ROLE, MAX_ROLES
from chatd.accounts.signals import ProfileChanged
from chatd.app.command_texts import stored_text
from chatd.app.context import Ctx
from chatd.app.effects import Effects, Reply, SendSignal
from chatd.app.registry import server_command
from chatd.conversations.messages.attachments import is_web_url
from chatd.core.errors import Refused
from chatd.core.turns import each_in_turns, in_turns
from chatd.db import queries
from chatd.db.batches import to_unnest_arrays
from chatd.db.jsonb import to_jsonb
from chatd.db.postgres import Row, Tx
from chatd.people.updates import Locale
from chatd.server_api.external_ids import ExternalId
from chatd.wire.base import Id, Millis, Result
from chatd.wire.reference.examples import Example
from chatd.wire.server import ServerCommand
from chatd.wire.texts import PRIVATE, TextKind

SQL = queries.load("server_api/users")
MAX_IN_BULK = 1000
MAX_FOUND = 200
# Names pass the filters one by one, so that a refusal is the result of one user only.
UserName = Annotated[str, Meta(max_length=100, extra=PRIVATE)]
PictureUrl = Annotated[str, Meta(max_length=2048, extra=PRIVATE)]
RoleName = Annotated[str, Meta(min_length=1, max_length=MAX_ROLE, extra=PRIVATE)]
Roles = Annotated[list[RoleName], Meta(max_length=MAX_ROLES)]


class UserInput(Struct, forbid_unknown_fields=True):
    """A user to create or to update, by `external_id` or by `user`. An absent field stays as it is; an empty one is
    removed.
    """

    external_id: ExternalId | None = None
    user: Id | None = None
    name: UserName | None = None
    picture_url: PictureUrl | None = None
    locale: Locale | None = None
    roles: Roles | None = None
    EXAMPLE: ClassVar = Example(left_out=("user",), external_id="customer-17", locale="pt-BR")


class ServerUser(Struct, kw_only=True, frozen=True):
    """A user. `external_id` is null if your backend names the user by `id`. `bot`: a program. `deactivated_at`: the
    user cannot sign in.
    """

    id: Id
    external_id: str | None
    name: str | None
    picture_url: str | None
    locale: str | None
    roles: list[str]
    anonymous: bool
    bot: bool
    created_at: Millis
    deactivated_at: Millis | None
    EXAMPLE: ClassVar = Example(external_id="customer-17", anonymous=False, bot=False)


class ServerUserResult(Result, tag="server.user"):
    """The user as it is now. `created`: the command has created it."""

    user: ServerUser
    created: bool


class ItemError(Struct, kw_only=True, frozen=True):
    """Why one user of a bulk was refused; `code` is one of the table of refusals."""

    code: str
    message: str


class PutOutcome(Struct, kw_only=True, frozen=True):
    """What happened to one user of a bulk. `user` is the id; `error` comes with `refused`."""

    user: Id
    outcome: Literal["created", "updated", "unchanged", "refused"]
    error: ItemError | UnsetType = UNSET


class PutResults(Result, tag="server.users.put"):
    """The result of each user, in the order of the request."""

    items: list[PutOutcome]


class Prepared(Struct, frozen=True):
    """A user to write: the id, and the fields as they are stored; null leaves a field, an empty one removes it."""

    id: str
    external_id: str | None
    name: str | None
    picture_url: str | None
    locale: str | None
    roles: str | None


class ServerPutUser(ServerCommand, tag="server.user.put"):
    """Create a user, or update the one with this `external_id` or this id (`user`).

    An absent field stays as it is; an empty one is removed. The id of a user with an external id is a UUIDv5 of it, see
    `docs/auth.md`. Later, claims of the user's own tokens update these fields when they change.
    """

    external_id: ExternalId | None = None
    user: Id | None = None
    name: UserName | None = None
    picture_url: PictureUrl | None = None
    locale: Locale | None = None
    roles: Roles | None = None
    EXAMPLE: ClassVar = Example(shown=("external_id", "name"), external_id="customer-17")


@server_command(
    ServerPutUser,
    result=ServerUserResult,
    scope="users:write",
    refuses=("conflict",),
    http="POST /v1/server/users",
    uncancellable=True,
)
async def put_user(ctx: Ctx, cmd: ServerPutUser) -> Effects:
    """`conflict`: the user was erased; an id is never used for another user. `forbidden`: a filter refuses the name."""
    given = UserInput(*(getattr(cmd, field) for field in UserInput.__struct_fields__))
    prepared = await prepare(ctx, given, id_of(ctx.tenant, given, "$"), "$")
    done = (await ctx.node.db.in_transaction(write_users, ctx.tenant, ctx.now, [prepared]))[0]
    if done.outcome == "refused":
        raise erased()
    user = await user_of(ctx, prepared.id)
    return [*announced(ctx, [done]), Reply(ServerUserResult(user=user, created=done.outcome == "created"))]


class ServerPutUsers(ServerCommand, tag="server.users.put"):
    """Create or update up to 1,000 users, each as `server.user.put` does.

    A request of the wrong form is refused as a whole, and changes nothing; so is one that names a user twice.
    Otherwise each user has a result of its own. Repeating the request changes nothing.
    """

    users: Annotated[list[UserInput], Meta(min_length=1, max_length=MAX_IN_BULK)]


@server_command(
    ServerPutUsers,
    result=PutResults,
    scope="users:write",
    cost=20,
    http="POST /v1/server/users/batch",
    uncancellable=True,
)
async def put_users(ctx: Ctx, cmd: ServerPutUsers) -> Effects:
    """The refusals of one user: `conflict`, the user was erased; `forbidden`, a filter refuses the name."""
    given = list(enumerate(cmd.users))
    ids = [id_of(ctx.tenant, one, f"$.users[{index}]") async for index, one in each_in_turns(given)]
    check_distinct(ids)
    refused: dict[str, PutOutcome] = {}
    prepared: list[Prepared] = []
    async for index, one in each_in_turns(given):
        try:
            prepared.append(await prepare(ctx, one, ids[index], f"$.users[{index}]"))
        except Refused as error:
            if error.code == "bad_request":
                raise
            refused[ids[index]] = refused_outcome(ids[index], error)
    done = await ctx.node.db.in_transaction(write_users, ctx.tenant, ctx.now, prepared) if prepared else []
    outcomes = refused | {one.user: one for one in done}
    return [*announced(ctx, done), Reply(PutResults(items=[outcomes[id_] for id_ in ids]))]


def announced(ctx: Ctx, done: Sequence[PutOutcome]) -> Effects:
    """The changes of profiles, for those who know the users."""
    return [SendSignal(ProfileChanged(ctx.tenant, one.user)) for one in done if one.outcome == "updated"]


def id_of(tenant: str, given: UserInput, path: str) -> str:
    """The id of a user. Raises Refused: `bad_request`."""
    name = given.external_id if given.user is None else given.user
    if name is None or (given.user is not None and given.external_id is not None):
        raise Refused("bad_request", f"{path}: expected either external_id or user")
    try:
        return user_id_of(tenant, name)
    except ValueError as error:
        raise Refused("bad_request", f"{path}.{'user' if given.user else 'external_id'}: {error}") from None


def check_distinct(ids: Sequence[str]) -> None:
    """Raises Refused: `bad_request` if a user is named twice."""
    first: dict[str, int] = {}
    for index, id_ in enumerate(ids):
        if first.setdefault(id_, index) != index:
            raise Refused("bad_request", f"$.users[{index}]: the same user as $.users[{first[id_]}]")


async def prepare(ctx: Ctx, given: UserInput, id_: str, path: str) -> Prepared:
    """Check the fields of a user. Raises Refused: `bad_request`, `forbidden` if a filter refuses the name."""
    if given.picture_url and not is_web_url(given.picture_url):
        raise Refused("bad_request", f"{path}.picture_url: expected an http or https address")
    name = given.name
    if name:
        name = await in_turns(stored_text(ctx.node, ctx.tenant, TextKind.NAME, name, f"{path}.name"))
    external_id = None if given.external_id is None else external_id_of(given.external_id)
    roles = None if given.roles is None else to_jsonb(list(dict.fromkeys(given.roles)))
    return Prepared(id_, external_id, name, given.picture_url, given.locale, roles)


async def write_users(tx: Tx, tenant: str, now: int, users: Sequence[Prepared]) -> list[PutOutcome]:
    """Create or update users. They are locked in the order of their ids, so that two bulks do not deadlock."""
    ordered = sorted(users, key=lambda one: one.id)
    columns = to_unnest_arrays([msgspec.structs.astuple(one) for one in ordered], len(Prepared.__struct_fields__))
    created = {row["id"] for row in await tx.all(SQL.insert, tenant, now, *columns)}
    erased_ids = {row["id"] for row in await tx.all(SQL.lock, tenant, columns[0]) if row["is_erased"]}
    updated = {row["id"] for row in await tx.all(SQL.update, tenant, *columns)} - created
    return [
        refused_outcome(one.id, erased())
        if one.id in erased_ids
        else PutOutcome(
            user=one.id,
            outcome="created" if one.id in created else "updated" if one.id in updated else "unchanged",
        )
        for one in users
    ]


def erased() -> Refused:
    return Refused("conflict", "the user with this id was erased, and its id is not used again")


def refused_outcome(id_: str, error: Refused) -> PutOutcome:
    return PutOutcome(user=id_, outcome="refused", error=ItemError(code=error.code, message=error.message))


class ServerGetUser(ServerCommand, tag="server.user.get"):
    """Get a user."""

    user: Id


@server_command(
    ServerGetUser, result=ServerUserResult, scope="read", refuses=("not_found",), http="GET /v1/server/users/{user}"
)
async def get_user(ctx: Ctx, cmd: ServerGetUser) -> Effects:
    """`not_found`: there is no such user, or it was erased."""
    return [Reply(ServerUserResult(user=await user_of(ctx, cmd.user), created=False))]


async def user_of(ctx: Ctx, user: str) -> ServerUser:
    """One user. Raises Refused: `not_found`."""
    rows = await ctx.node.db.all(SQL.find, ctx.tenant, [user])
    if not rows:
        raise Refused("not_found", "no such user")
    return read(rows[0])


def read(row: Row) -> ServerUser:
    return ServerUser(**{name: row[name] for name in ServerUser.__struct_fields__})


class ServerFindUsers(ServerCommand, tag="server.users.find"):
    """Look up users by id and by external id, up to 200 together. Unknown and erased users are left out."""

    users: Annotated[list[Id], Meta(max_length=MAX_FOUND)] = msgspec.field(default_factory=list)
    external_ids: Annotated[list[ExternalId], Meta(max_length=MAX_FOUND)] = msgspec.field(default_factory=list)
    EXAMPLE: ClassVar = Example(shown=("external_ids",), external_ids="customer-17")


class UserList(Result, tag="server.users"):
    """Users, in the order of their ids."""

    items: list[ServerUser]


@server_command(ServerFindUsers, result=UserList, scope="read", cost=2, http="POST /v1/server/users/find")
async def find_users(ctx: Ctx, cmd: ServerFindUsers) -> Effects:
    names = [UserInput(user=one) for one in cmd.users] + [UserInput(external_id=one) for one in cmd.external_ids]
    if len(names) > MAX_FOUND:
        raise Refused("bad_request", f"$: expected at most {MAX_FOUND} users")
    ids = [id_of(ctx.tenant, one, "$") for one in names]
    rows = await ctx.node.db.all(SQL.find, ctx.tenant, ids)
    return [Reply(UserList(items=[read(row) for row in rows]))]
