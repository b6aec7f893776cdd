"""Consent: who may write to a user first, add them to groups and call them. What is not allowed becomes a request.

These are the rules that conversations need; what users do with requests is in the subsystem consent. A user who is
asked is not a member before they accept: they get nothing of the conversation, and the sender sees nothing of them.
Everything about the requests of a conversation happens under the lock of its row.
"""

from collections import Counter
from collections.abc import Sequence
from enum import Enum
from typing import Literal

from msgspec import Struct

from chatd.app.context import Ctx
from chatd.app.effects import Broadcast, Effect, Effects, SendSignal, ToConversation, ToUser, deliver
from chatd.cluster.control_messages import SubscribeUsers
from chatd.conversations.block_rules import check_not_blocked
from chatd.conversations.effects import member_events, snapshot_for_event
from chatd.conversations.entities import Member
from chatd.conversations.events import ConversationUpdate
from chatd.conversations.log.transaction import ConversationTx
from chatd.conversations.membership import member_in
from chatd.conversations.read_model import shared
from chatd.conversations.settings import ConsentSettings, ConversationLimits
from chatd.conversations.signals import VisibilityChanged
from chatd.core.errors import Refused
from chatd.db import queries
from chatd.wire.base import Event, Id

SQL = queries.load("conversations/consent_rules")
DAY_MS = 86_400_000


class Act(Enum):
    """What users can allow to everybody, to their contacts, or to nobody."""

    MESSAGES = "messages"
    GROUPS = "groups"
    CALLS = "calls"


class RequestNew(Event, tag="request.new"):
    """A user asks the requester to accept a direct conversation, or to join a group. There is no other event before
    the answer: call request.list for its messages.
    """

    conversation: Id
    kind: Literal["direct", "group"]
    user: Id


class RequestCounts:
    """The requests of this node, by what became of them. Found in `Node.services`."""

    def __init__(self) -> None:
        self.by_outcome = Counter[str]()


async def users_to_ask(ctx: Ctx, users: Sequence[str], act: Act) -> list[str]:
    """Those of these users who have to consent before the requester does this. All others must not have blocked the
    requester; that somebody who is asked has, does not show.

    Raises Refused: `blocked`; `forbidden` for a bot, which may only write where it was added or written to.
    """
    default = ctx.node.config.get(ConsentSettings).default
    rows = await ctx.node.db.all(SQL.users_to_ask, ctx.tenant, ctx.user, users, act.value, default)
    if any(row["by_bot"] for row in rows):
        raise Refused("forbidden", "a bot can only write to users who have written to it, and cannot add members")
    asked = sorted(row["user"] for row in rows)
    await check_not_blocked(ctx, without(users, asked))
    return asked


def without(users: Sequence[str], others: Sequence[str]) -> list[str]:
    left_out = set(others)
    return [user for user in users if user not in left_out]


class Asked(Struct, frozen=True):
    """`users`: those who are asked to join or to accept. `notified`: those of them who get an event."""

    users: list[str]
    notified: list[str]


NOBODY_ASKED = Asked([], [])


async def ask(tx: ConversationTx, users: Sequence[str], settings: ConsentSettings, limits: ConversationLimits) -> Asked:
    """Store a request to each of these users who is not a member and was not asked yet.

    Raises Refused: `not_found` if a user does not exist, `too_large` for too many requests of a user or a group,
    `rate_limited` for too many of the sender.
    """
    rows = await tx.all(SQL.candidates, users, settings.pending_per_user)
    if len(rows) != len(set(users)):
        raise Refused("not_found", "$.users: no such user")
    outside = [row for row in rows if not row["is_member"]]
    new = [row for row in outside if not row["is_asked"]]
    if any(row["has_too_many"] for row in new):
        raise Refused("too_large", f"a user can have at most {settings.pending_per_user} requests to answer")
    notified = await add_requests(tx, [row["user"] for row in new], settings, limits) if new else []
    return Asked(sorted(row["user"] for row in outside), notified)


async def add_requests(
    tx: ConversationTx, users: list[str], settings: ConsentSettings, limits: ConversationLimits
) -> list[str]:
    """Store requests. Returns the users who get an event. Raises Refused: `too_large`, `rate_limited`."""
    known = await tx.one(SQL.count_requests)
    if known is not None and tx.members + known["found"] + len(users) > limits.members:
        raise Refused("too_large", f"a group has at most {limits.members} members and requests to join")
    pace = (settings.requests_per_day, settings.declines_to_halve)
    charged = await tx.one(SQL.charge, tx.user, len(users), tx.now, *pace)
    if charged is None or charged["sent"] > charged["allowed"]:
        left_ms = DAY_MS if charged is None else charged["day_at"] + DAY_MS - tx.now
        raise Refused("rate_limited", "too many requests to users within a day", retry_after=max(1, left_ms / 1000))
    rows = await tx.all(SQL.add_requests, tx.user, users, tx.now)
    notified = [row["user"] for row in rows if row["is_pending"]]
    await tx.run(SQL.touch_settings, notified)
    return notified


def request_events(ctx: Ctx, conversation: str, kind: Literal["direct", "group"], asked: Asked) -> Effects:
    ctx.node.get(RequestCounts).by_outcome["sent"] += len(asked.notified)
    event = RequestNew(conversation=conversation, kind=kind, user=ctx.user)
    return [ToUser(user, event) for user in asked.notified]


class Accepted(Struct, frozen=True):
    """The requester has become a member of a direct conversation; `info_rev`: the rev of its acceptance."""

    member: Member
    info_rev: int


async def accept_direct(tx: ConversationTx, allow_withdrawn: bool) -> Accepted | None:
    """Accept a direct conversation. Returns None if the requester is a member already.

    Raises Refused: `not_found` if the requester is not asked, `blocked` if they have blocked the sender.
    """
    if tx.locked.role is not None:
        return None
    request = await tx.one(SQL.request, tx.user)
    if request is None or (request["is_withdrawn"] and not allow_withdrawn):
        raise no_request()
    if request["is_blocked"]:
        raise Refused("blocked")
    tx.members += 1
    await tx.run(SQL.admit, tx.user, request["sender"], tx.next_rev(), tx.now)
    await tx.run(SQL.touch_settings, [tx.user])
    return Accepted(await member_in(tx, tx.user), tx.next_rev(info=True))


def no_request() -> Refused:
    """The same as for a conversation that does not exist."""
    return Refused("not_found", "no such conversation")


class AnnounceAccepted(Effect, frozen=True):
    """Subscribe the user who has accepted a direct conversation, and send it to both. See `AnnounceMembers`."""

    conversation: str
    accepted: Accepted

    async def deliver(self, ctx: Ctx) -> None:
        member, info_rev = self.accepted.member, self.accepted.info_rev
        ctx.node.get(RequestCounts).by_outcome["accepted"] += 1
        joined = SubscribeUsers(ctx.tenant, self.conversation, [member.user], member.rev - 1, is_new_member=True)
        await Broadcast(joined).deliver(ctx)
        view = await snapshot_for_event(ctx, self.conversation, [ctx.user])
        if view is None:
            return
        effects: list[Effect] = [SendSignal(VisibilityChanged(ctx.tenant, [ctx.user]))]
        effects += [ToUser(member.user, ConversationUpdate(conversation=shared(view)))]
        effects += member_events(self.conversation, [member])
        effects.append(ToConversation(self.conversation, ConversationUpdate(conversation=shared(view), rev=info_rev)))
        await deliver(ctx, effects)
