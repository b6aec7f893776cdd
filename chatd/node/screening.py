"""What a message has to pass before it is stored: the filters of its tenant, then the hook. Nothing is here when none is set.

The same message sent again gets its first answer again, whatever the filters say by now and without asking the hook: what is
stored already is let through to the journal, which knows it.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from msgspec import Struct

from chatd.config import Config, Filters
from chatd.domain.filters import WordFilter
from chatd.domain.links import LinkFilter
from chatd.errors import OperatorError, Refused
from chatd.node.hook import Hook, Question, check_settings, open_hook
from chatd.store import queries
from chatd.store.postgres import Postgres, Row

SQL = queries.load("screening")


class CannotScreen(OperatorError):
    """The configuration of filters or hook cannot be used; the text says why."""


class Draft(Struct, frozen=True):
    """A message that is not stored yet."""

    tenant: str
    conversation: str
    sender: str
    client_id: str
    text: str | None
    attachments: list[dict[str, Any]]
    reply_to: str | None
    meta: dict[str, Any] | None


class Filter:
    """The filters of one tenant. Raises CannotScreen."""

    def __init__(self, name: str, settings: Filters) -> None:
        only = {"any": None, "none": [], "listed": settings.link_hosts}[settings.links]
        try:
            self._words = WordFilter(settings.words) if settings.words else None
            self._links = LinkFilter(only, settings.links_denied) if only is not None or settings.links_denied else None
        except ValueError as error:
            raise CannotScreen(f"{name}: {error}") from None
        self._masks = settings.action == "mask"

    @property
    def is_needed(self) -> bool:
        return self._words is not None or self._links is not None

    def apply(self, text: str) -> str:
        """The text to store. Raises Refused: `forbidden`."""
        if self._links is not None and self._links.refuses(text):
            raise Refused("forbidden", "$.text: such links are not allowed here", details={"filter": "links"})
        if self._words is None:
            return text
        if self._masks:
            return self._words.mask(text)
        if self._words.is_in(text):
            raise Refused("forbidden", "$.text: such words are not allowed here", details={"filter": "words"})
        return text


class Screening:
    """`filters` by tenant; `general` for all others."""

    def __init__(self, db: Postgres, filters: Mapping[str, Filter], general: Filter, hook: Hook | None) -> None:
        self._db = db
        self._filters = filters
        self._general = general
        self._hook = hook

    async def screen(self, draft: Draft) -> str | None:
        """The text to store. Raises Refused: `forbidden`, `not_found`, `unavailable`."""
        row: Row | None = None
        if self._hook is not None:
            row = await self._look(draft)
            if row["known"]:
                return draft.text
            if row["kind"] is None:
                raise Refused("not_found", "no such conversation")
        text = await self._filtered(draft) if draft.text else draft.text
        if self._hook is None or row is None:
            return text
        return await self._hook.ask(question_of(draft, text, row["kind"]))

    async def _filtered(self, draft: Draft) -> str | None:
        try:
            return self._filters.get(draft.tenant, self._general).apply(draft.text or "")
        except Refused:
            if self._hook is None and (await self._look(draft))["known"]:
                return draft.text
            raise

    async def _look(self, draft: Draft) -> Row:
        row = await self._db.one(SQL.look, draft.tenant, draft.conversation, draft.sender, draft.client_id)
        assert row is not None
        return row


def question_of(draft: Draft, text: str | None, kind: str) -> Question:
    return Question(
        tenant=draft.tenant,
        conversation=draft.conversation,
        kind=kind,
        sender=draft.sender,
        text=text,
        attachments=draft.attachments,
        reply_to=draft.reply_to,
        meta=draft.meta,
        client_id=draft.client_id,
    )


def filters_of(config: Config) -> tuple[dict[str, Filter], Filter]:
    """Those of the tenants that have their own, and those of all others. Raises CannotScreen."""
    own = {name: Filter(f"tenant_filters.{name}", settings) for name, settings in config.tenant_filters.items()}
    return own, Filter("filters", config.filters)


def check_screening(config: Config) -> None:
    """Raises CannotScreen."""
    filters_of(config)
    if config.hook.url:
        try:
            check_settings(config.hook)
        except ValueError as error:
            raise CannotScreen(str(error)) from None


@asynccontextmanager
async def open_screening(config: Config, db: Postgres, clock: Callable[[], int]) -> AsyncIterator[Screening | None]:
    """None when nothing is configured. Raises CannotScreen."""
    check_screening(config)
    own, general = filters_of(config)
    if config.hook.url:
        async with open_hook(config.hook, config.limits.text_bytes, clock) as hook:
            yield Screening(db, own, general, hook)
    elif any(one.is_needed for one in (general, *own.values())):
        yield Screening(db, own, general, None)
    else:
        yield None
