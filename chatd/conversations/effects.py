"""What members are sent of a change, as effects."""

from collections.abc import Callable, Sequence
from typing import Any

from msgspec import UNSET
from msgspec.structs import replace

from chatd.app.context import Ctx
from chatd.app.effects import Broadcast, Effect, Effects, ToConversation, ToUser, deliver
from chatd.cluster.control_messages import Doubtful, Joined
from chatd.conversations.entities import Conversation, Member, Message
from chatd.conversations.events import ConversationUpdate, MemberLeft, MemberUpdate, MessageNew, MessageUpdate, Why
from chatd.conversations.log.transaction import NOBODY, Change
from chatd.conversations.membership import MemberGone, MembersAdded
from chatd.conversations.read_model import conversations_of, shared
from chatd.core.errors import Refused
from chatd.wire.connection_events import Behind

# When more come at once, each is told what the conversation is without who is in it.
MOST_SHOWN = 20


def told_message(conversation: str, message: Message) -> ToConversation:
    """A message that is new, also one that says what happened."""
    return ToConversation(conversation, MessageNew(conversation=conversation, rev=message.rev, message=message))


def told_update(here: Change, message: Message, change: Why, **more: Any) -> MessageUpdate | Behind:
    """What all members are told of a change. Of a message that not all of them may see, only that something has changed."""
    if message.seq < here.late_seq:
        return Behind(conversation=here.conversation, rev=message.rev)
    if message.quote is not UNSET and message.quote.seq < here.late_seq:
        message = replace(message, quote=UNSET)
    return MessageUpdate(
        conversation=here.conversation,
        rev=message.rev,
        message=message,
        change=change,
        by=UNSET if here.user == NOBODY else here.user,
        **more,
    )


class AnnounceMembers(Effect, frozen=True):
    """Subscribe new members, send them the conversation, and send all members who has come.

    They are subscribed before anything is read: a removal that follows must find them subscribed, and an unavailable database
    must not keep them from events. Some or all of them may be gone again by the time the conversation is read.
    """

    conversation: str
    added: MembersAdded

    async def deliver(self, ctx: Ctx) -> None:
        users, message = [member.user for member in self.added.members], self.added.message
        before = message.rev - len(users) - 1
        await Broadcast(Joined(ctx.tenant, self.conversation, users, before, anew=True)).deliver(ctx)
        view = await read_changed(ctx, self.conversation, [ctx.user, *users])
        if view is None:
            return
        came = {"joined_seq": message.seq - 1, "joined_rev": before}
        view = replace(shared(view), members=view.members if len(users) <= MOST_SHOWN else UNSET, **came)
        effects: list[Effect] = [ToUser(user, ConversationUpdate(conversation=view)) for user in users]
        effects += told_members(self.conversation, self.added.members)
        effects.append(told_message(self.conversation, message))
        await deliver(ctx, effects)


class WithConversation(Effect, frozen=True):
    """Read a conversation that has changed, as the requester sees it, and deliver what `effects` makes of it."""

    conversation: str
    effects: Callable[[Conversation], Effects]

    async def deliver(self, ctx: Ctx) -> None:
        view = await read_changed(ctx, self.conversation, [ctx.user])
        if view is None:
            raise Refused("not_found", "no such conversation")
        await deliver(ctx, self.effects(view))


async def read_changed(ctx: Ctx, conversation: str, users: Sequence[str]) -> Conversation | None:
    """A changed conversation, as the first of these users sees it who is a member; None if none of them is.

    Without it the change cannot be sent: then its members are told later that something has changed. Raises Refused.
    """
    view = None
    try:
        for user in dict.fromkeys(users):
            if found := await conversations_of(ctx, user, [conversation]):
                view = found[0]
                break
    finally:
        if view is None:
            ctx.node.cluster.broadcast(Doubtful(ctx.tenant, conversation))
    return view


def told_members(conversation: str, members: Sequence[Member]) -> Effects:
    """What they are now."""
    return [ToConversation(conversation, MemberUpdate(conversation=conversation, rev=one.rev, member=one)) for one in members]


def told_gone(conversation: str, gone: MemberGone) -> Effects:
    """The departure goes to the former member too, as the last event; what follows is for those who stay."""
    departure = gone.departure
    left = MemberLeft(conversation=conversation, rev=departure.rev, departure=departure)
    effects: list[Effect] = [
        ToConversation(conversation, left, leaving=[departure.user]),
        *told_members(conversation, gone.heirs),
    ]
    return effects if gone.message is None else [*effects, told_message(conversation, gone.message)]
