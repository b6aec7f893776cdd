"""chatd match"""

from pathlib import Path
from typing import Annotated

import msgspec
import typer
from msgspec.structs import replace
from rich.table import Table

from chatd.cli.common import AsJson, ConfigFile, exit_failed, load_or_exit, print_json, run_with
from chatd.cli.databases import redis_alone
from chatd.cli.printing import out, write_json
from chatd.core.config import Config
from chatd.matching.event_log import EventLogReader, LoggedEvent
from chatd.matching.pairing import queue_rules
from chatd.matching.settings import PoolLogSettings
from chatd.matching.simulation import Summary, Timed, recorded, simulate

app = typer.Typer(no_args_is_help=True, help="Export the event log of the match pool, and replay it under other rules.")
NAMES = {
    "asked": "tickets", "met": "matched", "left": "cancelled or expired", "median_wait": "median wait, ms",
    "p95_wait": "p95 wait, ms", "longest_wait": "longest wait, ms", "relaxed": "conditions relaxed",
    "in_common": "tags and attributes in common",
}  # fmt: skip


@app.command()
def export(config: ConfigFile = None) -> None:
    """Print the event log of the match pool as JSON lines.

    [bold]Example[/]

      chatd match export > events.jsonl
    """
    run_with(config, print_event_log)


async def print_event_log(config: Config) -> None:
    async with redis_alone(config) as redis:
        reader = EventLogReader(redis, config.get(PoolLogSettings).stream_key)
        for logged in await reader.everything():
            write_json(msgspec.json.encode(logged).decode() + "\n")


@app.command("replay")
def replay_event_log(
    file: Annotated[Path, typer.Argument(help="A file written by `chatd match export`.")],
    relax: Annotated[
        float | None, typer.Option(help="Seconds of waiting after which conditions are relaxed.", min=0.001)
    ] = None,
    longest: Annotated[float | None, typer.Option(help="Seconds after which a ticket expires.", min=0.001)] = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Replay an event log under the configured or other rules, and compare waiting times and match quality.

    [bold]Example[/]

      chatd match replay events.jsonl --relax 2
    """
    events = read_event_log(file)
    rules = queue_rules(load_or_exit(config).config)
    changes = {"relax": relax, "longest": longest}
    own = {name: round(seconds * 1000) for name, seconds in changes.items() if seconds is not None}
    summaries = {"as it was": recorded(events), "these rules": simulate(events, rules)}
    if own:
        summaries["changed rules"] = simulate(events, {name: replace(queue, **own) for name, queue in rules.items()})
    if as_json:
        print_json({name: msgspec.to_builtins(summary) for name, summary in summaries.items()})
    else:
        out.print(table_of(summaries))


def read_event_log(file: Path) -> list[Timed]:
    try:
        lines = [msgspec.json.decode(text, type=LoggedEvent) for text in file.read_bytes().splitlines() if text.strip()]
    except OSError as error:
        raise exit_failed(f"{file}: {error.strerror}") from None
    except msgspec.DecodeError as error:
        raise exit_failed(f"{file} is not a file written by `chatd match export`: {error}") from None
    return [(line.at, line.event) for line in lines]


def table_of(summaries: dict[str, Summary]) -> Table:
    table = Table("", *summaries)
    for name, title in NAMES.items():
        values = (getattr(summary, name) for summary in summaries.values())
        table.add_row(title, *(f"{value:.2f}" if isinstance(value, float) else str(value) for value in values))
    return table
