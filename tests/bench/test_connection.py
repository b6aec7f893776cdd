"""Frames of the load generator."""

from hypothesis import given
from hypothesis import strategies as st

from chatd.bench.connection import frame, split

SIZES = st.sampled_from([0, 1, 125, 126, 127, 65_535, 65_536, 70_000])


def from_server(opcode: int, payload: bytes) -> bytes:
    """The same frame without a mask."""
    masked = frame(payload, opcode)
    head = len(masked) - len(payload) - 4
    return bytes((masked[0], masked[1] & 0x7F)) + masked[2:head] + payload


@given(frames=st.lists(st.tuples(st.sampled_from([1, 2, 8, 9]), SIZES), max_size=4), cut=st.floats(0, 1))
def test_frames_are_found_in_any_chunks(frames: list[tuple[int, int]], cut: float) -> None:
    expected = [(opcode, b"x" * size) for opcode, size in frames]
    data = b"".join(from_server(*one) for one in expected)
    at = int(len(data) * cut)
    first, rest = split(data[:at])
    second, nothing = split(rest + data[at:])
    assert (first + second, nothing) == (expected, b"")
