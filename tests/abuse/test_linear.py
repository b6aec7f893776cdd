"""Functions that read bytes or text of a peer take linear time, with or without a regular expression."""

import gc
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from itertools import product
from math import inf

import pytest
import trio
from werkzeug.exceptions import RequestEntityTooLarge

from chatd.core.addresses import bucket, can_be_encoded, client_address, name_of, parse_networks
from chatd.core.emoji import is_emoji
from chatd.core.errors import Refused
from chatd.core.rate_limit import TokenBucket
from chatd.core.slices import Sliced
from chatd.core.turns import TURN_S
from chatd.filters import link_filter, text_folding
from chatd.filters.link_filter import LinkFilter
from chatd.filters.word_filter import WordFilter
from chatd.gateway.cork import NO_CORK
from chatd.gateway.fast_path import FastPathStream
from chatd.gateway.frame_rules import FrameRules
from chatd.gateway.handshake import Rejected, handshake_of, read_head
from chatd.gateway.send_queue import SendQueue
from chatd.gateway.transport import Frames, Handle
from chatd.search import tokenizer
from chatd.search.facets import contents_of
from chatd.search.query import parse, tsquery
from chatd.search.tokenizer import highlights, highlights_in_slices, tokens, tokens_in_slices
from chatd.uploads.file_names import disposition
from chatd.uploads.file_types import sniff
from chatd.uploads.multipart import Form
from chatd.uploads.ranges import matches
from chatd.wire.frames import TEXT
from tests.abuse.growth import grows, seconds
from tests.wire_client import GOOD, Raw

SIZES = [256, 1024, 4096, 16384]
PROXIES = parse_networks(["10.0.0.0/8", "fd00::/8"])
WORDS = WordFilter(["spam", "ham and eggs", "- - -", "\u0e01\u0e02"])
LINKS = LinkFilter(["example.org"], ["evil.test"])


def head(*lines: bytes) -> bytes:
    return b"\r\n".join([*(line.encode() for line in GOOD), *lines, b"", b""])


def handshake(text: str) -> None:
    """The text as the value of a header, as headers, and as the target."""
    data = text.encode("latin-1", "replace")
    for given in (
        head(b"X: " + data),
        head(*(b"X: " + part for part in data.split(b" "))),
        head().replace(b"/v1/ws", data),
    ):
        with suppress(Rejected):
            handshake_of(given, "127.0.0.1")


def search(text: str) -> None:
    tsquery(parse(text))


def marked(text: str) -> None:
    highlights(text, parse("a spam").wanted)


def form(text: str) -> None:
    data = text.encode("utf-8", "replace")
    for given in (data, b"--b\r\n" + data, b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\n' + data):
        try:
            upload = Form(b"b", 2**20)
            for start in range(0, len(given), 64):
                upload.feed(given[start : start + 64])
            upload.end()
        except (Refused, RequestEntityTooLarge):
            continue


READERS: list[Callable[[str], object]] = [
    handshake,
    lambda text: client_address("10.0.0.1", text, PROXIES),
    bucket,
    can_be_encoded,
    is_emoji,
    WORDS.is_in,
    WORDS.mask,
    LINKS.refuses,
    search,
    marked,
    tokens,
    lambda text: list(contents_of(text, [])),
    lambda text: disposition("attachment", text, "text/plain"),
    lambda text: sniff(text.encode("utf-8", "replace")),
    lambda text: matches(text, '"x"'),
    form,
]
PUMPS = (
    *(" ", "\t", "a", "0", ".", ",", "-", ":", "/", "%", "=", "&", '"', "\\", "\r\n", "\u0e01", "\u1100", "\U0001f600"),
    *(
        "a ",
        ", ",
        "a.",
        "10.0.0.1,",
        "ham and ",
        '"a" ',
        "-a ",
        "%41",
        "a=b&",
        "http://",
        "www.a.com",
        "\r\n--b",
        "a: b\r\n",
        "- ",
    ),
)


@pytest.mark.parametrize("reader", READERS, ids=[*(getattr(reader, "__name__", "") for reader in READERS)])
def test_a_parser_takes_linear_time(reader: Callable[[str], object]) -> None:
    for prefix, pump, end in product(("", "a"), PUMPS, ("", "!")):

        def make(size: int, parts: tuple[str, str, str] = (prefix, pump, end)) -> str:
            return parts[0] + (parts[1] * size)[:size] + parts[2]

        assert not grows(reader, make, SIZES), (prefix, pump, end)


LONGEST = 16_384
STEP_S = 0.005
ATTEMPTS = 5
# A phrase of punctuation is tried at each character of a text, and costs more.
LETTERS = WordFilter(["spam", "ham and eggs", "\u0e01\u0e02"])
TEXT_READERS = [
    is_emoji,
    LETTERS.is_in,
    LINKS.refuses,
    lambda text: list(contents_of(text, [])),
    can_be_encoded,
    name_of,
]
# Near misses of a host, of a listed word, of an address, of a letter of several characters.
# Then texts of characters that are all different.
NEAR_MISSES = [
    "1.5 ", "a.zz1 ", "a.a1.", "a.com1 ", "a.com.1", ".a", "a.", "a./ ", "1.5/ ", "a%2e", "v1.2.3 ", "e.g. ", "www. ", "a.xn--",
    "com.", "//a ", "a\\\\", "a:// ", "http:", "http: ", ":", "@.", "1.1.1.1 ", "1.1.1.1", "http://[::1] ", "http://0x7f.1 ",
    "a@b.c ", "http://a@example.org ", "http://\\example.org ", "https://xn--bcher-kva.example.org ", "\u4e2d.com",
    "\u4e2da.com", "\u4e2d\u3002", "spam ", "$pam", "5p4m ", "spa", "ham and ", "- - ", "- ", "%-", "\u0e01\u0e02",
    "s\u0301pam ", "\u0455pam ", "\u4e2d1", "\u1100\u1161", "\u304b\u3099", "\u2764\ufe0f", "a\u0301", "\u200b", "\u0e01.",
    "".join(map(chr, range(0x3400, 0x3400 + 5461))), "".join(map(chr, range(0x20000, 0x20000 + 4096))),
]  # fmt: skip


def longest_text(pump: str) -> str:
    return (pump * (LONGEST // len(pump) + 1)).encode()[:LONGEST].decode(errors="ignore")


@pytest.fixture
def no_collections() -> Iterator[None]:
    """Garbage of other tests would count as time of the function."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collections")
@pytest.mark.parametrize("reader", [reader for reader in TEXT_READERS if reader != LINKS.refuses])
def test_the_longest_text_is_read_within_one_step(reader: Callable[[str], object]) -> None:
    """One good attempt suffices: another process may have evicted the caches.

    Links are read in slices, which have a shorter limit below.
    """
    slow = []
    for pump in (*NEAR_MISSES, *PUMPS):
        text = longest_text(pump)
        took = min(seconds(reader, text) for _ in range(ATTEMPTS))
        if took >= STEP_S:
            slow.append((pump[:20], took))
    assert slow == []


# Phrases of punctuation, and words with a common beginning, which are tried to their end at each position.
MANY_WORDS = WordFilter(["spam", "ham and eggs", "- - -", "\u0e01\u0e02", *("a" * length for length in range(3, 100))])
QUERY = parse(" ".join(map("".join, product("abcdefgh01,.-", repeat=2)))[:500]).wanted
SLICED: dict[str, Callable[[str], Sliced[object]]] = {
    "words": MANY_WORDS.is_in_slices,
    "mask": MANY_WORDS.mask_in_slices,
    "links": LINKS.refuses_in_slices,
    "tokens": tokens_in_slices,
    "highlights": lambda text: highlights_in_slices(text, parse(text[:500]).wanted),
    "absent": lambda text: highlights_in_slices(text, [], QUERY),
}
DENSE = [
    "spam",
    "sp4m,",
    "a b ",
    "a" * 100 + " ",
    "\u1100\u1161\u11a8",
    "\u11a8",
    "\uac00\u11a8",
    " a".join(map(chr, range(0x400, 0x500))),
]
# Thousands of different characters, which no cache holds.
DIFFERENT = [
    " a".join(map(chr, range(0x400, 0x500))),
    *(
        "".join(map(chr, range(start, start + 5461)))
        for start in (0x100, 0x1000, 0x2000, 0x4E00, 0xA000, 0xAC00, 0x10000, 0x1F000)
    ),
]


def longest_slice(work: Sliced[object]) -> float:
    """In seconds of CPU time."""
    longest = 0.0
    while True:
        before = time.thread_time()
        try:
            next(work)
        except StopIteration:
            return max(longest, time.thread_time() - before)
        longest = max(longest, time.thread_time() - before)


@pytest.mark.usefixtures("no_collections")
@pytest.mark.parametrize("name", SLICED)
def test_no_slice_of_the_longest_text_is_long(name: str) -> None:
    """A slice may begin when a turn of the loop is nearly over, so that both together must not be too long."""
    slow = []
    for pump in (*NEAR_MISSES, *PUMPS, *DENSE, *DIFFERENT):
        text, took = longest_text(pump), inf
        for _ in range(ATTEMPTS):
            for table in (text_folding.PLAIN, text_folding.LOOSE, link_filter.READABLE):
                table.forget()
            tokenizer.FOLDS.clear()
            took = min(took, longest_slice(SLICED[name](text)))
            if took < STEP_S - TURN_S:
                break
        else:
            slow.append((pump[:20], took))
    assert slow == []


class Drip:
    """A transport whose peer sends the same byte again and again, one at a time."""

    cork = NO_CORK

    def __init__(self, start: bytes, count: int) -> None:
        self._start = start
        self._left = count

    async def read(self, handle: Handle | None = None) -> bytes:
        if self._start:
            first, self._start = self._start, b""
            return first
        self._left -= 1
        return b"a" if self._left >= 0 else b""

    def write_nowait(self, data: bytes) -> int:
        return len(data)

    async def write(self, frames: Frames) -> int:
        return sum(map(len, frames()))

    def finish(self) -> None: ...

    async def aclose(self) -> None: ...


async def drip_head(nursery: trio.Nursery, count: int) -> None:
    await read_head(stream_on(nursery, Drip(b"GET /", count)))


async def drip_frame(nursery: trio.Nursery, count: int) -> None:
    stream = stream_on(nursery, Drip(Raw.frame_of(bytes(128 * count))[: 64 * count], count))
    unlimited = TokenBucket(float("inf"), float("inf"))

    def decode(opcode: int, payload: bytes) -> None:
        raise AssertionError

    stream.open(FrameRules(decode, pytest.fail, {TEXT}, 2**22, 64, unlimited))
    await stream.receive_some()


def stream_on(nursery: trio.Nursery, drip: Drip) -> FastPathStream:
    return FastPathStream(drip, SendQueue(drip, nursery, 2**20, 2**20))


@pytest.mark.parametrize(("drip", "most"), [(drip_head, 16_000), (drip_frame, 2**14)])
async def test_single_bytes_are_buffered_in_linear_time(
    drip: Callable[[trio.Nursery, int], Coroutine[None, None, None]], most: int
) -> None:
    async with trio.open_nursery() as nursery:

        def use(count: int) -> None:
            """The coroutine never waits, so it is driven by hand."""
            with suppress(StopIteration):
                drip(nursery, count).send(None)

        assert not grows(use, lambda size: size, [most // 64, most // 16, most // 4, most])
