"""The forms of handles and names, and which handles look alike."""

from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatd.people.handles import MAX_LENGTH, ReservedHandles, handle_form, key_of
from chatd.people.lookalikes import PROTOTYPES, is_of_one_script, script_of, skeleton
from chatd.people.names import MAX_LENGTH as MAX_NAME_LENGTH
from chatd.people.names import entries_of, search_form
from chatd.people.settings import PeopleSettings

TEXTS = st.text(max_size=40)


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("Anna.B", "anna.b"), ("@anna", "anna"), ("ＡＮＮＡ", "anna"), ("Straße", "strasse"), ("ﬁsh", "fish"),
        ("user١٢", "user12"), ("ma\u0301ria", "mária"), ("анна", "анна"), ("山田たろう", "山田たろう"), ("김철수", "김철수"),
        ("राम2", "राम2"), ("a-b_c.d", "a-b_c.d"), ("2fast", "2fast"),
    ],
)  # fmt: skip
def test_a_handle_is_folded(text: str, form: str) -> None:
    assert handle_form(text) == form
    assert handle_form(form) == form


@pytest.mark.parametrize(
    "text",
    [
        "", "ab", "a" * (MAX_LENGTH + 1), "a b c", ".anna", "anna_", "a..b", "a@b", "аnna", "paypаl", "😀😀😀", "x\u200dy1",
        "a\u202eb1", "\u0301abc", "a\x00bc", "../etc", "anna\n", "a/b", "日本anna",
    ],
)  # fmt: skip
def test_what_is_no_handle(text: str) -> None:
    with pytest.raises(ValueError, match="letters of one script"):
        handle_form(text)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("scope", "ѕсоре"), ("bob0", "bobo"), ("hello1", "hellol"), ("modern", "rnodern"), ("coco", "сосо"),
    ],
)  # fmt: skip
def test_handles_that_look_alike_have_one_key(one: str, other: str) -> None:
    assert key_of(one) == key_of(other)


def test_handles_that_differ_have_different_keys() -> None:
    handles = ["anna", "hanna", "anna.b", "anna_b", "annab", "mária", "maria", "анна", "ана", "bob1", "bob2"]
    assert len({key_of(handle) for handle in handles}) == len(handles)


def test_prototypes_are_their_own_skeletons() -> None:
    """Each character has the skeleton of its prototype, as UTS 39 demands of a skeleton."""
    # Composed characters are decomposed before.
    single = {char: prototype for char, prototype in PROTOTYPES.items() if normalize("NFD", char) == char}
    assert [char for char, prototype in single.items() if skeleton(char) != skeleton(prototype)] == []
    assert (skeleton("m"), skeleton("0"), skeleton("|")) == ("rn", "O", "l")


def test_scripts() -> None:
    assert [script_of(char) for char in "aя山あ1.\u0301"] == [
        *("LATIN", "CYRILLIC", "HAN", "HIRAGANA", "COMMON", "COMMON", "INHERITED")
    ]
    assert is_of_one_script("山田たろうタロウ1")
    assert is_of_one_script("한글漢字")
    assert not is_of_one_script("한글たろう")
    assert not is_of_one_script("aя")


def test_reserved_handles_are_found_by_what_looks_alike() -> None:
    reserved = ReservedHandles(["admin", "Support"])
    assert [handle in reserved for handle in ("admin", "adrnin", "support", "supp0rt", "admins")] == [
        *(True, True, True, True, False)
    ]
    read_alike = ("adm1n", "4dm1n", "ad.min", "a-d-m-1-n", "5upp0r7", "sup_port", "аdmin")
    assert [handle for handle in read_alike if handle not in reserved] == []
    others = ("administrate", "adm1nton", "ad.mina", "min.ad", "supporter", "ali", "alice.4", "a11an")
    assert [handle for handle in others if handle in ReservedHandles(PeopleSettings().reserved_handles)] == []
    with pytest.raises(ValueError, match="letters of one script"):
        ReservedHandles(["x"])


@given(TEXTS)
def test_a_form_is_stable(text: str) -> None:
    try:
        form = handle_form(text)
    except ValueError:
        return
    assert handle_form(form) == form
    assert 3 <= len(form) <= MAX_LENGTH
    assert key_of(form)


@given(TEXTS, st.integers(0, 40))
def test_a_name_is_found_by_its_beginning(name: str, cut: int) -> None:
    form = search_form(name)
    assert search_form(form) == form
    assert len(form) <= MAX_NAME_LENGTH
    assert all(entry == search_form(entry) for entry in entries_of(name, None))
    if form:
        assert form.startswith(search_form(form[:cut]))


def test_the_entries_of_a_user() -> None:
    assert entries_of("Zoë van  der Berg-Øst", "zoe.b") == {
        "zoe van der berg øst": False,
        "van der berg øst": False,
        "der berg øst": False,
        "berg øst": False,
        "øst": False,
        "zoe b": True,
    }
    assert entries_of(None, None) == entries_of("…", None) == {}
    assert len(entries_of("a b c d e f g h i j k", None)) == 8
    assert entries_of("Anna", "anna") == {"anna": True}
