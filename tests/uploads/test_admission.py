"""Places for files on their way."""

from contextlib import ExitStack

import pytest
import trio

from chatd.core.errors import Refused
from chatd.core.identity import Principal
from chatd.http.slots import Owner
from chatd.uploads.admission import MOST, MOST_BYTES, MOST_OF_ADDRESS, MOST_OF_ONE, SHARE_OF_ADDRESS, Intake
from chatd.uploads.settings import UploadSettings


def owner(number: int, address: str = "") -> Owner:
    return Owner(str(number), address)


def somebody(number: int) -> Principal:
    return Principal("default", str(number), "token", "", "", 0)


async def test_places_are_given_back() -> None:
    intake = Intake(UploadSettings(user_per_minute=1000))
    for _ in range(3):
        with ExitStack() as stack:
            for number in range(MOST):
                stack.enter_context(intake.place(somebody(number // MOST_OF_ONE), owner(number // MOST_OF_ONE)))
            for number, code in ((0, "rate_limited"), (MOST, "unavailable")):
                with pytest.raises(Refused) as caught:
                    stack.enter_context(intake.place(somebody(number), owner(number)))
                assert caught.value.code == code
    assert (intake.held, intake._slots.total) == (0, 0)


async def test_memory_is_bounded_and_given_back() -> None:
    intake = Intake(UploadSettings())
    with intake.place(somebody(1), owner(1)) as one, intake.place(somebody(2), owner(2)) as other:
        one.hold(MOST_BYTES - 10)
        other.hold(10)
        with pytest.raises(Refused) as caught:
            other.hold(1)
        assert caught.value.code == "unavailable"
    assert intake.held == 0
    with intake.place(somebody(1), owner(1)) as one:
        one.hold(MOST_BYTES)


async def test_a_rate_for_each() -> None:
    intake = Intake(UploadSettings(user_per_minute=2))
    for number in (1, 1, 2):
        with intake.place(somebody(number), owner(number)):
            pass
    with pytest.raises(Refused) as caught:
        intake.place(somebody(1), owner(1)).__enter__()
    assert caught.value.code == "rate_limited"
    assert 0 < (caught.value.retry_after or 0) <= 30


async def test_one_address_never_takes_what_is_for_all() -> None:
    """Neither the places nor the memory, with however many accounts."""
    intake = Intake(UploadSettings())
    with ExitStack() as stack:
        places = [
            stack.enter_context(intake.place(somebody(number), owner(number, "203.0.113.7"))) for number in range(MOST_OF_ADDRESS)
        ]
        with pytest.raises(Refused, match="from one address") as caught:
            stack.enter_context(intake.place(somebody(MOST), owner(MOST, "203.0.113.7")))
        assert caught.value.code == "rate_limited"
        for place in places[:2]:
            place.hold(MOST_BYTES // SHARE_OF_ADDRESS // 2)
        with pytest.raises(Refused, match="from one address"):
            places[2].hold(1)
        other = stack.enter_context(intake.place(somebody(MOST), owner(MOST, "203.0.113.8")))
        other.hold(MOST_BYTES // SHARE_OF_ADDRESS)


async def test_pictures_of_one_are_decoded_one_after_the_other_while_others_go_on() -> None:
    intake = Intake(UploadSettings())
    async with intake.decoding(owner(1, "a")), intake.decoding(owner(2, "b")):
        for another in (owner(1, "c"), owner(3, "a")):
            with trio.move_on_after(0.02) as patience:
                async with intake.decoding(another):
                    pass
            assert patience.cancelled_caught
    with trio.fail_after(1):
        async with intake.decoding(owner(1, "a")):
            pass
