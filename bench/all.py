"""All comparisons in one run, and a page about them.

python -m bench.all    # or: make bench

Writes RESULTS.md, with pictures and all figures in the folder `results` beside it. Takes about half an hour on an idle
machine with two cores. Nothing is written if it is interrupted.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

from bench import connect, fanout, send, typing
from bench.machine import load_average, machine, versions
from bench.packages import NotInstalled
from bench.peers import KINDS
from bench.pictures import write_pictures
from bench.processes import stop_at_sigterm
from bench.report import parser_of, peer_names
from bench.results import Case, Page, write_page
from bench.rounds import Results, err, opened, run_rounds
from bench.scenario import Bench, Figures, Goal
from bench.servers import ServerFailed
from chatd.bench.processes import raise_file_limit

HERE = Path(__file__).parent
# Scenarios with their options, and the numbers of which `--share` uses a part.
CASES: tuple[tuple[Bench, str], ...] = (
    (send.BENCH, "--messages 200"),
    (send.BENCH, "--messages 200 --in-flight 4"),
    (fanout.BENCH, "--messages 300"),
    (typing.BENCH, "--events 500"),
    (typing.BENCH, "--events 500 --unanswered"),
    (connect.BENCH, "--connections 1500"),
)
OPEN_LOOP = "chatd bench send --rate 1000 --connections 200 --seconds 20"
OPEN_LOOP_GOALS = [Goal("ack p99 ms", most=15)]
MIN_COUNT = 10


def compare(bench: Bench, arguments: str, names: list[str], rounds: int) -> Case:
    command = f"python -m bench.{bench.name} {arguments} --rounds {rounds} --aa"
    options = parser_of(bench).parse_args([*arguments.split(), "--rounds", str(rounds), "--aa"])
    with opened(names, bench.limits, twice=True) as servers:
        results = run_rounds(bench, options, servers)
    name = " ".join([bench.name, *arguments.split()[2:]]).replace(" --", ", ")
    shown = f"{command} --peer {','.join(names)}" if names else command
    return Case(name, bench.title, shown, bench.figure, results, bench.goals(options))


def open_loop(arguments: list[str], rounds: int) -> Case:
    """Latencies at a fixed rate, counted from the planned time of each message; the verdict has to be good."""
    figures = [one_open_loop(arguments) for _ in range(rounds)]
    title = "latency at 1,000 messages per second, from the planned time"
    command = " ".join(["chatd", *arguments])
    return Case("open loop", title, command, "ack p99 ms", Results({"chatd": figures}), OPEN_LOOP_GOALS)


def one_open_loop(arguments: list[str]) -> Figures:
    command = [sys.executable, "-m", "chatd", *arguments, "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed: {done.stdout.decode()[-2000:]}")
    found = json.loads(done.stdout)["latencies_ms"]
    return {f"{name} {place} ms": times[place] for name, times in found.items() for place in ("p50", "p99", "max")}


def scaled(arguments: str, share: float) -> str:
    """The first number is the size of the load."""
    option, number, *rest = arguments.split()
    return " ".join([option, str(max(MIN_COUNT, int(int(number) * share))), *rest])


def run_all(options: argparse.Namespace) -> list[Case]:
    cases = []
    for bench, arguments in CASES:
        if options.only in ("", bench.name):
            err.print(f"{bench.name} {arguments}")
            cases.append(compare(bench, scaled(arguments, options.share), options.peer, options.rounds))
    if options.only in ("", "open-loop"):
        err.print(OPEN_LOOP)
        *arguments, seconds = OPEN_LOOP.split()[1:]
        cases.append(open_loop([*arguments, str(max(1.0, float(seconds) * options.share))], options.rounds))
    return cases


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", type=peer_names, default=list(KINDS), metavar="NAME[,NAME...]")
    parser.add_argument("--no-peers", dest="peer", action="store_const", const=[], help="chatd alone")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--share", type=float, default=1.0, help="share of the usual messages, events and connections")
    parser.add_argument("--only", default="", choices=["", *(bench.name for bench, _ in CASES), "open-loop"])
    parser.add_argument("--to", type=Path, default=HERE, help="the folder to write to")
    options = parser.parse_args()
    raise_file_limit()
    stop_at_sigterm()
    before = load_average()
    try:
        for packages in {KINDS[name].packages for name in options.peer}:
            packages.install()
        cases = run_all(options)
    except (NotInstalled, ServerFailed) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("interrupted: nothing is written")
    about = machine() | {"load average": f"{before} before, {load_average()} after"}
    page = Page(about, versions(), cases, {name: kind.about for name, kind in KINDS.items()})
    folder = options.to / "results"
    folder.mkdir(parents=True, exist_ok=True)
    pictures = write_pictures(cases, folder)
    (folder / "figures.json").write_text(json.dumps({case.name: case.results.rounds for case in cases}) + "\n")
    write_page(page, pictures, options.to / "RESULTS.md")
    err.print(f"written: {options.to / 'RESULTS.md'}")


if __name__ == "__main__":
    main()
