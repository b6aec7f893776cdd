"""Screening of messages: the filters of the tenant, then the moderation hook. It is not open if neither is configured.

Screened are the text, the names of files, the URLs of links, and every text in `meta`. Other texts (names, titles,
tags) pass the filters in `chatd/app/command_texts.py`.

A message that is stored already is not screened again, so that sending it again repeats the first ack, whatever the
filters say by now.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from chatd.app.context import Ctx
from chatd.conversations.entities import Json
from chatd.conversations.messages.moderation_hook import Hook, Question, check_settings, open_hook
from chatd.conversations.settings import FilterSettings, HookSettings
from chatd.core.config import Config
from chatd.core.errors import OperatorError, Refused
from chatd.core.slices import Sliced
from chatd.core.turns import in_turns
from chatd.db import queries
from chatd.db.postgres import Postgres, Row
from chatd.filters.link_filter import LinkFilter
from chatd.filters.word_filter import WordFilter

SQL = queries.load("conversations/screening")


class CannotScreen(OperatorError):
    """The configuration of the filters or the hook is invalid; the text names the problem."""


class MessageToScreen(Struct, frozen=True):
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

    def __init__(self, name: str, settings: FilterSettings) -> None:
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

    def apply(self, text: str, path: str, *, may_mask: bool = True) -> Sliced[str]:
        """The text to store. Raises Refused: `forbidden`."""
        if self._links is not None and (yield from self._links.refuses_in_slices(text)):
            raise Refused("forbidden", f"{path}: links to this host are not allowed here", details={"filter": "links"})
        if self._words is None:
            return text
        if self._masks and may_mask:
            return (yield from self._words.mask_in_slices(text))
        if (yield from self._words.is_in_slices(text)):
            raise Refused(
                "forbidden", f"{path}: the text contains a word that is not allowed here", details={"filter": "words"}
            )
        return text

    def apply_to(self, to_screen: MessageToScreen) -> Sliced[MessageToScreen]:
        """The message with all its texts as they are stored. Raises Refused: `forbidden`."""
        if not self.is_needed:
            return to_screen
        text = (yield from self.apply(to_screen.text, "$.text")) if to_screen.text else to_screen.text
        attachments = list[dict[str, Any]]()
        for index, one in enumerate(to_screen.attachments):
            attachments.append((yield from self._attachment(one, f"$.attachments[{index}]")))
        meta = None if to_screen.meta is None else (yield from self._free_form(to_screen.meta, "$.meta"))
        return replace(to_screen, text=text, attachments=attachments, meta=meta)

    def _attachment(self, stored: dict[str, Any], path: str) -> Sliced[dict[str, Any]]:
        if stored["type"] == "link":
            yield from self.apply(stored["url"], f"{path}.url", may_mask=False)
        return (
            {**stored, "name": (yield from self.apply(stored["name"], f"{path}.name"))}
            if stored.get("name")
            else stored
        )

    def _free_form(self, value: Any, path: str) -> Sliced[Any]:
        if isinstance(value, str):
            return (yield from self.apply(value, path))
        if isinstance(value, list):
            items = list[Any]()
            for index, one in enumerate(value):
                items.append((yield from self._free_form(one, f"{path}[{index}]")))
            return items
        if isinstance(value, dict):
            form = dict[str, Any]()
            for key, one in value.items():
                yield from self.apply(key, path, may_mask=False)
                form[key] = yield from self._free_form(one, f"{path}.{key[:32]}")
            return form
        return value


class Screening:
    """`filters` by tenant; `general` for all others."""

    def __init__(self, db: Postgres, filters: Mapping[str, Filter], general: Filter, hook: Hook | None) -> None:
        self._db = db
        self._filters = filters
        self._general = general
        self._hook = hook

    def filter_of(self, tenant: str) -> Filter:
        return self._filters.get(tenant, self._general)

    async def screen(self, to_screen: MessageToScreen) -> MessageToScreen:
        """The message to store. Raises Refused: `forbidden`, `not_found`, `unavailable`."""
        if self._hook is None:
            return await self._filtered(to_screen)
        row = await self._read_context(to_screen)
        if row["is_stored"]:
            return to_screen
        if row["kind"] is None:
            raise Refused("not_found", "no such conversation")
        filtered = await in_turns(self.filter_of(to_screen.tenant).apply_to(to_screen))
        return replace(filtered, text=await self._hook.ask(question_of(filtered, row["kind"])))

    async def _filtered(self, to_screen: MessageToScreen) -> MessageToScreen:
        try:
            return await in_turns(self.filter_of(to_screen.tenant).apply_to(to_screen))
        except Refused:
            if (await self._read_context(to_screen))["is_stored"]:
                return to_screen
            raise

    async def _read_context(self, to_screen: MessageToScreen) -> Row:
        row = await self._db.one(
            SQL.screening_state, to_screen.tenant, to_screen.conversation, to_screen.sender, to_screen.client_id
        )
        assert row is not None
        return row


async def screen(
    ctx: Ctx,
    conversation: str,
    client_id: str,
    text: str | None,
    attachments: Sequence[Json] = (),
    reply_to: str | None = None,
    meta: Json | None = None,
) -> MessageToScreen:
    """The message that the filters and the hook leave. Raises Refused."""
    to_screen = MessageToScreen(ctx.tenant, conversation, ctx.user, client_id, text, list(attachments), reply_to, meta)
    screening = ctx.node.services.find(Screening)
    return to_screen if screening is None else await screening.screen(to_screen)


def question_of(to_screen: MessageToScreen, kind: str) -> Question:
    return Question(
        tenant=to_screen.tenant,
        conversation=to_screen.conversation,
        kind=kind,
        sender=to_screen.sender,
        text=to_screen.text,
        attachments=to_screen.attachments,
        reply_to=to_screen.reply_to,
        meta=to_screen.meta,
        client_id=to_screen.client_id,
    )


def filters_of(config: Config) -> tuple[dict[str, Filter], Filter]:
    """The filters of the tenants that have their own, and those of all others. Raises CannotScreen."""
    own = {name: Filter(f"tenant_filters.{name}", settings) for name, settings in config.named(FilterSettings).items()}
    return own, Filter("filters", config.get(FilterSettings))


def check_screening(config: Config) -> None:
    """Raises CannotScreen."""
    filters_of(config)
    if config.get(HookSettings).url:
        try:
            check_settings(config.get(HookSettings))
        except ValueError as error:
            raise CannotScreen(str(error)) from None


@asynccontextmanager
async def open_screening(config: Config, db: Postgres, clock: Callable[[], int]) -> AsyncIterator[Screening | None]:
    """None if nothing is configured. Raises CannotScreen."""
    check_screening(config)
    own, general = filters_of(config)
    if config.get(HookSettings).url:
        async with open_hook(config.get(HookSettings), config.limits.text_bytes, clock) as hook:
            yield Screening(db, own, general, hook)
    elif any(one.is_needed for one in (general, *own.values())):
        yield Screening(db, own, general, None)
    else:
        yield None
