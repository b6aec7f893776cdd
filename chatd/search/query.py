"""Parses a search query, and builds the condition for the index.

    invoice "final version" -draft in:<conversation> from:<user> after:2026-03-01 before:2026-04-01 has:file

All words must match; the last one may be a prefix. Text in quotes is a phrase; `-` excludes a word. A filter that is
unknown or has no valid value counts as ordinary words. No query is an error.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from chatd.core.ids import is_uuid
from chatd.search.facets import DAY, HAS, Has, from_sender, in_conversation, with_content
from chatd.search.tokenizer import Term, term_of

PART = re.compile(r'(-?)(?:"([^"]*)"?|(\S+))')
FILTER = re.compile(r"(in|from|before|after|has):(\S+)", re.IGNORECASE)
DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
MILLIS = re.compile(r"[0-9]{1,15}")
MONTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
# Lexemes in the query of the index; further ones are checked in the text only.
MAX_LEXEMES = 64
# The same for excluded lexemes: the index is slow at excluding many frequent words, and the check of a text is fast.
MAX_UNWANTED = 4


class Query(Struct, frozen=True):
    """A parsed query. `before` and `after` in milliseconds; `after` is included.

    Several conversations, or several senders, are alternatives. `by_alias`: the senders were named by alias, and are
    resolved.
    """

    wanted: tuple[Term, ...] = ()
    unwanted: tuple[Term, ...] = ()
    conversations: tuple[str, ...] = ()
    senders: tuple[str, ...] = ()
    before: int | None = None
    after: int | None = None
    has: tuple[Has, ...] = ()
    by_alias: bool = False

    @property
    def is_selective(self) -> bool:
        """Whether the query restricts the messages at all, and can match any."""
        impossible = not {term.needle for term in self.unwanted}.isdisjoint(term.needle for term in self.wanted)
        return bool(self.wanted or self.senders or self.has) and not impossible


class Word(Struct, frozen=True):
    """A part of the query that is not a filter."""

    text: str
    unwanted: bool
    quoted: bool


def parse(text: str) -> Query:
    """Parse a query. It takes linear time and never fails."""
    query, words = Query(), []
    for part in PART.finditer(text):
        minus, quoted, bare = part.groups()
        filtered = None if minus or bare is None else filtered_by(query, bare)
        if filtered is None:
            words.append(Word(bare if quoted is None else quoted, bool(minus), quoted is not None))
        else:
            query = filtered
    unwanted = terms(word.text for word in words if word.unwanted)
    return replace(query, wanted=wanted_terms([word for word in words if not word.unwanted]), unwanted=unwanted)


def wanted_terms(words: Sequence[Word]) -> tuple[Term, ...]:
    """The required terms. The last one may be a prefix, unless it is in quotes."""
    *rest, last = words or [Word("", False, False)]
    end = term_of(last.text, prefix=not last.quoted)
    return tuple(dict.fromkeys((*terms(word.text for word in rest), *([end] if end else []))))


def terms(texts: Iterable[str]) -> tuple[Term, ...]:
    """The terms of the query, without duplicates."""
    return tuple(dict.fromkeys(term for term in map(term_of, texts) if term is not None))


def filtered_by(query: Query, text: str) -> Query | None:
    """The query with this filter; None if the filter is not valid."""
    match = FILTER.fullmatch(text)
    if match is None:
        return None
    name, value = match[1].lower(), match[2].lower()
    if name in ("in", "from"):
        return with_id(query, name, value) if is_uuid(value) else None
    if name == "has":
        found = tuple(kind for kind in HAS if kind == value)
        return replace(query, has=tuple(dict.fromkeys(query.has + found))) if found else None
    time = time_of(value)
    return None if time is None else narrowed(query, **{name: time})


def with_id(query: Query, name: str, id_: str) -> Query:
    if name == "in":
        return replace(query, conversations=tuple(dict.fromkeys((*query.conversations, id_))))
    return replace(query, senders=tuple(dict.fromkeys((*query.senders, id_))))


def narrowed(query: Query, before: int | None = None, after: int | None = None) -> Query:
    """The query within its own bounds and these."""
    uppers = [bound for bound in (query.before, before) if bound is not None]
    lowers = [bound for bound in (query.after, after) if bound is not None]
    return replace(query, before=min(uppers, default=None), after=max(lowers, default=None))


def time_of(text: str) -> int | None:
    """Milliseconds since 1970 UTC, from a day (its beginning) or a number of milliseconds."""
    if MILLIS.fullmatch(text):
        return int(text)
    match = DATE.fullmatch(text)
    return None if match is None else beginning_of(*map(int, match.groups()))


def beginning_of(year: int, month: int, day: int) -> int | None:
    """The beginning of a day in the Gregorian calendar; None for an invalid day."""
    leap = (year % 4 == 0 and year % 100 != 0) or year % 400 == 0
    if year < 1970 or not 1 <= month <= 12 or not 1 <= day <= MONTHS[month - 1] + (leap and month == 2):
        return None
    years = year - 1
    before = years * 365 + years // 4 - years // 100 + years // 400 - 719_162
    return (before + sum(MONTHS[: month - 1]) + (leap and month > 2) + day - 1) * DAY


def tsquery(query: Query, *, prefix: bool = True) -> str:
    """The selective parts of the query, as a tsquery. `prefix` False: whole words only."""
    parts = [any_of(map(from_sender, query.senders))] if query.senders else []
    parts += [quoted(with_content(has)) for has in query.has]
    parts += list(wanted_of(query, prefix))[:MAX_LEXEMES]
    parts += [f"!{quoted(term.lexemes[0])}" for term in query.unwanted if term.exact][:MAX_UNWANTED]
    return " & ".join(parts)


def places_query(conversations: Sequence[str]) -> str:
    """A tsquery for any of these conversations: see sql/search/search.sql."""
    return any_of(map(in_conversation, conversations))


def wanted_of(query: Query, prefix: bool) -> Iterator[str]:
    for term in query.wanted:
        for lexeme in term.lexemes[:-1]:
            yield quoted(lexeme)
        yield quoted(term.lexemes[-1]) + (":*" if prefix and term.prefix else "")


def any_of(lexemes: Iterable[str]) -> str:
    return f"({' | '.join(map(quoted, lexemes))})"


def quoted(lexeme: str) -> str:
    """A lexeme quoted for Postgres."""
    return "'" + lexeme.replace("\\", "\\\\").replace("'", "''") + "'"
