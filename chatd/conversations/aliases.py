"""Resolves aliases to users.

The members of a match know each other by aliases (see docs/architecture.md). Only members of that match may use them,
and only in commands that resolve them explicitly. For all other users, and in all other commands, an alias is an
unknown id.
"""

from collections.abc import Iterable

from msgspec import Struct

from chatd.app.context import Ctx
from chatd.db import queries
from chatd.db.postgres import Tx

SQL = queries.load("conversations/aliases")
# The version digit of a UUID: aliases are random.
VERSION_AT, RANDOM = 14, "4"


class Alias(Struct, frozen=True):
    """The `user`, and the `conversation` of the match, which `is_running` or has ended."""

    user: str
    conversation: str
    is_running: bool


async def resolve(ctx: Ctx, ids: Iterable[str]) -> dict[str, Alias]:
    """Resolve the ids that are aliases which the requester may use, by alias. Raises Refused."""
    candidates = [id_ for id_ in ids if id_[VERSION_AT] == RANDOM]
    if not candidates:
        return {}
    rows = await ctx.node.db.all(SQL.resolve_aliases, ctx.tenant, ctx.user, candidates)
    return {row["alias"]: Alias(row["user"], row["conversation"], row["is_running"]) for row in rows}


async def is_valid(tx: Tx, tenant: str, alias: str) -> bool:
    """Within a transaction: whether the alias is valid. It is valid until its match is kept."""
    return await tx.value(SQL.is_valid_alias, tenant, alias) is not None
