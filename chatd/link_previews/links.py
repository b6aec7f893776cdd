"""Finds the link of a message that gets a preview."""

import re
from collections.abc import Iterable
from typing import Any

from chatd.conversations.messages.attachments import is_web_url

# The characters up to the first one that ends a link, at most as many as the URL of a link attachment has.
LINK = re.compile(r"https?://[^\s<>\"`{}|\\^]{1,2040}", re.IGNORECASE)
# Characters after a link that belong to the sentence. A closing bracket belongs to the link if the link opens it.
TRAILING = ".,;:!?'*_~"
BRACKETS = {")": "(", "]": "["}
# Texts with more of what looks like a link, but is none, have no preview.
MAX_TRIES = 5


def link_of(text: str | None, attachments: Iterable[dict[str, Any]]) -> str | None:
    """The first link attachment, or the first link in the text. None if the sender has given a preview."""
    for one in attachments:
        if one["type"] == "link":
            url: str = one["url"]
            return None if "title" in one else url
    return link_in(text) if text is not None and "://" in text else None


def link_in(text: str) -> str | None:
    for tries, match in enumerate(LINK.finditer(text)):
        if tries == MAX_TRIES:
            return None
        url = trimmed(match[0])
        if is_web_url(url):
            return url
    return None


def trimmed(url: str) -> str:
    """The link without the punctuation of the sentence around it."""
    while url:
        opening = BRACKETS.get(url[-1])
        if url[-1] not in TRAILING and (opening is None or url.count(opening) >= url.count(url[-1])):
            break
        url = url[:-1]
    return url
