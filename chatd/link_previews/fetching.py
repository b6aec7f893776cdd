"""Requests a page through the guarded HTTP client, and follows its redirects, each of which is checked."""

from collections import Counter
from functools import partial
from urllib.parse import urljoin, urlsplit

import trio
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from chatd.app.rate_limits import Buckets
from chatd.conversations.messages.attachments import is_web_url
from chatd.core.errors import Refused
from chatd.core.turns import in_turns
from chatd.db.http_client import Answer, Outbound, OutboundError
from chatd.filters.service import Filter
from chatd.link_previews.page import NoPreview, preview_in
from chatd.link_previews.preview import LinkPreview
from chatd.link_previews.settings import LinkPreviewSettings

REDIRECTS = (301, 302, 303, 307, 308)
PAGES = ("text/html", "application/xhtml+xml")
HEADERS = {"User-Agent": "chatd (link preview)", "Accept": "text/html,application/xhtml+xml"}
PORTS = (None, 80, 443)
MAX_URL = 2048
MAX_HOSTS = 10_000
HOST_LIMITED = "host_limited"
TEXTS = ("title", "description", "site_name")


class Fetcher:
    """Makes previews of pages."""

    def __init__(self, outbound: Outbound, settings: LinkPreviewSettings) -> None:
        self._outbound = outbound
        self._settings = settings
        # Threads share the interpreter: two at a time leave time for everything else.
        self._limiter = trio.CapacityLimiter(2)
        per_minute = settings.per_host_per_minute
        self._rates = Buckets[str](per_minute / 60, per_minute, MAX_HOSTS)
        # Requests under way, by host. One host has half of the workers at most: if it is slow, others do not wait.
        self._running = Counter[str]()
        self._max_running = max(1, settings.concurrency // 2)

    async def preview(self, url: str, tenant_filter: Filter | None) -> LinkPreview:
        """The preview of a page, within the time that the settings allow. Raises NoPreview."""
        with trio.move_on_after(self._settings.timeout):
            at, page = await self._page(url, tenant_filter)
            read = partial(preview_in, url, at, page.headers.get("content-type", ""), page.body)
            images = self._settings.images
            found = await trio.to_thread.run_sync(partial(read, images=images), limiter=self._limiter)
            return await filtered(found, tenant_filter)
        raise NoPreview("timeout")

    async def _page(self, url: str, tenant_filter: Filter | None) -> tuple[str, Answer]:
        """The address of the page after all redirects, and the page. Raises NoPreview."""
        for _ in range(self._settings.redirects + 1):
            answer = await self._ask(url, self._checked_host(url))
            if answer.status in REDIRECTS and "location" in answer.headers:
                url = redirected(url, answer.headers["location"])
                await check_link(url, tenant_filter)
                continue
            media_type = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
            if answer.status != 200:
                raise NoPreview("status")
            if media_type not in PAGES or answer.headers.get("content-encoding", "identity") != "identity":
                raise NoPreview("not_html")
            return url, answer
        raise NoPreview("redirects")

    def _checked_host(self, url: str) -> str:
        """The host of an address that may be requested. Raises NoPreview."""
        try:
            parts = urlsplit(url)
        except ValueError:
            raise NoPreview("address") from None
        if parts.username is not None or not (self._settings.allow_private or parts.port in PORTS):
            raise NoPreview("address")
        return (parts.hostname or "").rstrip(".")

    async def _ask(self, url: str, host: str) -> Answer:
        """Send one request, within the limits of the host. Raises NoPreview."""
        if self._running[host] >= self._max_running or self._rates.of(host).take(trio.current_time()):
            raise NoPreview(HOST_LIMITED)
        settings = self._settings
        self._running[host] += 1
        try:
            return await self._outbound.ask(
                "GET", url, timeout=settings.timeout, headers=HEADERS, most=settings.max_bytes
            )
        except (OutboundError, ValueError):
            raise NoPreview("failed") from None
        finally:
            self._running -= Counter((host,))


def redirected(url: str, location: str) -> str:
    """Where a redirect leads. Raises NoPreview."""
    try:
        found = urljoin(url, location).partition("#")[0]
    except ValueError:
        raise NoPreview("address") from None
    if len(found) > MAX_URL or not is_web_url(found):
        raise NoPreview("address")
    return found


async def check_link(url: str, tenant_filter: Filter | None) -> None:
    """Check that the filters accept a link. Raises NoPreview."""
    if tenant_filter is None:
        return
    try:
        await in_turns(tenant_filter.apply(url, "$.url", may_mask=False))
    except Refused:
        raise NoPreview("filtered") from None


async def filtered(found: LinkPreview, tenant_filter: Filter | None) -> LinkPreview:
    """The preview with its texts as the filters leave them. Raises NoPreview."""
    if tenant_filter is None:
        return found
    texts = {name: value for name in TEXTS if (value := getattr(found, name)) is not UNSET}
    try:
        shown = await in_turns(tenant_filter.apply_to_all(texts, "$"))
    except Refused:
        raise NoPreview("filtered") from None
    return replace(found, image=await accepted_image(found.image, tenant_filter), **shown)


async def accepted_image(image: str | UnsetType, tenant_filter: Filter) -> str | UnsetType:
    """The URL of the image, if the filters accept it."""
    if image is UNSET:
        return UNSET
    try:
        await check_link(image, tenant_filter)
    except NoPreview:
        return UNSET
    return image
