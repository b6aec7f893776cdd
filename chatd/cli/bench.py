"""chatd bench"""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from inspect import cleandoc
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from chatd.accounts.keys import Keyring
from chatd.accounts.settings import AuthSettings
from chatd.bench.fanout import Fanout
from chatd.bench.match import Match
from chatd.bench.mixed import Mixed
from chatd.bench.own_server import NoServer, own_server
from chatd.bench.plot import NoPlots, new_figure, write_plot
from chatd.bench.processes import raise_file_limit
from chatd.bench.result import MAX_FAULTS_SHOWN, Result, percentiles
from chatd.bench.resume import Resume
from chatd.bench.run import Options, Run, RunFailed, Scenario
from chatd.bench.send import Send
from chatd.bench.sessions import Connect, Idle
from chatd.bench.storm import Storm
from chatd.bench.target import BadTarget, Target
from chatd.bench.typing import Typing
from chatd.cli.common import FAILED, AsJson, ConfigFile, TenantOption, exit_failed, failures, load_or_exit, print_json
from chatd.cli.printing import err, out, plain, say, styled, table_of, warn
from chatd.core.clock import now_ms
from chatd.core.config import Config

# A token must be valid throughout the run.
TOKEN_TTL_S = 86_400.0
HELP = (
    "Load test a server: how many messages, events and connections a machine can hold, and how fast.\n\n"
    "Without --url each test starts a server of its own with embedded Postgres and Redis in a temporary folder, and "
    "removes it afterwards. Every client logs what it sends and receives, and the logs are checked at the end: the "
    "exit code is 1 if a message was lost, repeated or reordered, or if a connection ended. See docs/load-testing.md."
)
app = typer.Typer(help=HELP, no_args_is_help=True)

Url = Annotated[
    str,
    typer.Option(help="WebSocket URL of a running server, such as ws://127.0.0.1:8080/v1/ws. Default: a new server."),
]
Rate = Annotated[float, typer.Option(min=0.1, help="Operations per second, over all connections.")]
Connections = Annotated[int, typer.Option(min=1, help="Number of connections, each of its own user.")]
Seconds = Annotated[float, typer.Option(min=0.1, help="Duration of the measured part.")]
WarmUp = Annotated[float, typer.Option(min=0.0, help="Seconds before the measured part, with the same load.")]
Plot = Annotated[
    Path | None, typer.Option(help="Write a picture of the latencies to this file, such as send.png. Needs matplotlib.")
]
TextBytes = Annotated[int, typer.Option(min=1, help="Length of the text of a message.")]


# Scenarios, their default load, and their help.
COMMANDS: tuple[tuple[type[Scenario], Options, str], ...] = (
    (
        Send,
        Options(connections=100, rate=100.0),
        """Messages in direct conversations: latency of the ack, and of the delivery to the other user.

        [bold]Examples[/]

          chatd bench send

          chatd bench send --rate 1000 --connections 200 --seconds 60

          chatd bench send --url ws://127.0.0.1:8080/v1/ws --config /etc/chatd.toml
        """,
    ),
    (
        Fanout,
        Options(connections=500, rate=5.0),
        "Messages in one group of all connections: latency of the ack, of each delivery, and of the last one.",
    ),
    (
        Typing,
        Options(connections=100, rate=500.0),
        "Typing events in direct conversations: latency of the answer and of the delivery. They may be dropped.",
    ),
    (
        Connect,
        Options(connections=200, rate=50.0),
        "New users connect at this rate: time from the TCP connection to the event `connected`. At most --connections "
        "stay connected.",
    ),
    (
        Idle,
        Options(connections=1000, rate=50.0),
        "Connections that only send a ping now and then: memory of a session, and the latency of the ping.",
    ),
    (
        Resume,
        Options(connections=100, rate=50.0),
        "Half of the operations are messages. In the others a client loses its connection, reconnects at once, and "
        "syncs: time until it is complete again.",
    ),
    (
        Match,
        Options(connections=200, rate=50.0),
        "Users search for partners at this rate, and leave the match at once: time until both are notified.",
    ),
    (
        Storm,
        Options(connections=1000, rate=10.0, seconds=30.0),
        "All connections but four end at once and reconnect, as after a network failure: time until they are synced, "
        "and latency of messages between the four. A new server has its default limits.",
    ),
    (
        Mixed,
        Options(connections=100, rate=200.0),
        "What users of a messenger do. Of ten operations four are messages, three are typing events, two are read "
        "receipts, and one reads a page of history.",
    ),
)


def add_command(kind: type[Scenario], default: Options, text: str) -> None:
    """Add the command of a scenario."""

    def command(
        url: Url = "",
        rate: Rate = default.rate,
        connections: Connections = default.connections,
        seconds: Seconds = default.seconds,
        warm_up: WarmUp = default.warm_up_s,
        text_bytes: TextBytes = default.text_bytes,
        tenant: TenantOption = "default",
        config: ConfigFile = None,
        as_json: AsJson = False,
        plot: Plot = None,
    ) -> None:
        check_plot(plot)
        options = Options(connections, rate, seconds, warm_up, text_bytes)
        finish(measure(kind, options, url, config, tenant), as_json, plot)

    app.command(kind.name, help=cleandoc(text))(command)


for row in COMMANDS:
    add_command(*row)


def measure(kind: type[Scenario], options: Options, url: str, config: ConfigFile, tenant: str) -> Result:
    """Run a scenario against the server at `url`, or against a new one."""
    raise_file_limit()
    with failures(), progress() as show:
        try:
            if url:
                sign = signer(load_or_exit(config).config, tenant)
                return Run(Target.parse(url, sign), options, show).execute(kind)
            secret = secrets.token_hex(32)
            sign = signer(Config().using(AuthSettings(secret=secret)), "default")
            show("starting a server", 0.0)
            with own_server(secret, raises_limits=kind.raises_limits) as server:
                return Run(Target.parse(server.url, sign, server.pid), options, show, server.postmaster).execute(kind)
        except (BadTarget, NoServer, RunFailed) as error:
            raise exit_failed(str(error)) from None


def signer(config: Config, tenant: str) -> Callable[[str], str]:
    """Sign access tokens with the secret of the configuration."""
    keys = Keyring(config)
    keys.check_mints(tenant)
    return lambda user: keys.mint(tenant, user, "", now_ms(), TOKEN_TTL_S)[0]


@contextmanager
def progress() -> Iterator[Callable[[str, float], None]]:
    """A bar on standard error, if that is a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda what, share: bar.update(task, description=what, completed=share)


def check_plot(path: Path | None) -> None:
    """Refuse a plot that could not be written after a long run."""
    with failures():
        try:
            if path is not None:
                new_figure()
                path.touch()
        except NoPlots as error:
            raise exit_failed(str(error)) from None


def finish(result: Result, as_json: bool, plot: Path | None) -> None:
    """Print the result. Exit code 1 if the server did not keep its guarantees."""
    if plot is not None:
        with failures():
            try:
                write_plot(result, plot)
            except ValueError as error:
                raise exit_failed(f"the plot cannot be written: {error}") from None
    if as_json:
        print_json(result.as_json())
    else:
        show_result(result)
    if not result.is_good:
        raise typer.Exit(FAILED)


def show_result(result: Result) -> None:
    out.print(latency_table(result))
    for name, value in result.figures.items():
        say(f"{name:28} {value:,.1f}")
    for what, counts in (("refused", result.refusals), ("ended connections", result.ended)):
        for name, count in counts.most_common():
            say(f"{what}: {name} {count}")
    for warning in result.warnings:
        warn(warning)
    show_verdict(result)


def latency_table(result: Result) -> Table:
    table = table_of("latency, ms", "count", "p50", "p90", "p99", "max", whole="latency, ms")
    for name, times in result.latencies.items():
        if found := percentiles(times):
            values = (found.p50, found.p90, found.p99, found.max)
            table.add_row(plain(name), str(found.count), *(f"{value:.1f}" for value in values))
    return table


def show_verdict(result: Result) -> None:
    verdict = result.verdict
    counts = (
        f"{verdict.sent} sent, {verdict.acked} acknowledged, {verdict.refused} refused, "
        f"{verdict.unknown} without an outcome, {verdict.received} received"
    )
    for fault in verdict.faults[:MAX_FAULTS_SHOWN]:
        out.print(styled((str(fault), "red")))
    if len(verdict.faults) > MAX_FAULTS_SHOWN:
        say(f"and {len(verdict.faults) - MAX_FAULTS_SHOWN} more")
    if result.unfinished:
        out.print(styled((f"{result.unfinished} answers or deliveries did not arrive in time", "red")))
    word = ("good", "green") if result.is_good else ("BAD", "red")
    out.print(styled("verdict: ", word, f" ({counts})"))
