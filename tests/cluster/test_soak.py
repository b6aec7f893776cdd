"""A short form of `make soak`."""

from pathlib import Path

from tests.cluster.soak import soak


async def test_workers_are_killed_while_people_write(tmp_path: Path) -> None:
    count, wrong = await soak(tmp_path, seed=7, seconds=12.0)
    assert wrong == []
    assert count > 200
