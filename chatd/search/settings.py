"""Settings of search."""

from typing import Annotated, Literal

from chatd.core.config import Declaration, Section, Settings, doc


class SearchSettings(Section, frozen=True):
    indexer: Annotated[
        Literal["child", "inline", "off"],
        doc("What writes the search index: a child process of `chatd serve` (child), the server process itself"),
        doc("(inline), or `chatd index` on this or another machine (off)."),
    ] = "child"


SETTINGS: tuple[Declaration, ...] = (Settings("search", SearchSettings),)
