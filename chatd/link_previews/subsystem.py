"""Link previews: the title, description and image of the page of a link in a message. Off by default."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from chatd.app.context import Node
from chatd.app.jobs import Job
from chatd.app.subsystem import Subsystem, background
from chatd.conversations.entities import Message
from chatd.conversations.signals import MessageEdited, MessageSent
from chatd.db.http_client import open_outbound
from chatd.link_previews.fetching import Fetcher
from chatd.link_previews.metrics import METRICS
from chatd.link_previews.preview import LinkPreview
from chatd.link_previews.service import LinkPreviews, sweep
from chatd.link_previews.settings import SETTINGS, LinkPreviewSettings
from chatd.link_previews.tables import TABLES
from chatd.wire.reference.description import Shape


@asynccontextmanager
async def open_link_previews(node: Node) -> AsyncIterator[None]:
    settings = node.config.get(LinkPreviewSettings)
    if not settings.enabled:
        yield
        return
    async with (
        open_outbound(private=settings.allow_private, connections=settings.concurrency) as outbound,
        background(node) as start,
    ):
        previews = node.services.add(LinkPreviews(node, Fetcher(outbound, settings), settings))
        node.signals.on_sync(MessageSent, previews.note)
        node.signals.on_sync(MessageEdited, previews.note_edit)
        for number in range(settings.concurrency):
            start(f"link previews {number + 1}", previews.run)
        yield


LINK_PREVIEWS = Subsystem(
    name="link_previews",
    about="titles, descriptions and images of the pages of links in messages",
    settings=SETTINGS,
    tables=TABLES,
    shapes=(Shape(Message, "preview", LinkPreview),),
    jobs=(Job("link previews", sweep, 60),),
    metrics=METRICS,
    open=open_link_previews,
)
