"""The steady clock."""

from chatd.core.clock import steady


def test_steady_clock_ignores_jumps_of_the_wall_clock() -> None:
    wall = [1_000_000]
    clock = steady(lambda: wall[0])
    before = clock()
    wall[0] += 400 * 86_400_000
    assert 1_000_000 <= before <= clock() < before + 60_000
