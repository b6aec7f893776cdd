"""The hosts that links lead to, in any disguise."""

import re
import time
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatd.filters.link_filter import MAX_HOSTS, READABLE, LinkFilter, canonical_host, hosts, hosts_in

NONE, GOOD, NOT_EVIL = (
    LinkFilter([]),
    LinkFilter(["good.com", "10.0.0.1"]),
    LinkFilter(None, ["evil.com", "127.0.0.1", "::1"]),
)

EVIL = [
    "https://evil.com", "HTTPS://EVIL.COM/", "see http://www.evil.com:8080/x?y", "evil.com", "go to evil.com.", "a.b.evil.com/x",
    "https://good.com@evil.com", "https://good.com:pw@evil.com:80/", "https://good.com%40evil.com", "https://good.com\\@evil.com",
    "https://evil.com\\@good.com", "https://evil%2ecom/", "https://evil.com./", "https:evil.com", "https:/evil.com",
    "https:\\\\evil.com",
    "https://///evil.com", "//evil.com/x", "[click](https://evil.com)", "<https://evil.com>", "(evil.com)",
    "ftp://evil.com", "evil。com",
    "ｅｖｉｌ．ｃｏｍ", "e\u200bvil.com", "e\u00advil.com", "https://𝐞𝐯𝐢𝐥.com", "请看evil.com谢谢", "evil%2ecom", "me@evil.com",
    "https://good.com#@evil.com", "tg://evil.com", "https://x@y@evil.com", "http://evil.com%2f@good.com", "evil.com:80",
    "http://127.0.0.1/", "http://2130706433/", "http://0x7f.1/", "http://0177.0.0.1", "http://127.1", "http://[::1]:80/",
    "http://[::ffff:127.0.0.1]/", "http://127.0.0.1.", "127.0.0.1:8080", "127.0.0.1/admin", "https://good.com@127.1",
]  # fmt: skip
HARMLESS = [
    "hello. World", "e.g. this", "3.14", "1.5/2", "v1.2.3", "file.txt", "ok...", "a//b", "note: https://", "and/or",
    "12:30", "a:b",
    "", "...", "really?!", "C:\\temp", "@bob", "10.0.0.1",
]  # fmt: skip
GOODS = [
    "https://good.com",
    "http://www.good.com/x",
    "good.com",
    "GOOD.com.",
    "https://10.0.0.1/",
    "https://me@good.com/",
    "see good.com, ok",
]


@pytest.mark.parametrize("text", EVIL)
def test_denied_link_is_found(text: str) -> None:
    assert NONE.refuses(text)
    assert GOOD.refuses(text)
    assert NOT_EVIL.refuses(text) or "#" in text


@pytest.mark.parametrize("text", HARMLESS)
def test_sentence_is_not_a_link(text: str) -> None:
    assert not any(one.refuses(text) for one in (NONE, GOOD, NOT_EVIL))


@pytest.mark.parametrize("text", GOODS)
def test_allowed_link_passes(text: str) -> None:
    assert NONE.refuses(text)
    assert not GOOD.refuses(text)
    assert not NOT_EVIL.refuses(text)


@pytest.mark.parametrize(
    "text",
    ["https://evilgood.com", "https://good.com.evil.org", "https://gооd.com", "https://good.co", "good.com evil.org"],
)
def test_link_that_resembles_an_allowed_one_is_refused(text: str) -> None:
    """The third has Cyrillic letters."""
    assert GOOD.refuses(text)


def test_host_has_one_normal_form() -> None:
    assert canonical_host("xn--bcher-kva.DE.") == canonical_host("BÜCHER.de") == "bücher.de"
    assert canonical_host("②130706433") == "127.0.0.1"
    assert LinkFilter(None, ["127.0.0.1"]).refuses("see http://%E2%91%A1130706433/")
    assert not LinkFilter(["*.Bücher.de"]).refuses("https://shop.xn--bcher-kva.de/")
    assert LinkFilter(None, ["xn--bcher-kva.de"]).refuses("siehe bücher.de")


UNKNOWN = LinkFilter(
    None, ["evil.test", "wiki.internal", "bücher.beispiel", "a.тест", "intranet", "10.1.2.3", "2001:db8::1"]
)
LIKE_DENIED = [
    "evil.test", "see evil.test.", "(evil.test)", "EVIL.Test", "sub.evil.test", "evil.test:80", "evil.test/x", "evil.test?x",
    "me@evil.test", "evil%2etest", "evil。test", "ｅｖｉｌ．ｔｅｓｔ", "e\u200bvil.te\u00adst", "请看evil.test谢谢",
    "...evil.test...",
    "https://evil.test", "//evil.test/", "unit.test evil.test", "_evil.test_", "evil.test,unit.test",
    "wiki.internal", "a.b.wiki.internal", "bücher.beispiel", "xn--bcher-kva.beispiel", "BU\u0308CHER.beispiel", "a.тест",
    "A.ТЕСТ",
    "a.xn--e1aybc", "intranet:8080", "intranet/wiki", "http://intranet", "10.1.2.3", "at 10.1.2.3.", "10.1.2.3:80", "2001:db8::1",
    "[2001:db8::1]",
]  # fmt: skip
UNLIKE_DENIED = [
    "unit.test", "evil.testing", "evil.test.example", "notevil.test", "evil-test", "evil. test", "internal", "other.internal",
    "the intranet is down", "intranets/x", "110.1.2.3", "10.1.2.30", "10.1.2.3.4", "2001:db8::11", "test", ".test",
    "a.test b.test",
]  # fmt: skip


@pytest.mark.parametrize("text", LIKE_DENIED)
def test_denied_host_is_a_link_with_any_ending(text: str) -> None:
    assert UNKNOWN.refuses(text)
    assert LinkFilter(["good.com"], UNKNOWN._denied).refuses(text)


@pytest.mark.parametrize("text", UNLIKE_DENIED)
def test_name_ending_like_a_denied_host_is_not_a_link(text: str) -> None:
    assert not UNKNOWN.refuses(text)
    assert not LinkFilter([], UNKNOWN._denied).refuses(text)


def test_subdomain_of_an_allowed_host_can_be_denied() -> None:
    listed = LinkFilter(["wiki.internal"], ["secret.wiki.internal"])
    assert not listed.refuses("wiki.internal, http://wiki.internal/x")
    assert listed.refuses("x.secret.wiki.internal")
    assert listed.refuses("http://other.internal")


def test_allow_list_and_deny_list_both_apply() -> None:
    both = LinkFilter(["good.com"], ["bad.good.com"])
    assert (both.refuses("https://good.com"), both.refuses("https://x.bad.good.com")) == (False, True)


@pytest.mark.parametrize("host", ["", "https://good.com", "a b", "good.com/x", "*"])
def test_invalid_hosts_are_rejected(host: str) -> None:
    with pytest.raises(ValueError, match="not a valid host"):
        LinkFilter([host])


PARTS = st.sampled_from(
    [*EVIL, *HARMLESS, "http:", "//", "[", "]", "%", "%2e", "@", ".", "xn--", "\\", ":", "。", "0x", "\u200b"]
)


@given(st.lists(st.one_of(PARTS, st.text(max_size=6))).map("".join))
def test_link_filter_never_raises_and_refuses_all_links_without_hosts(text: str) -> None:
    found = list(hosts(text))
    assert NONE.refuses(text) is bool(found)
    assert not GOOD.refuses(text) or found


LONG = [
    "a" * 16_384, "." * 16_384, "a." * 8192, "http:" * 3276, "/" * 16_384, "a.com " * 2700, "https://" + "@" * 16_000,
    "https://a.b " * 1365,
    "%2e" * 5461, "-" * 16_384, "a:" * 8192, "a+" * 8192, "xn--a." * 2700, "1.1.1.1" * 2340, "\ufdfa" * 5461, "//a" * 5461,
    "http://[" * 2048,
    "https://" + "a\u0315\u0300" * 3000, "好.com" * 2000, "好" * 5000 + ".com", "0x" * 8192, "https:" + "\\" * 16_000,
]  # fmt: skip


@pytest.mark.parametrize("text", LONG)
def test_long_text_takes_linear_time(text: str) -> None:
    before = time.thread_time()
    list(hosts(text))
    UNKNOWN.refuses(text.replace("com", "test"))
    assert time.thread_time() - before < 0.5


def test_text_with_too_many_links_is_refused() -> None:
    """Checking 3,000 hosts would hold the event loop for 28 ms."""
    listed = LinkFilter(["example.org"])
    assert not listed.refuses("see example.org/a " * 50)
    assert listed.refuses("see example.org/a " * (MAX_HOSTS + 1))


PARTS = st.sampled_from(
    [*EVIL, *HARMLESS, " ", "\n", "\u3000", ":", "/", "//", "\\", ".", "%2e", "@", "a", "1", "www.", "xn--", "\u0301"]
)


@given(st.lists(PARTS, max_size=12).map("".join))
def test_links_are_found_across_pieces(text: str) -> None:
    plain = READABLE.translate(text)
    whole = Counter(host for found in hosts_in(plain) for host in found)
    for size in (1, 2, 5):
        pieces = re.findall(rf"[\s\S]{{1,{size}}}\S*", plain)
        assert "".join(pieces) == plain
        assert Counter(host for piece in pieces for found in hosts_in(piece) for host in found) == whole
