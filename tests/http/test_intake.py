"""Places for files on their way."""

from contextlib import ExitStack

import pytest

from chatd.config import Uploads
from chatd.domain.identity import Principal
from chatd.errors import Refused
from chatd.http.intake import MOST, MOST_BYTES, MOST_OF_ONE, Intake


def somebody(number: int) -> Principal:
    return Principal("default", str(number), "token", "", "", 0)


async def test_places_are_given_back() -> None:
    intake = Intake(Uploads(user_per_minute=1000))
    for _ in range(3):
        with ExitStack() as stack:
            for number in range(MOST):
                stack.enter_context(intake.place(somebody(number // MOST_OF_ONE)))
            for number, code in ((0, "rate_limited"), (MOST, "unavailable")):
                with pytest.raises(Refused) as caught:
                    stack.enter_context(intake.place(somebody(number)))
                assert caught.value.code == code
    assert (intake.held, len(intake._under_way)) == (0, 0)


async def test_memory_is_bounded_and_given_back() -> None:
    intake = Intake(Uploads())
    with intake.place(somebody(1)) as one, intake.place(somebody(2)) as other:
        one.hold(MOST_BYTES - 10)
        other.hold(10)
        with pytest.raises(Refused) as caught:
            other.hold(1)
        assert caught.value.code == "unavailable"
    assert intake.held == 0
    with intake.place(somebody(1)) as one:
        one.hold(MOST_BYTES)


async def test_a_rate_for_each() -> None:
    intake = Intake(Uploads(user_per_minute=2))
    for number in (1, 1, 2):
        with intake.place(somebody(number)):
            pass
    with pytest.raises(Refused) as caught:
        intake.place(somebody(1)).__enter__()
    assert caught.value.code == "rate_limited"
    assert 0 < (caught.value.retry_after or 0) <= 30
