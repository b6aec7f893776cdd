"""The group behind a link, for who shows it and for who follows it."""

from typing import Annotated, Any

from msgspec import Meta

from chatd.accounts.authentication import digest
from chatd.app.context import Ctx
from chatd.core.errors import Refused
from chatd.db import queries
from chatd.wire.texts import PRIVATE

SQL = queries.load("conversations/invites")
Secret = Annotated[str, Meta(min_length=16, max_length=64, extra=PRIVATE)]


async def group_of(ctx: Ctx, secret: str) -> dict[str, Any]:
    """Where a link leads to, as a row of `find`. Raises Refused: `not_found`."""
    row = await ctx.node.db.one(SQL.find, ctx.tenant, digest(secret), ctx.now)
    if row is None:
        raise Refused("not_found", "$.secret: no such link")
    return dict(row)
