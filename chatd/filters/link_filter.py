r"""Finds links in a text, and the hosts that they lead to, in any disguise.

Programs disagree on what a link is, and on the host of a malformed one (`https://good.com\@evil.com`). So everything
that any program treats as a link counts, and a malformed link leads to all hosts that programs read from it: it is
allowed if all of them are allowed, and denied if one is denied. All functions here take linear time.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import unquote

from chatd.core.slices import Sliced, finish
from chatd.filters.text_folding import UNSPACED, Table
from chatd.filters.word_filter import as_pattern

# Without a scheme, only a name with a known ending is a link: a country, or one of these. Clients that show links do
# the same.
WORDS = (
    "academy|aero|agency|app|art|asia|biz|blog|bot|bar|best|bid|buzz|cafe|cam|casa|cash|cat|cc|cfd|chat|city|click|cloud|club"
    "|codes|com|company|coop|date|day|deals|design|dev|digital|directory|download|edu|email|energy|events|exchange|expert|fans"
    "|finance|fit|fun|fund|fyi|games|gay|gdn|gift|global|gold|gov|group|guru|help|host|house|icu|ink|info|international|int|jobs"
    "|kim|land|life|link|live|loan|lol|love|ltd|market|marketing|media|men|mil|mobi|moda|money|monster|mov|movie|museum|name|net"
    "|network|news|ninja|one|onion|online|ooo|org|page|party|photo|photos|pics|place|plus|porn|press|pro|pub|quest|racing|red|rest"
    "|rip|rocks|run|sale|sbs|school|science|services|sex|sexy|shop|show|site|social|software|solutions|space|store|stream|studio"
    "|support|surf|systems|team|tech|tel|tips|today|tools|top|trade|travel|tube|uno|vip|video|wang|watch|web|webcam|website|wiki"
    "|win|work|works|world|wtf|xxx|xyz|yoga|zip|zone|рф|рус|онлайн|сайт|中国|公司|网络|香港|台湾|みんな|한국"
)
ENDINGS = rf"xn--[a-z0-9-]{{1,58}}[a-z0-9]|xn--[a-z0-9-]{{2,59}}|{as_pattern(WORDS.split('|'))}|[a-z]{{2}}"
# Characters that browsers treat as a dot, and NFKC does not.
DOTS = str.maketrans("。｡．․﹒", ".....")
# After a scheme two slashes, or after one of the web any number of them, then everything up to the path.
# This and BARE_IP begin with the characters that are rare in a text, so that the search for them is cheap.
WITH_SCHEME = re.compile(
    r"""(?::(?:(?<=[a-z0-9+.-]:)[/\\]{2,9}|(?<=[ps]:)(?:(?<=http:)|(?<=https:)|(?<=ws:)|(?<=wss:)|(?<=ftp:)|(?<=ftps:))[/\\]{0,9})"""
    r"""|/(?<![:/\\]/)[/\\](?=[^\s/\\.@]{1,250}+(?:[.@]|\\@))|\\(?<![:/\\]\\)[/\\](?=[^\s/\\.@]{1,250}+(?:[.@]|\\@)))"""
    r"""([^\s/?#<>"'`]{1,512})"""
)
# The characters of a host without a scheme (letters, also decomposed ones, digits, and marks between them), and where
# it may begin.
RUN = r"[\w\u0300-\u036f.%-]"
START = rf"(?<!{RUN})[._%-]*+(?=[^\W_])"
# Characters that cannot follow an address, because they would be a part of it.
END = r"(?![\w:%-]|\.\w)"


def ending_in(endings: str) -> str:
    """The pattern of a run of letters, digits and dots up to the last of these endings."""
    return (
        rf"({RUN}*\.(?![0-9]|[a-z0-9_-]*+\.[a-z0-9])(?:{endings})(?:(?=[._%-]*+(?![\w.%-]))|(?![a-z0-9_-]|\.[a-z0-9])))"
    )


# A run of letters, digits and dots that is a host without a scheme: up to its last known ending, or beginning with www,
# or before a path. The pattern itself skips other runs: only a host costs Python code, and a text has at most MAX_HOSTS
# of them.
BARE = re.compile(
    rf"{START}(?:{ending_in(ENDINGS)}"
    rf"|(www\.{RUN}*[^\W_])"
    rf"|(?={RUN}*+[/?#])({RUN}*\.(?!\d+[._%-]*+[/?#])[\w%-]*[^\W_])[._%-]*+(?=[/?#]))"
)
# No link contains a space, and no pattern reads beyond one: a text is read in pieces that end before a space.
PIECES = re.compile(r"[\s\S]{1,4096}+\S*+")
TAIL = re.compile(rf"(?<=[{UNSPACED}])[^{UNSPACED}]+\Z")
PORT = re.compile(r":[0-9]{0,5}\Z")
NUMBER = re.compile(r"0x[0-9a-f]{0,16}|[0-9]{1,20}")
# Numbers that are followed by a port or a path: a version is not a link.
BARE_IP = re.compile(r"([0-9](?<![\w.][0-9])[0-9]{0,2}\.(?:[0-9]{1,3}\.){2}[0-9]{1,3})(?::[0-9]|/)")


# Hosts of one text that are checked, at about 20 us each. A link that can be read in several ways has several hosts.
MAX_HOSTS = 100


class LinkFilter:
    """The rules for links.

    `only`: the hosts that links may lead to, None for any.

    `denied`: those they must not. Subdomains are included.
    """

    def __init__(self, only: Iterable[str] | None, denied: Iterable[str] = ()) -> None:
        self._only = None if only is None else frozenset(map(checked_host, only))
        self._denied = frozenset(map(checked_host, denied))
        self._like_denied = pattern_like(self._denied)

    def refuses(self, text: str) -> bool:
        """Whether a link in the text leads to a forbidden host, or there are too many links to check."""
        return finish(self.refuses_in_slices(text))

    def refuses_in_slices(self, text: str) -> Sliced[bool]:
        """Like `refuses`, in slices."""
        plain = "".join((yield from READABLE.parts_in_slices(text)))
        checked = 0
        for piece in PIECES.findall(plain):
            for found in self._checked(piece):
                for is_refused in found:
                    if checked >= MAX_HOSTS or is_refused:
                        return True
                    checked += 1
                    yield
                yield
        return False

    def _checked(self, piece: str) -> Iterator[Iterable[bool]]:
        """Whether each host is refused, by the pattern that finds it: of links, and of names that are links only if
        denied.
        """
        for found in hosts_in(piece):
            yield map(self._refuses, found)
        if self._like_denied is not None:
            yield (any(map(self._denies, bare_hosts(name))) for name in bare_names(self._like_denied, piece))

    def _refuses(self, host: str) -> bool:
        return self._denies(host) or not (self._only is None or not self._only.isdisjoint(parents(host)))

    def _denies(self, host: str) -> bool:
        return not self._denied.isdisjoint(parents(host))


def checked_host(host: str) -> str:
    """A host of the configuration. Raises ValueError."""
    canonical = canonical_host(host.strip().removeprefix("*."))
    if not canonical or not re.fullmatch(r"[\w.:-]+", canonical):
        raise ValueError(f"not a valid host: {host!r}; expected one such as example.com, which includes its subdomains")
    return canonical


def parents(host: str) -> Iterator[str]:
    """The host and, for a name, the names above it."""
    yield host
    if address_of(host) is None:
        labels = host.split(".")[-10:]
        yield from (".".join(labels[at:]) for at in range(1, len(labels)))


def hosts(text: str) -> Iterator[str]:
    """Hosts that links in the text may lead to; "" for an unreadable one. One host may come several times."""
    for piece in PIECES.findall(READABLE.translate(text)):
        for found in hosts_in(piece):
            yield from found


def hosts_in(piece: str) -> tuple[Iterator[str], ...]:
    """Like `hosts`, for a part of a text with readable characters; by the pattern that finds them."""
    return (
        (host for match in WITH_SCHEME.finditer(piece) for host in hosts_of(match[1])),
        (canonical_host(match[1]) for match in BARE_IP.finditer(piece)),
        (host for name in bare_names(BARE, piece) for host in bare_hosts(name)),
    )


def bare_names(pattern: re.Pattern[str], plain: str) -> Iterator[str]:
    """What the pattern finds, as it is written."""
    for match in pattern.finditer(plain.replace("%2e", ".")):
        yield match[match.lastindex or 0]


def pattern_like(names: Iterable[str]) -> re.Pattern[str] | None:
    """A pattern for these hosts without a scheme, unless their ending makes them links anyway. None if there is none.

    A host of a single label counts as a link only before a port or a path; otherwise it is a word.
    """
    addresses = sorted(name for name in names if address_of(name) is not None)
    labels = sorted(name for name in names if "." not in name and name not in addresses)
    endings = {name.rpartition(".")[2] for name in names if "." in name and name not in addresses}
    unknown = sorted(ending for ending in endings if not list(hosts(f"a.{ending}")))
    ways = [
        *([START + ending_in(as_pattern(unknown))] if unknown else []),
        *([rf"(?<![\w.:%-])({as_pattern(addresses)}){END}"] if addresses else []),
        *([rf"(?<![\w.%-])({as_pattern(labels)})(?=:[0-9]|[/?#])"] if labels else []),
    ]
    return re.compile("|".join(ways)) if ways else None


def readable(chars: str) -> str:
    """The characters without width and case, and without invisible ones."""
    seen = "".join(char for char in chars if unicodedata.category(char) != "Cf" and not is_selector(char))
    return unicodedata.normalize("NFKC", seen).lower().translate(DOTS)


def is_selector(char: str) -> bool:
    """Selectors of a glyph (U+FE00 and following), and the grapheme joiner, which is invisible, too."""
    return char == "\u034f" or "\ufe00" <= char <= "\ufe0f"


READABLE = Table(readable)


def hosts_of(authority: str) -> Iterator[str]:
    """The hosts of an authority: what follows the last @, read in every way that some program reads it."""
    for way in {authority, authority.partition("\\")[0]}:
        for name in {way.rpartition("@")[2], unquote(way).rpartition("@")[2], unquote(way.rpartition("@")[2])}:
            six, closed, _ = name.partition("]")
            yield canonical_host(six + closed if name.startswith("[") else PORT.sub("", name.rstrip(".,;:!)]}*|~")))


def bare_hosts(name: str) -> Iterator[str]:
    """The hosts of a name without a scheme: all of it, and its part in one script."""
    yield canonical_host(name)
    # The text before it in a script without spaces may belong to the sentence.
    tail = TAIL.search(name[-253:])
    if tail and "." in tail[0].strip("."):
        yield canonical_host(tail[0])


def canonical_host(name: str) -> str:
    """The normal form of a host: lower case, no punycode, no trailing dot, an IP address in its standard notation.

    It is unquoted once more, because percent signs in a text may hide other characters.
    """
    name = READABLE.translate(name[-1000:]).strip(".")
    address = address_of(name)
    if address is not None:
        return str(address)
    return ".".join(label_of(label) for label in name.split(".")[-40:]).strip(".")


def label_of(label: str) -> str:
    if label.startswith("xn--") and len(label) < 64:
        with suppress(UnicodeError):
            label = label[4:].encode("ascii").decode("punycode")
    return unicodedata.normalize("NFKC", label[:255]).casefold()[:255]


def address_of(name: str) -> IPv4Address | IPv6Address | None:
    """An address as browsers read it (WHATWG URL, section 3.5): 2130706433, 0x7f.1 and 0177.0.0.1 are all 127.0.0.1."""
    if name.startswith("["):
        with suppress(ValueError):
            six = IPv6Address(name.strip("[]").partition("%")[0])
            return six.ipv4_mapped or six
        return None
    if ":" in name:
        with suppress(ValueError):
            return ip_address(name)
        return None
    parts = name.split(".")
    if len(parts) > 4 or not all(NUMBER.fullmatch(part) for part in parts):
        return None
    with suppress(ValueError):
        *high, low = (number_of(part) for part in parts)
        return IPv4Address(sum(part << 8 * (3 - place) for place, part in enumerate(high)) + low)
    return None


def number_of(text: str) -> int:
    if text.startswith("0x"):
        return int(text[2:] or "0", 16)
    return int(text, 8) if text.startswith("0") and len(text) > 1 else int(text)
