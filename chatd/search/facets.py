"""The properties of a message in the index besides its words. Their lexemes contain a `@`, which no word does."""

import re
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Literal

from chatd.conversations.attachment_types import attachments_in

Has = Literal["file", "link", "image"]
HAS: tuple[Has, ...] = ("file", "link", "image")
DAY = 86_400_000
# Days of the longer spans of time.
SPAN = 32
# Ids of which the short form is cached: those of the last batches.
MAX_KNOWN = 4096
LINK = re.compile(r"https?://[^\s]|www\.[^\s]", re.IGNORECASE)


@lru_cache(MAX_KNOWN)
def short(id_: str) -> str:
    """A UUID in 22 characters."""
    return urlsafe_b64encode(bytes.fromhex(id_.replace("-", ""))).decode().rstrip("=")


def in_conversation(id_: str) -> str:
    return f"@c{short(id_)}"


def from_sender(id_: str) -> str:
    return f"@f{short(id_)}"


def with_content(has: Has) -> str:
    return f"@h{has}"


def days(low: int, high: int) -> list[str]:
    """The days from `low` up to before `high`, in milliseconds."""
    return [f"@d{day}" for day in range(low // DAY, (high - 1) // DAY + 1)]


def spans(low: int, high: int) -> list[str]:
    """The same days in spans of 32 days."""
    return [f"@s{span}" for span in range(low // (SPAN * DAY), (high - 1) // (SPAN * DAY) + 1)]


def facets(conversation: str, sender: str, created_at: int, text: str | None, attachments: Any) -> list[str]:
    """All facets of a message."""
    day = created_at // DAY
    known = [in_conversation(conversation), from_sender(sender), f"@d{day}", f"@s{day // SPAN}"]
    stored = attachments_in(attachments)
    if stored or has_link(text or ""):
        known += map(with_content, contents_of(text or "", stored))
    return known


def has_link(text: str) -> bool:
    """Whether the text contains a link. The search for a part of all links is faster than the pattern."""
    return ("." in text or "://" in text) and LINK.search(text) is not None


def contents_of(text: str, attachments: Sequence[Any]) -> Iterable[Has]:
    """The kinds of content of attachments in their stored form. An image that was sent as a file is an image too."""
    if any("upload" in one for one in attachments):
        yield "file"
    if any(str(one.get("mime")).startswith("image/") for one in attachments):
        yield "image"
    if has_link(text) or any(one.get("type") == "link" for one in attachments):
        yield "link"
