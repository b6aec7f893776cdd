"""`make bench`: the page, the pictures, and the comparison of rounds."""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from bench.all import CASES, scaled
from bench.peers import KINDS
from bench.pictures import write_pictures
from bench.report import parser_of, peer_names
from bench.results import Case, Page, write_page
from bench.rounds import AGAIN, Results, Spread, is_met, missed
from bench.scenario import Goal

ROOT = Path(__file__).parents[2]
MAX_PICTURE_BYTES = 30_000
TIMEOUT_S = 60
PLANTED = Results(
    {
        "chatd": [{"us": 10.0, "ms": 1.0}, {"us": 30.0, "ms": 2.0}, {"us": 20.0, "ms": 3.0}],
        AGAIN: [{"us": 10.0, "ms": 1.0}, {"us": 20.0, "ms": 2.0}, {"us": 22.0, "ms": 3.0}],
        "socket.io": [{"us": 20.0, "ms": 4.0}, {"us": 40.0, "ms": 4.0}, {"us": 50.0, "ms": 4.0}],
        "ws": [{"us": 10.0}, {"us": 0.0}, {"us": 40.0}],
    }
)


def test_ratios_are_of_the_same_round() -> None:
    assert PLANTED.ratio("socket.io", "us") == Spread(0.5, 0.4, 0.75)
    assert PLANTED.ratio(AGAIN, "us") == Spread(1.0, 20 / 22, 1.5)


def test_rounds_without_a_figure_have_no_ratio() -> None:
    """A round of the peer that took less than a tick of the clock, a figure that it does not have, and no peer."""
    assert PLANTED.ratio("ws", "us") == Spread(0.75, 0.5, 1.0)
    assert PLANTED.ratio("ws", "ms") is None
    assert PLANTED.ratio("websockets", "us") is None


@pytest.mark.parametrize(
    ("goal", "value", "met"),
    [
        (Goal("us", ratio=0.5), 0.5, True),
        (Goal("us", ratio=0.5), 0.51, False),
        (Goal("us", most=5), 5, True),
        (Goal("us", most=5), 5.1, False),
        (Goal("us", least=5), 5, True),
        (Goal("us", least=5), 4.9, False),
        (Goal("us", most=5), float("nan"), False),
    ],
)
def test_a_goal_is_met_up_to_its_bound(goal: Goal, value: float, met: bool) -> None:
    assert is_met(goal, value) is met


def test_missed_goals_are_named_with_what_was_measured() -> None:
    goals = [Goal("us", ratio=0.45), Goal("us", ratio=0.55), Goal("ms", most=1), Goal("us", ratio=0.1, peer="absent")]
    assert missed(goals, PLANTED) == [
        "us: at most 0.45 of socket.io, measured 0.50",
        "ms: at most 1, measured 2.00",
    ]


def test_the_page_has_everything_that_was_measured(tmp_path: Path) -> None:
    goals = [Goal("us", ratio=0.45), Goal("ms", most=3)]
    case = Case("send, in-flight 4", "messages", "python -m bench.send", "us", PLANTED, goals)
    alone = Case("open loop", "latency", "chatd bench send", "ms", Results({"chatd": [{"ms": 1.0}]}), [])
    (tmp_path / "results").mkdir()
    pictures = write_pictures([case, alone], tmp_path / "results")
    about, versions = {"CPU": "the CPU"}, {"Node": "v20; ws 8"}
    page = Page(about, versions, [case, alone], {"socket.io": "Socket.IO 4 on Node"})
    write_page(page, pictures, tmp_path / "RESULTS.md")
    text = (tmp_path / "RESULTS.md").read_text()
    for line in (
        "| CPU | the CPU |",
        "| Node | v20; ws 8 |",
        "| send, in-flight 4 | us: at most 0.45 of socket.io | 0.50 (0.40 to 0.75) | missed |",
        "| send, in-flight 4 | ms: at most 3 | 2.00 (1.00 to 3.00) | met |",
        "| socket.io | Socket.IO 4 on Node | 0.50 (0.40 to 0.75) |",
        "| chatd again | the noise | 1.00 (0.91 to 1.50) |",
        "| ws | 10.0 (0.0 to 40.0) |  |",
        "    python -m bench.send",
        "![us of each round](results/send-in-flight-4.svg)",
    ):
        assert line in text.split("\n")
    assert re.search(r"^\| date \| \d{4}-\d\d-\d\d \|$", text, re.MULTILINE)
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["send-in-flight-4.svg"]


def test_a_picture_is_small_and_depends_on_the_figures_only(tmp_path: Path) -> None:
    case = Case("send", "messages", "", "us", PLANTED, [])
    pictures = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_pictures([case], tmp_path / name)
        pictures.append((tmp_path / name / "send.svg").read_bytes())
    assert pictures[0] == pictures[1]
    assert len(pictures[0]) < MAX_PICTURE_BYTES
    assert all(name.encode() in pictures[0] for name in PLANTED.rounds)


def test_all_cases_can_be_parsed_and_scaled() -> None:
    assert [scaled(arguments, 0.1) for _, arguments in CASES][:2] == ["--messages 20", "--messages 20 --in-flight 4"]
    assert scaled("--events 50", 0.01) == "--events 10"
    for bench, arguments in CASES:
        assert bench.goals(parser_of(bench).parse_args(arguments.split()))


def test_peers_are_chosen_by_name() -> None:
    assert peer_names("all") == list(KINDS)
    assert peer_names("ws,socket.io") == ["ws", "socket.io"]
    with pytest.raises(argparse.ArgumentTypeError, match=r"no such peer: netty; there are socket\.io, "):
        peer_names("ws,netty")


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder in which the path of a Unix socket is short enough, as that of a worker process is not."""
    with tempfile.TemporaryDirectory(prefix="interrupted-") as folder:
        yield Path(folder)


@pytest.mark.servers
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_stops_its_servers_and_writes_nothing(number: int, short_path: Path) -> None:
    options = ["--rounds", "1", "--only", "typing", "--no-peers", "--to", str(short_path / "to")]
    environment = os.environ | {"TMPDIR": str(short_path)}
    command = [sys.executable, "-m", "bench.all", *options]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL, env=environment) as process:
        wait_until(lambda: bool(mentioning(short_path)))
        process.send_signal(number)
    assert process.returncode != 0
    wait_until(lambda: not mentioning(short_path))
    assert not (short_path / "to").exists()


def mentioning(folder: Path) -> list[int]:
    """The processes of the servers in a folder, which is their working directory or that of their data."""
    return [process.pid for process in psutil.process_iter(["cwd"]) if str(folder) in (process.info["cwd"] or "")]


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.servers
@pytest.mark.parametrize(("only", "figure"), [("typing", "server us per event"), ("open-loop", "ack p99 ms")])
def test_a_short_run_writes_the_page(only: str, figure: str, tmp_path: Path) -> None:
    options = ["--rounds", "1", "--share", "0.02", "--only", only, "--no-peers", "--to", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "bench.all", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert figure in (tmp_path / "RESULTS.md").read_text()
    assert json.loads((tmp_path / "results" / "figures.json").read_text())
