"""The preview of a page, from its bytes."""

from contextlib import suppress
from time import perf_counter
from typing import Any

import pytest
from msgspec import UNSET, to_builtins

from chatd.link_previews.links import link_of
from chatd.link_previews.page import MAX_HEAD_BYTES, NoPreview, preview_in

URL = "https://x.test/a/b"
HTML = "text/html; charset=utf-8"


def read(page: str | bytes, content_type: str = HTML, *, images: bool = True) -> dict[str, Any]:
    body = page.encode() if isinstance(page, str) else page
    found: dict[str, Any] = to_builtins(preview_in(URL, URL, content_type, body, images=images))
    assert found.pop("url") == URL
    return found


def reason(page: str | bytes, content_type: str = HTML) -> str:
    with pytest.raises(NoPreview) as caught:
        read(page, content_type)
    return str(caught.value)


def test_properties_by_their_precedence() -> None:
    page = """<!doctype html><HTML><head><title>plain</title>
        <meta name=description content='the "plain" one'>
        <meta content="Tea &amp; caf&eacute; > milk" property="og:title"/>
        <meta property="og:title" content="the second"><meta name="twitter:title" content="t">
        <META PROPERTY=og:description CONTENT="  what\n it is ">
        <meta property="og:site_name" content="Site"><meta property="og:image" content="../c.png?a=1&amp;b=2">
        </head>"""
    assert read(page) == {
        "title": "Tea & café > milk",
        "description": "what it is",
        "site_name": "Site",
        "image": "https://x.test/c.png?a=1&b=2",
    }
    assert "image" not in read(page, images=False)
    assert read("<title lang=en> A &lt;b&gt; </title>") == {"title": "A <b>"}


@pytest.mark.parametrize(
    ("page", "content_type"),
    [
        ("<title>Привет</title>".encode("cp1251"), "text/html; charset=windows-1251"),
        ('<meta charset="windows-1251"><title>Привет</title>'.encode("cp1251"), "text/html"),
        (
            '<meta http-equiv=content-type content="text/html; charset=koi8-r"><title>Привет</title>'.encode("koi8-r"),
            "",
        ),
        ("<title>Привет</title>".encode("utf-16"), "text/html; charset=windows-1251"),
        ("<title>Привет</title>".encode(), "text/html"),
    ],
)
def test_charsets(page: bytes, content_type: str) -> None:
    assert read(page, content_type) == {"title": "Привет"}


@pytest.mark.parametrize("charset", ["zip", "rot13", "unicode_escape", "idna", "punycode", "klingon", "utf-7", "hex"])
def test_other_charsets_have_no_preview(charset: str) -> None:
    assert reason("<title>x</title>", f"text/html; charset={charset}") == "charset"


@pytest.mark.parametrize(
    "page", ["", "nothing", "<title></title>", "<title>\u202e\u0000</title>", "\ufffd", "<meta", b"\xff\x00"]
)
def test_pages_without_a_title(page: str | bytes) -> None:
    assert reason(page) == "no_title"


def test_texts_are_short_visible_lines() -> None:
    found = read(f'<title>a\u202eb\x07\u2028c</title><meta name=description content="{"long " * 500}">')
    assert (found["title"], len(found["description"])) == ("ab c", 500)
    assert found["description"].endswith("…")


@pytest.mark.parametrize(
    "image",
    ["javascript:alert(1)", "data:image/png;base64,AA", "http://[", "ftp://x.test/a", "https://x.test/" + "a" * 2100],
)
def test_images_with_another_address(image: str) -> None:
    assert read(f'<title>t</title><meta property="og:image" content="{image}">') == {"title": "t"}


@pytest.mark.parametrize(
    "unit",
    [
        "<meta ",
        '<meta a="',
        "<meta '",
        "<title",
        "<title>",
        "<!--",
        "<",
        "&",
        "<meta a=b c=",
        "=",
        "<meta content='&#1",
    ],
)
def test_hostile_pages_take_linear_time(unit: str) -> None:
    """Twice as much of it takes at most about twice as long, and the whole a fraction of a second."""
    page = (unit * (MAX_HEAD_BYTES // len(unit) + 1)).encode()
    began = perf_counter()
    with suppress(NoPreview):
        read(page)
    assert perf_counter() - began < 0.5


@pytest.mark.parametrize(
    ("text", "link"),
    [
        ("see https://x.test/a.", "https://x.test/a"),
        ("(https://x.test/a_(b))", "https://x.test/a_(b)"),
        ("<HTTPS://x.test/a?b=c#d>, http://y.test", "HTTPS://x.test/a?b=c#d"),
        ("http:// http://... https://x.test", "https://x.test"),
        ("ftp://x.test x.test ://", None),
        ("http://! " * 10 + "https://x.test", None),
        (None, None),
    ],
)
def test_the_first_link(text: str | None, link: str | None) -> None:
    assert link_of(text, []) == link


def test_link_attachments_come_first() -> None:
    attached = {"type": "link", "url": "https://y.test"}
    assert link_of("https://x.test", [{"type": "image"}, attached]) == "https://y.test"
    assert link_of("https://x.test", [{**attached, "title": "given"}]) is None


def test_absent_fields() -> None:
    assert preview_in(URL, URL, HTML, b"<title>t</title>", images=True).image is UNSET
