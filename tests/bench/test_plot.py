"""`chatd bench --plot`."""

import sys
from array import array
from pathlib import Path

import pytest

from chatd.bench.plot import NoPlots, tail, write_plot
from chatd.bench.result import Percentiles, Result, percentiles

OPTIONS = {"rate": 100.0, "connections": 10, "seconds": 1.0}


def result(count: int) -> Result:
    times = array("d", [number / 1000 for number in range(1, count + 1)])
    planned = array("d", [number / 100 for number in range(count)])
    return Result("send", OPTIONS, latencies={"ack": times}, planned={"ack": planned} if count else {})


@pytest.mark.parametrize("count", [0, 1, 1000])
@pytest.mark.parametrize(("name", "begins"), [("a.png", b"\x89PNG"), ("a.svg", b"<?xml")])
def test_a_picture_is_written(count: int, name: str, begins: bytes, tmp_path: Path) -> None:
    write_plot(result(count), tmp_path / name)
    assert (tmp_path / name).read_bytes().startswith(begins)


def test_a_format_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not supported"):
        write_plot(result(1), tmp_path / "a.txt")


def test_a_plot_without_matplotlib_names_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(NoPlots, match=r"pip install 'chatd\[bench\]'"):
        write_plot(result(1), tmp_path / "a.png")


def test_percentiles_need_enough_latencies() -> None:
    assert tail([3.0, 1.0, 2.0, 4.0]) == ([0.5, 0.25], [3.0, 4.0])


def test_percentiles_are_nearest_ranks() -> None:
    assert percentiles([]) is None
    assert percentiles([0.005]) == Percentiles(1, 5, 5, 5, 5)
    found = percentiles([number / 1000 for number in range(1, 101)])
    assert found is not None
    assert [round(value) for value in (found.p50, found.p90, found.p99, found.max)] == [50, 90, 99, 100]
