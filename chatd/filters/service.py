"""The filters of each tenant, and the moderation hook."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from chatd.core.config import Config
from chatd.core.errors import OperatorError, Refused
from chatd.core.slices import Sliced
from chatd.filters.link_filter import LinkFilter
from chatd.filters.moderation_hook import Hook, open_hook
from chatd.filters.moderation_hook import check_settings as check_hook
from chatd.filters.settings import FilterSettings, HookSettings
from chatd.filters.word_filter import WordFilter


class InvalidFilters(OperatorError):
    """The configuration of the filters or the hook is invalid; the text names the problem."""


class Filter:
    """The filters of one tenant. Raises InvalidFilters."""

    def __init__(self, name: str, settings: FilterSettings) -> None:
        only = {"any": None, "none": [], "listed": settings.link_hosts}[settings.links]
        try:
            self._words = WordFilter(settings.words) if settings.words else None
            self._links = LinkFilter(only, settings.links_denied) if only is not None or settings.links_denied else None
        except ValueError as error:
            raise InvalidFilters(f"{name}: {error}") from None
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

    def apply_to_all(self, value: Any, path: str) -> Sliced[Any]:
        """A copy of a JSON value with all its texts as they are stored. Raises Refused: `forbidden`."""
        if isinstance(value, str):
            return (yield from self.apply(value, path))
        if isinstance(value, list):
            items = list[Any]()
            for index, one in enumerate(value):
                items.append((yield from self.apply_to_all(one, f"{path}[{index}]")))
            return items
        if isinstance(value, dict):
            form = dict[str, Any]()
            for key, one in value.items():
                yield from self.apply(key, path, may_mask=False)
                form[key] = yield from self.apply_to_all(one, f"{path}.{key[:32]}")
            return form
        return value


class Filters:
    """The filters by tenant, and the hook. A node without configured filters or a hook has no such service."""

    def __init__(self, filters: Mapping[str, Filter], general: Filter, hook: Hook | None) -> None:
        self._filters = filters
        self._general = general
        self.hook = hook

    def of(self, tenant: str) -> Filter:
        return self._filters.get(tenant, self._general)


def filters_of(config: Config) -> tuple[dict[str, Filter], Filter]:
    """The filters of the tenants that have their own, and those of all others. Raises InvalidFilters."""
    own = {name: Filter(f"tenant_filters.{name}", settings) for name, settings in config.named(FilterSettings).items()}
    return own, Filter("filters", config.get(FilterSettings))


def check_filters(config: Config) -> None:
    """Check the settings of the filters and the hook. Raises InvalidFilters."""
    filters_of(config)
    if config.get(HookSettings).url:
        try:
            check_hook(config.get(HookSettings))
        except ValueError as error:
            raise InvalidFilters(str(error)) from None


@asynccontextmanager
async def open_filters(config: Config, clock: Callable[[], int]) -> AsyncIterator[Filters | None]:
    """Open the filters; yields None if nothing is configured. Raises InvalidFilters."""
    check_filters(config)
    own, general = filters_of(config)
    if config.get(HookSettings).url:
        async with open_hook(config.get(HookSettings), config.limits.text_bytes, clock) as hook:
            yield Filters(own, general, hook)
    elif any(one.is_needed for one in (general, *own.values())):
        yield Filters(own, general, None)
    else:
        yield None
