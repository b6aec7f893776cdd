"""The benchmarks in `bench/` run to their end with the present server."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import connect, fanout, send, typing
from bench.report import parser_of
from bench.scenario import Bench
from bench.servers import Chatd
from chatd.bench.processes import children_of, raise_file_limit, with_helpers

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.servers
# With what each prints. `scale` may exit with 1: small tables are read without an index.
PROGRAMS = (
    ("bus --rounds 1 --events 20 --batches 1 5 --json", '"delivered, at once, batch 5"'),
    ("fairness --rounds 1 --pairs 1 --messages 3 --json", '"p99 flooded / alone"'),
    ("growth --nodes 1 2 --sessions 4 8 --pairs 2 --messages 40 --idle 0.1 --json", '"KB per session"'),
    ("matching --arrivals 20 --sizes 10 20", "report of the queues"),
    ("scale --messages 2000 --rounds 1", "ms slowest  connect"),
    ("search --messages 3000 --conversations 2100 --searches 1", "in 2000 conversations"),
    ("send --rounds 1 --pairs 1 --messages 5 --aa --json", '"chatd again"'),
    ("storm --rounds 1 --connections 20 --statistics-delay 1 --json", '"canary worst ms"'),
)
SCENARIOS: tuple[tuple[Bench, str], ...] = (
    (connect.BENCH, "--connections 5"),
    (fanout.BENCH, "--members 5 --messages 3"),
    (send.BENCH, "--pairs 3 --messages 5"),
    (send.BENCH, "--pairs 3 --messages 10 --in-flight 4"),
    (typing.BENCH, "--pairs 3 --events 20"),
    (typing.BENCH, "--pairs 3 --events 20 --unanswered"),
    (typing.BENCH, "--members 5 --events 20"),
)


@pytest.fixture(scope="module")
def chatd() -> Iterator[Chatd]:
    raise_file_limit()
    server = Chatd()
    yield server
    server.close()


@pytest.mark.parametrize(("bench", "arguments"), SCENARIOS, ids=lambda value: value if isinstance(value, str) else "")
def test_a_load_is_served_to_its_end(bench: Bench, arguments: str, chatd: Chatd) -> None:
    """The load would wait forever for a message that the server loses or does not forward."""
    figures = bench.run(chatd, parser_of(bench).parse_args(arguments.split()), lambda: None)
    assert len(figures) > 1
    assert "--members 5 --events" in arguments or bench.figure in figures


def test_the_index_process_counts_as_part_of_the_server(chatd: Chatd) -> None:
    """The databases do not, which are children of the server too."""
    server, *helpers = with_helpers(chatd.pid)
    assert server == chatd.pid
    assert ["chatd.search.index_process" in Path(f"/proc/{pid}/cmdline").read_text() for pid in helpers] == [True]
    assert chatd.postmaster in children_of(chatd.pid)
    assert with_helpers(2**22 + 1) == [2**22 + 1]


@pytest.mark.parametrize(("arguments", "printed"), PROGRAMS, ids=[arguments.split()[0] for arguments, _ in PROGRAMS])
def test_a_program_runs_to_its_end(arguments: str, printed: str) -> None:
    name, *options = arguments.split()
    command = [sys.executable, "-m", f"bench.{name}", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode in ((0, 1) if name == "scale" else (0,)), done.stderr
    assert printed in done.stdout
    if "--json" in options:
        assert json.loads(done.stdout)["bench"] == name


def test_an_unknown_peer_is_named() -> None:
    command = [sys.executable, "-m", "bench.send", "--peer", "ws,netty"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "no such peer: netty" in done.stderr
