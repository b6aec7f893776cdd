"""Conversations: direct ones, groups, their members and their messages."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chatd.app.context import Node
from chatd.app.dispatch import CommandTimeout
from chatd.app.jobs import Job
from chatd.app.registry import Guard, GuardChecks
from chatd.app.subsystem import Subsystem, background
from chatd.conversations import openapi
from chatd.conversations.commands import (
    blocking,
    conversations,
    group_settings,
    groups,
    invites,
    joining,
    labels,
    listing,
    sync,
    user_settings,
)
from chatd.conversations.consent_rules import RequestCounts
from chatd.conversations.entities import SHAPES
from chatd.conversations.log.effects import KindCounts
from chatd.conversations.log.writer import open_message_log
from chatd.conversations.membership import check_member, is_subscribed
from chatd.conversations.messages import (
    deletion,
    edits,
    forwarding,
    pins,
    reactions,
    receipts,
    scheduler,
    scheduling,
    sending,
    stars,
    typing,
)
from chatd.conversations.metrics import METRICS
from chatd.conversations.personal_data import PERSONAL_DATA
from chatd.conversations.reconciliation import ConversationChecks
from chatd.conversations.settings import SETTINGS, MessageLogSettings
from chatd.conversations.tables import TABLES
from chatd.conversations.unread_counters import UnreadCounters
from chatd.filters.settings import HookSettings
from chatd.realtime.drain import NodeLeft


@asynccontextmanager
async def open_conversations(node: Node) -> AsyncIterator[None]:
    """The log of messages, and the services that other subsystems use."""
    log_settings, hook = node.config.get(MessageLogSettings), node.config.get(HookSettings)
    screening_s = hook.timeout if hook.url else 0.0
    node.get(CommandTimeout).raise_to(max(node.config.postgres.timeout, log_settings.deadline) + screening_s)
    async with (
        open_message_log(node.db, log_settings, node.cluster.deliver_behind, node.health) as message_log,
        background(node) as start,
    ):
        node.services.add(message_log)
        node.hub.subscriptions.gaps.use_commits(message_log.began)
        typing.open_typing(node)
        node.signals.on(NodeLeft, lambda _: message_log.flush())
        checks = ConversationChecks(node.hub, node.db)
        node.cluster.reconciler.register(checks.check)
        node.cluster.reconciler.use_topics(checks)
        node.get(GuardChecks).by_guard[Guard.MEMBER] = check_member
        node.get(GuardChecks).is_met[Guard.MEMBER] = is_subscribed
        node.services.add(RequestCounts())
        node.services.add(KindCounts())
        start("unread counters", node.services.add(UnreadCounters(node.db, node.hub)).run)
        yield


CONVERSATIONS = Subsystem(
    name="conversations",
    about="conversations, members, messages, and the log that commits them (`conversations/log`)",
    settings=SETTINGS,
    tables=TABLES,
    commands=(
        *(blocking, conversations, group_settings, groups, invites, joining, labels, listing, sync, user_settings),
        *(sending, edits, forwarding, pins, reactions, receipts, scheduling, stars, typing),
    ),
    shapes=SHAPES,
    conditions=openapi.CONDITIONS,
    jobs=(
        Job("scheduled messages", scheduler.send_due, 1),
        Job("disappearing messages", deletion.delete_expired, 2),
        Job("retention", deletion.delete_aged, 60),
    ),
    metrics=METRICS,
    personal_data=PERSONAL_DATA,
    open=open_conversations,
)
