"""Search queries: any text is a valid query."""

import re
import time
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatd.db.postgres import Postgres
from chatd.search.facets import DAY, contents_of, days, facets, spans
from chatd.search.query import Query, beginning_of, parse, places_query, quoted, time_of, tsquery
from chatd.search.tokenizer import term_of

ONE, TWO = str(UUID(int=1)), str(UUID(int=2))
TYPED = st.text(st.sampled_from("ab \"'\\:-*&|!<>()@.,%_\n\u0301東ß") | st.characters(codec="utf-8"), max_size=80)
PARTS = st.lists(
    st.sampled_from(
        [
            f"in:{ONE}",
            f"from:{TWO}",
            "has:file",
            "has:x",
            "before:2026-01-02",
            "after:12",
            "-x",
            '"a b"',
            '"',
            "東京",
            "abc",
        ]
    )
    | TYPED,
    max_size=8,
)


@given(PARTS.map(" ".join))
def test_any_text_is_a_valid_query(text: str) -> None:
    query = parse(text)
    asked = tsquery(query)
    assert len(asked) <= 400 * (len(text) + 10)
    # Nothing but lexemes in quotes and operators of ours.
    assert re.fullmatch(r"[()&|!*: ]*", re.sub(r"'(?:[^'\\]|''|\\\\)*'", "", asked))


async def test_generated_tsquery_is_valid(db: Postgres) -> None:
    """Many at once, and those that are hard to quote."""
    texts = [
        "a & ",
        "'",
        ":*",
        "<->",
        '"',
        "!",
        "\\",
        "(a",
        "a' & 'b",
        "東京 -b",
        '-"a b"',
        "ﷺ",
        "a:*b",
        f"in:{ONE} has:link x",
        "abcd",
    ]
    for text in texts:
        asked = tsquery(parse(text))
        assert await db.value("select $1::text::tsquery is not null", asked)
    assert await db.value("select numnode($1::text::tsquery)", places_query([ONE, TWO])) == 3
    for lexeme in ("'", "\\", "a'b\\'c", " ", "&", "!a", "x:*"):
        assert await db.value("select numnode($1::text::tsquery)", quoted(lexeme)) == 1
        assert await db.value("select array_to_tsvector(array[$2]) @@ $1::text::tsquery", quoted(lexeme), lexeme)


def test_filters_are_parsed() -> None:
    query = parse(
        f"In:{ONE} from:{TWO} FROM:{TWO} has:file has:IMAGE before:2026-03-01 before:2026-04-01 after:5 after:1000 word"
    )
    assert query == Query(
        wanted=tuple(filter(None, [term_of("word", prefix=True)])),
        conversations=(ONE,),
        senders=(TWO,),
        before=time_of("2026-03-01"),
        after=1000,
        has=("file", "image"),
    )


@pytest.mark.parametrize(
    "text", ["in:x", "from:", "has:%", "before:2026-13-01", "after:2026-02-29", "after:soon", "is:unread", "in: x"]
)
def test_invalid_filters_count_as_words(text: str) -> None:
    query = parse(text)
    assert query.wanted
    assert (query.conversations, query.senders, query.before, query.after, query.has) == ((), (), None, None, ())


def test_phrases_and_exclusions_are_parsed() -> None:
    query = parse('one "two three" -four -"five six" -in:x sev')
    assert [term.needle for term in query.wanted] == [" one ", " two three ", " sev"]
    assert [term.needle for term in query.unwanted] == [" four ", " five six ", " in x "]
    assert parse('"not closed').wanted == parse('"not closed"').wanted
    asked = tsquery(query)
    assert asked == "'one' & 'two' & 'three' & 'sev':* & !'four'"
    assert tsquery(query, prefix=False) == "'one' & 'two' & 'three' & 'sev' & !'four'"


def test_unselective_queries_find_nothing() -> None:
    for text in ("", "  ", "-a", f"in:{ONE}", "before:2026-01-01", "!!! ...", '""', "one two -one"):
        assert not parse(text).is_selective
    for text in ("a", "has:link", f"from:{ONE}"):
        assert parse(text).is_selective


@given(st.dates(datetime(1970, 1, 1, tzinfo=UTC).date()))
def test_days_are_parsed(day: object) -> None:
    expected = datetime.fromisoformat(f"{day}T00:00:00+00:00").timestamp() * 1000
    assert time_of(str(day)) == expected


def test_invalid_days_are_not_parsed() -> None:
    for day in ((1969, 12, 31), (2026, 0, 1), (2026, 13, 1), (2026, 1, 0), (2026, 4, 31), (2100, 2, 29)):
        assert beginning_of(*day) is None


def test_a_message_is_in_every_span_of_time_around_it() -> None:
    for at in (0, 1, DAY - 1, DAY, 20_000 * DAY + 5, 10**15):
        of_it = set(facets(ONE, TWO, at, None, None))
        for low, high in ((at, at + 1), (max(0, at - 3 * DAY), at + 1), (at, at + 40 * DAY)):
            assert set(days(low, high)) & of_it
            assert set(spans(low, high)) & of_it
        assert not set(days(at + 1 + DAY, at + 2 + DAY)) & of_it


def test_facets_of_a_message() -> None:
    assert set(contents_of("see HTTPS://x.org", [])) == {"link"}
    assert set(contents_of("www. is none, http:// neither", [])) == set()
    assert set(contents_of("", [{"type": "image", "upload": "x", "mime": "image/png"}])) == {"file", "image"}
    assert set(contents_of("", [{"type": "file", "upload": "x", "mime": "image/png"}])) == {"file", "image"}
    assert set(contents_of("", [{"type": "voice", "upload": "x", "mime": "audio/ogg"}])) == {"file"}
    assert set(contents_of("", [{"type": "link", "url": "https://x.org"}])) == {"link"}


def test_long_queries_take_linear_time() -> None:
    """Far longer ones than are accepted."""
    for text in (
        '"' * 16_384,
        "-" * 16_384,
        "a:" * 8192,
        "in:" * 5461,
        '-"' * 8192,
        "before:" + "9" * 16_384,
        " " * 16_384,
    ):
        began = time.process_time()
        parse(text)
        assert time.process_time() - began < 1.0
