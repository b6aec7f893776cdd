"""What members get when a conversation changes, as effects."""

from collections.abc import Callable, Sequence
from typing import Any

from msgspec import UNSET
from msgspec.structs import replace

from chatd.app.context import Ctx
from chatd.app.effects import Broadcast, Effect, Effects, ToConversation, ToUser, deliver
from chatd.cluster.control_messages import RecheckConversation, SubscribeUsers
from chatd.conversations.entities import Conversation, Member, Message
from chatd.conversations.events import ConversationUpdate, MemberLeft, MemberUpdate, MessageNew, MessageUpdate, Why
from chatd.conversations.log.transaction import SYSTEM_USER, ConversationTx
from chatd.conversations.membership import MemberGone, MembersAdded
from chatd.conversations.read_model import conversations_of, shared
from chatd.core.errors import Refused
from chatd.wire.connection_events import Behind

# If more users are added at once, they get the conversation without its members.
MAX_MEMBERS_SHOWN = 20


def message_event(conversation: str, message: Message) -> ToConversation:
    """A new message, or a system message."""
    return ToConversation(conversation, MessageNew(conversation=conversation, rev=message.rev, message=message))


def update_event(tx: ConversationTx, message: Message, change: Why, **more: Any) -> MessageUpdate | Behind:
    """A change of a message. If some members may not see the message, all of them get `behind`."""
    if message.seq < tx.max_first_seq:
        return Behind(conversation=tx.conversation, rev=message.rev)
    if message.quote is not UNSET and message.quote.seq < tx.max_first_seq:
        message = replace(message, quote=UNSET)
    return MessageUpdate(
        conversation=tx.conversation,
        rev=message.rev,
        message=message,
        change=change,
        by=UNSET if tx.user == SYSTEM_USER else tx.shown_as,
        **more,
    )


class AnnounceMembers(Effect, frozen=True):
    """Subscribe new members, send them the conversation, and announce them to all members.

    They are subscribed before anything is read: a removal that follows must find them subscribed, and an unavailable
    database must not keep them from events. Some or all of them may have left again before the conversation is read.
    """

    conversation: str
    added: MembersAdded

    async def deliver(self, ctx: Ctx) -> None:
        users, message = [member.user for member in self.added.members], self.added.message
        before = message.rev - len(users) - 1
        await Broadcast(SubscribeUsers(ctx.tenant, self.conversation, users, before, is_new_member=True)).deliver(ctx)
        view = await snapshot_for_event(ctx, self.conversation, [ctx.user, *users])
        if view is None:
            return
        joined = {"joined_seq": message.seq - 1, "joined_rev": before}
        view = replace(shared(view), members=view.members if len(users) <= MAX_MEMBERS_SHOWN else UNSET, **joined)
        effects: list[Effect] = [ToUser(user, ConversationUpdate(conversation=view)) for user in users]
        effects += member_events(self.conversation, self.added.members)
        effects.append(message_event(self.conversation, message))
        await deliver(ctx, effects)


class WithConversation(Effect, frozen=True):
    """Read a conversation that has changed, as the requester sees it, and deliver what `effects` makes of it."""

    conversation: str
    effects: Callable[[Conversation], Effects]

    async def deliver(self, ctx: Ctx) -> None:
        view = await snapshot_for_event(ctx, self.conversation, [ctx.user])
        if view is None:
            raise Refused("not_found", "no such conversation")
        await deliver(ctx, self.effects(view))


async def snapshot_for_event(ctx: Ctx, conversation: str, users: Sequence[str]) -> Conversation | None:
    """A changed conversation, as the first of these users sees it who is a member; None if none of them is.

    Without it the change cannot be sent: then the members get `behind`. Raises Refused.
    """
    view = None
    try:
        for user in dict.fromkeys(users):
            if found := await conversations_of(ctx, user, [conversation]):
                view = found[0]
                break
    finally:
        if view is None:
            await ctx.node.cluster.broadcast(RecheckConversation(ctx.tenant, conversation))
    return view


def member_events(conversation: str, members: Sequence[Member]) -> Effects:
    """The members as they are now."""
    return [
        ToConversation(conversation, MemberUpdate(conversation=conversation, rev=one.rev, member=one))
        for one in members
    ]


def departure_events(conversation: str, gone: MemberGone) -> Effects:
    """The events of a departure: the last one for the former member, and those for the remaining members."""
    departure = gone.departure
    left = MemberLeft(conversation=conversation, rev=departure.rev, departure=departure)
    effects: list[Effect] = [
        ToConversation(conversation, left, leaving=[departure.user]),
        *member_events(conversation, gone.new_owners),
    ]
    return effects if gone.message is None else [*effects, message_event(conversation, gone.message)]
