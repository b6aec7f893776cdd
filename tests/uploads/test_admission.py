"""Slots for files that are being received."""

from contextlib import ExitStack

import pytest
import trio

from chatd.core.errors import Refused
from chatd.core.identity import Principal
from chatd.http.slots import Owner
from chatd.uploads.admission import (
    ADDRESS_DIVISOR,
    MAX_BYTES,
    MAX_FILES,
    MAX_FILES_PER_ADDRESS,
    MAX_FILES_PER_USER,
    UploadSlots,
)
from chatd.uploads.settings import UploadSettings
from tests.support import PATIENCE


def owner(number: int, address: str = "") -> Owner:
    return Owner(str(number), address)


def somebody(number: int) -> Principal:
    return Principal("default", str(number), "token", "", "", 0)


async def test_slots_are_released() -> None:
    slots = UploadSlots(UploadSettings(user_per_minute=1000))
    for _ in range(3):
        with ExitStack() as stack:
            for number in range(MAX_FILES):
                stack.enter_context(slots.reserve(owner(number // MAX_FILES_PER_USER)))
            for number, code in ((0, "rate_limited"), (MAX_FILES, "unavailable")):
                with pytest.raises(Refused) as caught:
                    stack.enter_context(slots.reserve(owner(number)))
                assert caught.value.code == code
    assert (slots.held, slots._files.total) == (0, 0)


async def test_memory_is_bounded_and_released() -> None:
    slots = UploadSlots(UploadSettings())
    with slots.reserve(owner(1)) as one, slots.reserve(owner(2)) as other:
        one.reserve_bytes(MAX_BYTES - 10)
        other.reserve_bytes(10)
        with pytest.raises(Refused) as caught:
            other.reserve_bytes(1)
        assert caught.value.code == "unavailable"
    assert slots.held == 0
    with slots.reserve(owner(1)) as one:
        one.reserve_bytes(MAX_BYTES)
        one.release_bytes(MAX_BYTES)
        one.reserve_bytes(MAX_BYTES)
    assert slots.held == 0


async def test_upload_rate_is_limited_per_user() -> None:
    slots = UploadSlots(UploadSettings(user_per_minute=2))
    for number in (1, 1, 2):
        slots.count(somebody(number))
    with pytest.raises(Refused) as caught:
        slots.count(somebody(1))
    assert caught.value.code == "rate_limited"
    assert 0 < (caught.value.retry_after or 0) <= 30


async def test_one_address_cannot_use_all_slots_or_memory() -> None:
    """However many accounts it uses."""
    slots = UploadSlots(UploadSettings())
    with ExitStack() as stack:
        reserved = [
            stack.enter_context(slots.reserve(owner(number, "203.0.113.7"))) for number in range(MAX_FILES_PER_ADDRESS)
        ]
        with pytest.raises(Refused, match="from one address") as caught:
            stack.enter_context(slots.reserve(owner(MAX_FILES, "203.0.113.7")))
        assert caught.value.code == "rate_limited"
        for slot in reserved[:2]:
            slot.reserve_bytes(MAX_BYTES // ADDRESS_DIVISOR // 2)
        with pytest.raises(Refused, match="from one address"):
            reserved[2].reserve_bytes(1)
        other = stack.enter_context(slots.reserve(owner(MAX_FILES, "203.0.113.8")))
        other.reserve_bytes(MAX_BYTES // ADDRESS_DIVISOR)


async def test_images_of_one_user_are_decoded_one_at_a_time() -> None:
    slots = UploadSlots(UploadSettings())
    async with slots.decoding(owner(1, "a")), slots.decoding(owner(2, "b")):
        for another in (owner(1, "c"), owner(3, "a")):
            with trio.move_on_after(0.02) as patience:
                async with slots.decoding(another):
                    pass
            assert patience.cancelled_caught
    with trio.fail_after(PATIENCE):
        async with slots.decoding(owner(1, "a")):
            pass
