"""The labels of a user: the user's own, for the user's own conversations. `conversation.settings` sets them."""

from collections.abc import Sequence
from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from chatd.app.context import Ctx
from chatd.app.effects import Effects, Reply, ToUser
from chatd.app.registry import command
from chatd.conversations.entities import Label
from chatd.conversations.settings import ConversationLimits
from chatd.core.errors import Refused
from chatd.db import queries
from chatd.db.postgres import Tx
from chatd.wire.base import Command, Result
from chatd.wire.connection_events import SessionBehind
from chatd.wire.reference.examples import Example
from chatd.wire.texts import LOOKUP

SQL = queries.load("conversations/labels")


async def lock_labels(tx: Tx, ctx: Ctx) -> None:
    """Within a transaction: let nothing else change the labels of the requester."""
    await tx.run(SQL.lock_user, ctx.tenant, ctx.user)


async def check_labels(tx: Tx, ctx: Ctx) -> None:
    """Within a transaction that has added labels. Raises Refused: `too_large`."""
    most = ctx.node.config.get(ConversationLimits).labels_per_user
    if len(await tx.all(SQL.counts, ctx.tenant, ctx.user)) > most:
        raise Refused("too_large", f"you can have at most {most} different labels: remove one first")


def distinct(labels: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(labels))


class ListLabels(Command, tag="label.list"):
    """List the requester's labels. conversation.settings puts them on conversations."""


class LabelCount(Struct, kw_only=True, frozen=True):
    """A label, and the number of conversations that have it."""

    label: str
    conversations: int


class Labels(Result, tag="labels"):
    """All labels of the requester, in the order of their characters."""

    items: list[LabelCount]


@command(ListLabels, result=Labels, http="GET /v1/labels")
async def list_labels(ctx: Ctx, _: ListLabels) -> Effects:
    return [Reply(await labels_of(ctx))]


async def labels_of(ctx: Ctx) -> Labels:
    rows = await ctx.node.db.all(SQL.counts, ctx.tenant, ctx.user)
    return Labels(items=[LabelCount(label=row["label"], conversations=row["conversations"]) for row in rows])


class RenameLabel(Command, tag="label.rename"):
    """Rename one of the requester's labels on all conversations. `to`: the new label, which may exist already; ""
    removes the label.
    """

    label: Label
    to: Annotated[str, Meta(max_length=50, extra=LOOKUP)]
    EXAMPLE: ClassVar = Example(to="family")


@command(RenameLabel, result=Labels, refuses=("not_found",), http="POST /v1/labels/rename")
async def rename_label(ctx: Ctx, cmd: RenameLabel) -> Effects:
    """The answer contains the labels as they are now. `not_found`: the requester has no such label."""
    await ctx.node.db.in_transaction(write_rename, ctx, cmd.label, cmd.to)
    return [Reply(await labels_of(ctx)), ToUser(ctx.user, SessionBehind(), ctx.origin)]


async def write_rename(tx: Tx, ctx: Ctx, label: str, to: str) -> None:
    """Rename a label. Raises Refused: `not_found`."""
    await lock_labels(tx, ctx)
    if label != to and not await tx.value(SQL.rename, ctx.tenant, ctx.user, label, to):
        raise Refused("not_found", "you have no such label")
