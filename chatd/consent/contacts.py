"""Contacts: users who may do what a user allows to contacts, such as to write first or to see when they are online.

`is_contact()` in `sql/conversations/schema/functions.sql` is the rule for consent and presence.
"""

from msgspec import Struct

from chatd.app.context import Ctx
from chatd.app.effects import Effects, Reply, SendSignal, ToUser
from chatd.app.registry import command
from chatd.conversations.settings import ConversationLimits
from chatd.conversations.signals import VisibilityChanged
from chatd.core.errors import Refused
from chatd.db import queries
from chatd.db.batches import page_of
from chatd.db.postgres import Tx
from chatd.wire.base import Command, Id, Limit, Millis, Name, Ok, Result
from chatd.wire.connection_events import SessionBehind

SQL = queries.load("consent/contacts")


class AddContact(Command, tag="contact.add"):
    """Make a user a contact, who is not notified. To add a contact again changes nothing.

    Contacts are also the users whose request the requester has accepted, with whom they have kept a match, and with
    whom they have started a direct conversation or replied to in one.
    """

    user: Id


@command(AddContact, result=Ok, refuses=("not_found", "too_large"), http="PUT /v1/contacts/{user}", uncancellable=True)
async def add_contact(ctx: Ctx, cmd: AddContact) -> Effects:
    """`not_found`: there is no such user. `too_large`: the list is full (`limits.contacts_per_user`)."""
    if cmd.user == ctx.user:
        raise Refused("bad_request", "$.user: you cannot be your own contact")
    await ctx.node.db.in_transaction(insert, ctx, cmd.user)
    return changed(ctx)


async def insert(tx: Tx, ctx: Ctx, user: str) -> None:
    """Raises Refused: `not_found`, `too_large`."""
    await tx.run(SQL.lock_user, ctx.tenant, ctx.user)
    if await tx.value(SQL.add, ctx.tenant, ctx.user, user, ctx.now) is None:
        raise no_user()
    most = ctx.node.config.get(ConversationLimits).contacts_per_user
    if await tx.value(SQL.count, ctx.tenant, ctx.user) > most:
        raise Refused("too_large", f"you can have at most {most} contacts")
    await tx.run(SQL.touch_settings, ctx.tenant, ctx.user)


def no_user() -> Refused:
    return Refused("not_found", "$.user: no such user")


def changed(ctx: Ctx) -> Effects:
    """Answer, have the other devices of the user sync, and show the presence of the user to those who may see it."""
    visibility = SendSignal(VisibilityChanged(ctx.tenant, [ctx.user]))
    return [visibility, Reply(Ok()), ToUser(ctx.user, SessionBehind(), ctx.origin)]


class RemoveContact(Command, tag="contact.remove"):
    """Remove a contact from the list. Users with whom the requester has started a direct conversation, or replied to in
    one, are contacts without it; user.block ends that.
    """

    user: Id


@command(RemoveContact, result=Ok, refuses=("not_found",), http="DELETE /v1/contacts/{user}", uncancellable=True)
async def remove_contact(ctx: Ctx, cmd: RemoveContact) -> Effects:
    """`not_found`: the user is not on the list."""
    if not await ctx.node.db.in_transaction(delete, ctx, cmd.user):
        raise no_user()
    return changed(ctx)


async def delete(tx: Tx, ctx: Ctx, user: str) -> bool:
    if await tx.one(SQL.remove, ctx.tenant, ctx.user, user) is None:
        return False
    await tx.run(SQL.touch_settings, ctx.tenant, ctx.user)
    return True


class Contact(Struct, kw_only=True, frozen=True):
    """A user on the list of contacts, and since when."""

    user: Id
    name: Name | None
    created_at: Millis


class ListContacts(Command, tag="contact.list"):
    """List the contacts that the requester has added, accepted a request of, or kept a match with."""

    cursor: Id | None = None
    limit: Limit = 100


class Contacts(Result, tag="contacts"):
    """Contacts, ordered by id. `cursor` is null on the last page."""

    items: list[Contact]
    cursor: Id | None


@command(ListContacts, result=Contacts, http="GET /v1/contacts")
async def list_contacts(ctx: Ctx, cmd: ListContacts) -> Effects:
    rows = await ctx.node.db.all(SQL.page, ctx.tenant, ctx.user, cmd.cursor, cmd.limit + 1)
    page, more = page_of(rows, cmd.limit)
    items = [Contact(**row) for row in page]
    return [Reply(Contacts(items=items, cursor=items[-1].user if more else None))]
