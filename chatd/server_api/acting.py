"""For whom a server command acts: a user, or the system.

A handler of a server command calls the functions that commands of users call, with the context of the user or of the
system. So what it changes goes through the same log, and causes the same events.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar, TypeVarTuple

from msgspec.structs import replace

from chatd.app.context import Ctx
from chatd.app.effects import Effect, Effects, deliver
from chatd.conversations.log.transaction import SYSTEM_USER, ConversationTx, change_conversation
from chatd.core.errors import Refused
from chatd.core.identity import Principal

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class As(Effect, frozen=True):
    """Carry out effects for a user or the system."""

    acting: Ctx
    effects: Effects

    async def deliver(self, ctx: Ctx) -> None:
        await deliver(self.acting, self.effects)


def acting_as(ctx: Ctx, user: str) -> Ctx:
    """The context of the command, for this user of the tenant. Answers go to the backend."""
    principal = Principal(ctx.service_identity.tenant, user, token_id="", login="", scope="", expires_at=0)
    return replace(ctx, principal=principal)


def as_system(ctx: Ctx) -> Ctx:
    """The context of the command, for the system, which is a member of no conversation and may act in all."""
    return acting_as(ctx, SYSTEM_USER)


async def change(acting: Ctx, conversation: str, work: Callable[[ConversationTx, *Ts], Awaitable[T]], *args: *Ts) -> T:
    """Change a conversation for a backend, which need not be a member, and which no block concerns.

    Raises Refused: as `change_conversation`.
    """
    return await change_conversation(acting, conversation, work, *args, allow_non_member=True, allow_blocked=True)


async def change_group(
    acting: Ctx, conversation: str, work: Callable[[ConversationTx, *Ts], Awaitable[T]], *args: *Ts
) -> T:
    """The same for a group only. Raises Refused: `forbidden`, `not_found`, and what `work` raises."""
    return await change(acting, conversation, in_group, work, args)


async def in_group(tx: ConversationTx, work: Callable[[ConversationTx, *Ts], Awaitable[T]], args: tuple[*Ts]) -> T:
    """Do the work if the conversation is a group with members. Raises Refused: `forbidden`, `not_found`."""
    if tx.locked.kind != "group":
        raise Refused("forbidden", "this is not a group")
    if not tx.locked.members:
        raise Refused("not_found", "the group was dissolved")
    return await work(tx, *args)
