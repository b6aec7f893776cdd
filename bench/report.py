"""The command line of a scenario: run it, and print figures with their goals."""

import argparse
import json
import statistics
import sys

from rich.console import Console
from rich.table import Table

from bench.packages import NotInstalled
from bench.peers import KINDS
from bench.processes import stop_at_sigterm
from bench.rounds import Results, Spread, missed, opened, run_rounds
from bench.scenario import Bench, Figures
from bench.servers import ServerFailed
from chatd.bench.processes import raise_file_limit

DEFAULT_PEER = "socket.io"


def main(bench: Bench) -> None:
    """Parse the command line, run the rounds, print."""
    options = parser_of(bench).parse_args()
    raise_file_limit()
    stop_at_sigterm()
    try:
        with opened(options.peer, bench.limits, twice=options.aa) as servers:
            results = run_rounds(bench, options, servers)
    except (NotInstalled, ServerFailed) as error:
        sys.exit(str(error))
    goals = bench.goals(options)
    misses = missed(goals, results)
    if options.json:
        print(json.dumps({"bench": bench.name, "results": results.rounds, "missed": misses}, indent=1))
    else:
        console = Console()
        console.print(table_of(bench, results))
        for goal in goals:
            console.print(f"goal: {goal}")
        for miss in misses:
            console.print(f"[yellow]missed: {miss}[/]")
    sys.exit(1 if misses and options.check else 0)


def parser_of(bench: Bench) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=bench.title)
    parser.set_defaults(peer=[], aa=False)
    if bench.has_peers:
        text = f"run these too, in alternation: {', '.join(KINDS)}, or all; without a name {DEFAULT_PEER}"
        parser.add_argument(
            "--peer", type=peer_names, nargs="?", const=[DEFAULT_PEER], metavar="NAME[,NAME...]", help=text
        )
        parser.add_argument("--aa", action="store_true", help="run chatd against a second chatd, which shows the noise")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a goal is missed")
    for name, default in bench.options.items():
        parser.add_argument(f"--{name}", type=int, default=default, help=f"default: {default}")
    for name, text in bench.flags.items():
        parser.add_argument(f"--{name}", action="store_true", help=text)
    return parser


def peer_names(text: str) -> list[str]:
    """Names of peers, separated by commas; `all` for all."""
    names = list(KINDS) if text == "all" else text.split(",")
    for name in names:
        if name not in KINDS:
            raise argparse.ArgumentTypeError(f"no such peer: {name}; there are {', '.join(KINDS)}")
    return names


def table_of(bench: Bench, results: Results) -> Table:
    table = Table("figure", "server", "median", "range", "chatd / this", "range", title=bench.title)
    for figure in results.figures:
        for server in results.rounds:
            spread = results.spread(server, figure)
            ratio = results.ratio(server, figure) if server != "chatd" else None
            table.add_row(
                figure if server == "chatd" else "",
                server,
                *(cells(spread, ".1f") if spread else ("", "")),
                *(cells(ratio, ".2f") if ratio else ("", "")),
            )
    return table


def cells(spread: Spread, form: str) -> tuple[str, str]:
    return f"{spread.median:{form}}", f"{spread.least:{form}} to {spread.most:{form}}"


def percentiles(times: list[float]) -> Figures:
    """Latencies in milliseconds."""
    if len(times) < 2:
        return {}
    cuts = statistics.quantiles(times, n=100)
    return {f"latency p{place} ms": cuts[place - 1] * 1000 for place in (50, 95, 99)}
