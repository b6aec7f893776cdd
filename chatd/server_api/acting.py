"""For whom a server command acts: a user, or the system.

A handler of a server command calls the functions that commands of users call, with the context of the user or of the
system. So what it changes goes through the same log, and causes the same events.
"""

from msgspec.structs import replace

from chatd.app.context import Ctx
from chatd.app.effects import Effect, Effects, deliver
from chatd.conversations.log.transaction import SYSTEM_USER
from chatd.core.identity import Principal


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
