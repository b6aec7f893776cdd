"""What strangers are called, and the mask that says so, alone."""

from hypothesis import given
from hypothesis import strategies as st

from chatd.core.ids import is_uuid, uuid7
from chatd.matching.aliases.aliases import Mask, pseudonym
from chatd.wire.codec import codecs

KEY = b"k" * 32
ANN, BEN, EVE = (uuid7(at) for at in (1, 2, 3))
ALIAS, LATER = (pseudonym(KEY, "t", talk, BEN) for talk in ("1", "2"))


def mask_of(*pairs: tuple[str, str]) -> Mask:
    mask = Mask()
    mask.hide(pairs)
    return mask


def test_a_pseudonym_has_the_form_of_an_id_and_is_another_one_for_whatever_differs() -> None:
    places = [(KEY, "t", "c", "u"), (KEY, "t", "c", "v"), (KEY, "t", "d", "u"), (KEY, "s", "c", "u"), (b"other", "t", "c", "u")]
    found = [pseudonym(*place) for place in places]
    assert all(is_uuid(name) for name in found)
    assert len(set(found)) == len(found)
    assert found == [pseudonym(*place) for place in places]
    assert pseudonym(KEY, "a", "bc", "d") != pseudonym(KEY, "ab", "c", "d")


def test_a_mask_shows_the_last_pseudonym_and_understands_all() -> None:
    mask = mask_of((BEN, ALIAS), (BEN, LATER))
    assert mask.outward(f"{BEN} {ANN}".encode()) == f"{LATER} {ANN}".encode()
    assert (mask.inward(ALIAS), mask.inward(LATER), mask.inward(ANN)) == (BEN, BEN, ANN)
    assert (mask.understands(ALIAS), mask.understands(BEN), len(mask)) == (True, False, 2)


def test_who_is_revealed_is_shown_and_still_understood() -> None:
    mask = mask_of((BEN, ALIAS), (EVE, LATER))
    mask.reveal([BEN, ANN])
    assert mask.outward(f"{BEN}{EVE}".encode()) == f"{BEN}{LATER}".encode()
    assert (bool(mask), mask.inward(ALIAS)) == (True, BEN)
    mask.reveal([EVE])
    assert (bool(mask), len(mask)) == (False, 2)


def test_whoever_waits_for_changes_is_told() -> None:
    mask, told = Mask(), list[bool]()
    mask.on_change = lambda: told.append(bool(mask))
    mask.hide([(BEN, ALIAS)])
    mask.reveal([BEN])
    assert (told, mask.version) == ([True, False], 2)


@given(st.text("0123456789abcdef-", max_size=80), st.text("0123456789abcdef-", max_size=80))
def test_nothing_that_stands_around_an_id_hides_it(before: str, after: str) -> None:
    data = f"{before}{BEN}{after}".encode()
    shown = mask_of((BEN, ALIAS)).outward(data)
    assert BEN.encode() not in shown
    assert len(shown) == len(data)
    assert ALIAS.encode() in shown


def test_whole_frames_stay_whole_in_both_codecs() -> None:
    for codec in codecs([]).values():
        text = codec.frame_of({"t": "x", "user": BEN, "more": [BEN, ANN], BEN: 1})
        assert mask_of((BEN, ALIAS)).outward(text) == codec.frame_of({"t": "x", "user": ALIAS, "more": [ALIAS, ANN], ALIAS: 1})
