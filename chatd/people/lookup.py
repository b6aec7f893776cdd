"""Looks up users by id, alias or handle, as the requester may see them."""

from collections.abc import Sequence

from msgspec import Struct, field

from chatd.app.context import Ctx
from chatd.conversations.aliases import resolve
from chatd.db import queries
from chatd.people.entities import User, stranger, user_of
from chatd.people.handles import handle_form, key_of

SQL = queries.load("people/profiles")


class Since(Struct, frozen=True):
    """A position in the changes of all profiles: the epoch of the data, and the horizon of a snapshot.

    Everything before `horizon` is known. See `conversations/commands/sync`.
    """

    epoch: str = ""
    horizon: str = "0"

    def __str__(self) -> str:
        return f"{self.epoch}:{self.horizon}"


BEGINNING = Since()


class Found(Struct, frozen=True):
    """Users by the id that was asked for, those that have not changed since a position, and the present position."""

    now: Since
    users: dict[str, User] = field(default_factory=dict)
    unchanged: set[str] = field(default_factory=set)


async def find_users(ctx: Ctx, ids: Sequence[str], since: Since = BEGINNING) -> Found:
    """Users by id or alias. An alias of a match that has ended is unknown; one of a running match is never unchanged,
    because changes of the profile would show who it is. Raises Refused.
    """
    aliases = {id_: alias.user for id_, alias in (await resolve(ctx, ids)).items() if alias.is_running}
    accounts = [id_ for id_ in ids if id_ not in aliases]
    rows = await ctx.node.db.all(SQL.find, ctx.tenant, ctx.user, accounts, since.epoch, since.horizon)
    found = Found(Since(rows[0]["epoch"], rows[0]["horizon"]))
    for row in rows:
        if row["is_changed"]:
            found.users[row["id"]] = user_of(row)
        elif row["id"] is not None:
            found.unchanged.add(row["id"])
    if aliases:
        named = await ctx.node.db.all(SQL.names, ctx.tenant, list(aliases.values()))
        names = {row["id"]: row["name"] for row in named}
        found.users.update({alias: stranger(alias, names.get(user)) for alias, user in aliases.items()})
    return found


async def find_by_handle(ctx: Ctx, text: str) -> User | None:
    """The user with this handle, in any case. Users who have blocked the requester are not found."""
    try:
        handle = handle_form(text)
    except ValueError:
        return None
    row = await ctx.node.db.one(SQL.find_by_handle, ctx.tenant, ctx.user, key_of(handle), handle)
    return None if row is None else user_of(row)
