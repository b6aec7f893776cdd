"""Templates. They are compiled and filled in a worker thread, so a long page does not hold the event loop."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import trio
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from quart import Response

from chatd import __version__
from chatd.admin_pages.http_rules import HEADERS

MAX_THREADS = 4


class Templates:
    """All templates of the pages. Every value is escaped."""

    def __init__(self) -> None:
        self._jinja = Environment(
            loader=PackageLoader("chatd.admin_pages"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._jinja.filters |= {"when": when, "day": day, "short": short, "pretty": pretty, "lasting": lasting}
        self._jinja.filters["combine"] = combine
        self._jinja.globals |= {"version": __version__}
        self._threads = trio.CapacityLimiter(MAX_THREADS)

    async def response(self, template: str, values: Mapping[str, Any], status: int = 200) -> Response:
        text = await trio.to_thread.run_sync(self._text, template, values, limiter=self._threads)
        return Response(text, status, HEADERS, content_type="text/html; charset=utf-8")

    def _text(self, template: str, values: Mapping[str, Any]) -> str:
        return self._jinja.get_template(template).render(values)


def when(at: int | None, otherwise: str = "never") -> Markup | str:
    """A time in ms, in UTC."""
    if at is None:
        return otherwise
    text = datetime.fromtimestamp(at / 1000, tz=UTC).strftime("%Y-%m-%d %H:%M:%S")
    return Markup('<time datetime="{}Z">{}</time>').format(text.replace(" ", "T"), text)


def day(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, tz=UTC).strftime("%Y-%m-%d")


def short(id_: str) -> str:
    """The end of an id: the beginnings of ids that were made at the same time are equal."""
    return f"…{id_[-12:]}"


def pretty(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2, default=str)


def lasting(ms: float | None) -> str:
    """A duration in ms, with its two largest units."""
    if ms is None:
        return "–"
    seconds, parts = round(ms / 1000), list[str]()
    for name, size in (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)):
        count, seconds = divmod(seconds, size)
        if count or (name == "s" and not parts):
            parts.append(f"{count} {name}")
    return " ".join(parts[:2])


def combine(one: Mapping[str, str], other: Mapping[str, str]) -> dict[str, str]:
    """The values of both; those of the second count."""
    return {**one, **other}
