"""Adds previews to messages with links, after they are sent or edited.

The node that commits a message, or an edit, looks for a link in it, and a worker makes the preview and attaches it, as
a change of the message. Messages that wait are in memory: a preview is not promised, and a node that stops loses those
that wait. Each URL is requested at most once at a time, and not again until its preview expires.
"""

import hashlib
from collections import Counter

import msgspec
import trio
from msgspec import UNSET, Struct, convert, to_builtins

from chatd.app.context import Node, system_context
from chatd.app.effects import Effects, ToConversation, deliver
from chatd.app.rate_limits import Buckets
from chatd.conversations.attachment_types import attachments_in
from chatd.conversations.effects import update_event
from chatd.conversations.log.transaction import SYSTEM_USER, ConversationTx, change_conversation
from chatd.conversations.read_model import message_of
from chatd.conversations.signals import MessageEdited, MessageSent
from chatd.core.errors import Refused
from chatd.db import queries
from chatd.db.postgres import Row
from chatd.filters.service import Filters
from chatd.link_previews.fetching import HOST_LIMITED, Fetcher
from chatd.link_previews.links import link_of
from chatd.link_previews.page import NoPreview
from chatd.link_previews.preview import LinkPreview
from chatd.link_previews.settings import LinkPreviewSettings

SQL = queries.load("link_previews/link_previews")
MAX_WAITING, MAX_USERS = 1000, 10_000
SWEEP_SIZE = 1000


class Link(Struct, frozen=True):
    """A link in a message. `replaces`: the message has the preview of another link."""

    tenant: str
    conversation: str
    sender: str
    seq: int
    url: str
    replaces: bool = False


class LinkPreviews:
    """The messages that wait for a preview. `outcomes`: what became of links, by the values of `metrics.OUTCOMES`."""

    def __init__(self, node: Node, fetcher: Fetcher, settings: LinkPreviewSettings) -> None:
        self.outcomes: Counter[str] = Counter()
        self._node = node
        self._fetcher = fetcher
        self._settings = settings
        self._filters = node.services.find(Filters)
        per_minute = settings.per_user_per_minute
        self._limits = Buckets[tuple[str, str]](per_minute / 60, per_minute, MAX_USERS)
        self._send, self._receive = trio.open_memory_channel[Link](MAX_WAITING)
        # The requests under way, by tenant and hash of the URL.
        self._running: dict[tuple[str, bytes], trio.Event] = {}

    def note(self, sent: MessageSent) -> None:
        """Have a preview made if the message has a link. Messages of matches have none."""
        message = sent.message
        if sent.done.alias is not None or not ((message.text and "://" in message.text) or message.attachments):
            return
        attachments = msgspec.json.decode(message.attachments) if message.attachments else ()
        url = link_of(message.text, attachments_in(attachments))
        if url is None:
            return
        self._queue(Link(message.tenant, message.conversation, message.sender, sent.done.seq, url))

    def note_edit(self, edited: MessageEdited) -> None:
        """Have another preview made if the first link of the message is another one."""
        message = edited.message
        shown = None if message.preview is UNSET else message.preview.get("url")
        url = link_of(message.text, to_builtins(message.attachments))
        if edited.kind != "match" and url is not None and url != shown:
            self._queue(Link(edited.tenant, edited.conversation, message.sender, message.seq, url, shown is not None))

    def _queue(self, link: Link) -> None:
        try:
            self._send.send_nowait(link)
        except trio.WouldBlock:
            self.outcomes["dropped"] += 1

    async def run(self) -> None:
        """Make previews, one after the other. Several of these run at the same time."""
        async for link in self._receive.clone():
            try:
                await self._add(link)
            except Refused:
                self.outcomes["unavailable"] += 1

    async def _add(self, link: Link) -> None:
        """Raises Refused."""
        preview = None
        try:
            preview = await self._preview(link)
        except NoPreview as reason:
            self.outcomes[str(reason)] += 1
            if not link.replaces:
                return
        ctx = system_context(self._node, link.tenant, SYSTEM_USER)
        effects = await change_conversation(
            ctx, link.conversation, attach, link, preview, allow_non_member=True, allow_blocked=True
        )
        if preview is not None:
            self.outcomes["attached" if effects else "changed"] += 1
        await deliver(ctx, effects)

    async def _preview(self, link: Link) -> LinkPreview:
        """The preview of a link, stored or new. Raises NoPreview, Refused."""
        key = (link.tenant, hashlib.sha256(link.url.encode()).digest())
        while key in self._running:
            await self._running[key].wait()
        self._running[key] = trio.Event()
        try:
            row = await self._node.db.one(SQL.known, *key)
            if row is None or row["is_expired"]:
                return await self._fetch(link, key)
        finally:
            self._running.pop(key).set()
        if row["preview"] is None:
            raise NoPreview("known")
        return convert({**row["preview"], "url": link.url}, LinkPreview)

    async def _fetch(self, link: Link, key: tuple[str, bytes]) -> LinkPreview:
        """Request the page, and store the outcome. Raises NoPreview, Refused."""
        if self._limits.of((link.tenant, link.sender)).take(trio.current_time()):
            raise NoPreview("limited")
        tenant_filter = self._filters.of(link.tenant) if self._filters is not None else None
        try:
            preview = await self._fetcher.preview(link.url, tenant_filter)
        except NoPreview as reason:
            if str(reason) != HOST_LIMITED:
                await self._store(key, None, self._settings.keep_failed)
            raise
        await self._store(key, preview, self._settings.keep)
        return preview

    async def _store(self, key: tuple[str, bytes], preview: LinkPreview | None, keep_s: float) -> None:
        stored = None if preview is None else to_builtins(preview)
        await self._node.db.run(SQL.store, *key, stored, round(keep_s * 1000))


async def attach(tx: ConversationTx, link: Link, preview: LinkPreview | None) -> Effects:
    """Attach the preview, unless the message was deleted, or edited so that this is not its first link any more. None:
    remove the preview of another link.
    """
    row = await tx.one(SQL.message, link.seq)
    if row is None or row["previewed"] == link.url or first_link(row) != link.url:
        return []
    if preview is None and row["previewed"] is None:
        return []
    await tx.run(SQL.attach, link.seq, tx.next_rev(), None if preview is None else to_builtins(preview))
    message = message_of(await tx.message(row["id"]), tx.files_url)
    return [ToConversation(tx.conversation, update_event(tx, message, "preview"))]


def first_link(row: Row) -> str | None:
    return link_of(row["text"], attachments_in(row["attachments"]))


async def sweep(node: Node) -> bool:
    """Delete expired previews. Returns whether there may be more."""
    return bool(await node.db.value(SQL.sweep, SWEEP_SIZE) == SWEEP_SIZE)
