"""Answers that are encoded item by item."""

from typing import Any

import msgspec
import pytest
import trio

from chatd.app.encoding import FEW, EncodedResult, encoded_if_long
from chatd.wire.base import Result
from chatd.wire.codec import JSON, MSGPACK, Format, codecs


class Page(Result, tag="page"):
    """Two lists among other fields."""

    items: list[Any]
    cursor: str | None
    more: list[Any]
    total: int


COUNTS = (0, 1, FEW, FEW + 1, 15, 16, 17, 65_535, 65_536)
PAGES = [Page([{"text": "\u2028", "n": number} for number in range(count)], "c", [None], count) for count in COUNTS]
PAGES += [Page(list(range(20)), None, ["x"] * 30, 2), Page([], "", [[1, 2]] * 40, 3)]


@pytest.mark.parametrize("format_", [JSON, MSGPACK], ids=["json", "msgpack"])
async def test_sliced_encoding_equals_encoding_in_one_piece(format_: Format) -> None:
    for page in PAGES:
        answer = await encoded_if_long(page, format_)
        assert isinstance(answer, EncodedResult) == (max(len(page.items), len(page.more)) > FEW)
        if isinstance(answer, EncodedResult):
            length = len(answer)
            assert bytes(answer.wrapped(b"<", b">")) == b"<" + format_.encode(page) + b">"
            assert length == len(format_.encode(page))


@pytest.mark.parametrize("codec", codecs(()).values(), ids=lambda codec: codec.name)
async def test_reply_wraps_the_result(codec: Any) -> None:
    decode = msgspec.json.decode if codec.name == "json" else msgspec.msgpack.decode
    for frame_id in (1, 200, 2**32 - 1):
        answer = await encoded_if_long(PAGES[-1], codec.format)
        assert isinstance(answer, EncodedResult)
        reply = bytes(answer.wrapped(*codec.reply_around(frame_id)))
        assert reply == codec.encode_reply(frame_id, PAGES[-1])
        assert decode(reply)[0] == frame_id


async def test_other_tasks_run_while_a_long_answer_is_encoded() -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(count)
        await encoded_if_long(Page(["\u2028" * 16_000] * 400, None, [], 0), JSON)
        nursery.cancel_scope.cancel()
    assert turns > 5
