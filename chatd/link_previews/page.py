"""Reads the preview of a page from its HTML. Pure.

Anybody can write a page that takes long to parse: `html.parser` of the standard library takes quadratic time for some.
So only the tags `meta` and `title` are read, each up to a length, with expressions that never go back; the work is
linear in the size of the page. Tags in comments and scripts count as well: a page can say nothing there that it could
not say elsewhere.
"""

import codecs
import html
import re
import unicodedata
from urllib.parse import urljoin

from msgspec import UNSET, UnsetType

from chatd.conversations.messages.attachments import is_web_url
from chatd.link_previews.preview import MAX_DESCRIPTION, MAX_SITE_NAME, MAX_TITLE, LinkPreview

# The part of a page that is read, which begins with its head; the tags in it; and the length of a tag.
MAX_HEAD_BYTES, MAX_TAGS, MAX_TAG = 262_144, 200, 8192
META = re.compile(r"<meta(?=[\s/])", re.IGNORECASE)
QUOTE_OR_END = re.compile("[>\"']")
ATTRIBUTE = re.compile(
    r"([^\s\"'<>/=]{1,64}+)\s{0,9}+=\s{0,9}+(?:\"([^\"]*+)\"|'([^']*+)'|([^\s\"'=<>`]++))",
)
TITLE = re.compile(r"<title[\s>]", re.IGNORECASE)
TITLE_TEXT = re.compile(r"[^>]{0,500}+>([^<]{0,4000}+)")
MAX_TITLES = 5
DECLARED = re.compile(rb"<meta[^<>]{0,500}?charset\s{0,9}=\s{0,9}[\"']?\s{0,9}([A-Za-z0-9_:.-]{2,40})", re.IGNORECASE)
IN_HEADER = re.compile(r"charset\s{0,9}=\s{0,9}[\"']?([A-Za-z0-9_:.-]{2,40})", re.IGNORECASE)
# By the names that Python gives them. Others, and what is no encoding of text, get no preview.
CHARSETS = re.compile(
    r"utf-8(-sig)?|utf-16(-[bl]e)?|ascii|iso8859-\d+|cp125\d|cp874|cp932|koi8-[rut]|mac-roman|gb2312|gbk|gb18030|big5(hkscs)?"
    r"|euc_jp|shift_jis|iso2022_jp|euc_kr|cp949|tis-620"
)
MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
# The names of a property, the best first.
NAMES = {
    "title": ("og:title", "twitter:title"),
    "description": ("og:description", "twitter:description", "description"),
    "site_name": ("og:site_name", "application-name"),
    "image": ("og:image:secure_url", "og:image", "og:image:url", "twitter:image", "twitter:image:src"),
}


class NoPreview(Exception):
    """The page has no preview. The text is the reason, one of `metrics.OUTCOMES`."""


def preview_in(url: str, at: str, content_type: str, body: bytes, *, images: bool) -> LinkPreview:
    """The preview of a page. `url`: the link in the message; `at`: where its redirects lead. Raises NoPreview."""
    text = decoded(body[:MAX_HEAD_BYTES], content_type)
    found = properties(text)
    title = line_of(found.get("title") or title_in(text), MAX_TITLE)
    if not title:
        raise NoPreview("no_title")
    return LinkPreview(
        url=url,
        title=title,
        description=line_of(found.get("description", ""), MAX_DESCRIPTION) or UNSET,
        site_name=line_of(found.get("site_name", ""), MAX_SITE_NAME) or UNSET,
        image=image_of(at, found.get("image", "")) if images else UNSET,
    )


def decoded(body: bytes, content_type: str) -> str:
    """The text of a page. Raises NoPreview."""
    name = next((charset for mark, charset in MARKS if body.startswith(mark)), None)
    if name is None and (match := IN_HEADER.search(content_type)):
        name = match[1]
    if name is None and (declared := DECLARED.search(body[:2048])):
        name = declared[1].decode("ascii")
    try:
        codec = codecs.lookup(name or "utf-8")
    except (LookupError, ValueError):
        raise NoPreview("charset") from None
    if not CHARSETS.fullmatch(codec.name):
        raise NoPreview("charset")
    return body.decode(codec.name, errors="replace")


def properties(text: str) -> dict[str, str]:
    """The properties of a page by the names of `NAMES`."""
    contents: dict[str, str] = {}
    for count, match in enumerate(META.finditer(text)):
        if count == MAX_TAGS:
            break
        end = end_of_tag(text, match.end(), match.start() + MAX_TAG)
        if end is None:
            continue
        attributes = attributes_in(text[match.end() : end])
        content = attributes.get("content", "").strip()
        for name in (attributes.get("property"), attributes.get("name")):
            if name and content:
                contents.setdefault(name.strip().lower(), content)
    return {
        name: next(contents[one] for one in names if one in contents)
        for name, names in NAMES.items()
        if any(one in contents for one in names)
    }


def end_of_tag(text: str, start: int, most: int) -> int | None:
    """The position of the first `>` before `most` that is in no quotes."""
    while mark := QUOTE_OR_END.search(text, start, most):
        if mark[0] == ">":
            return mark.start()
        start = text.find(mark[0], mark.end(), most) + 1
        if not start:
            return None
    return None


def attributes_in(tag: str) -> dict[str, str]:
    """The attributes of a tag that have values, by their names in lower case."""
    found: dict[str, str] = {}
    for match in ATTRIBUTE.finditer(tag):
        found.setdefault(match[1].lower(), html.unescape(match[2] or match[3] or match[4] or ""))
    return found


def title_in(text: str) -> str:
    """The content of the first `title` that has any."""
    for count, match in enumerate(TITLE.finditer(text)):
        content = TITLE_TEXT.match(text, match.end() - 1)
        if content is not None and content[1].strip():
            return html.unescape(content[1])
        if count == MAX_TITLES:
            break
    return ""


def line_of(text: str, most: int) -> str:
    """One line of visible characters, without those that change its direction. A longer one ends with an ellipsis."""
    visible = "".join(" " if one.isspace() else one for one in text[: 8 * most] if one.isspace() or is_shown(one))
    line = " ".join(visible.split())
    return line if len(line) <= most else f"{line[: most - 1].rstrip()}…"


def is_shown(character: str) -> bool:
    # Format characters join emoji, and letters of some scripts.
    return character in "\u200c\u200d" or (unicodedata.category(character)[0] != "C" and character != "\ufffd")


def image_of(at: str, given: str) -> str | UnsetType:
    """The absolute URL of an image."""
    try:
        url = urljoin(at, given)
    except ValueError:
        return UNSET
    return url if given and len(url) <= 2048 and is_web_url(url) else UNSET
