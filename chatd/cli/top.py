"""chatd top"""

from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Annotated

import msgspec
import trio
import typer
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from chatd.cli.cluster import no_node
from chatd.cli.common import AsJson, ConfigFile, load_or_exit, print_json, run_async
from chatd.cli.databases import redis_alone
from chatd.cli.nodes import state_of
from chatd.cli.printing import out, plain, table_of, write_json
from chatd.core.config import Config
from chatd.core.errors import Refused
from chatd.db.redis import Redis
from chatd.operations import node_registry
from chatd.operations.rates import Latency, Line, Pool, SearchIndex, View, view_of

INTERVAL_S = 1.0
# Rates are over the last samples. Nodes write once a second, so two samples may be equal.
SAMPLES = 4
MAX_COMMANDS = 10


def top(
    once: Annotated[bool, typer.Option("--once", help="Sample for two seconds, print the result, and exit.")] = False,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Watch the nodes: connections, rates, latencies, queues, the match pool. Press ^C to quit.

    Rates are per second: messages (msg), event frames sent (out), refusals (ref), commands (cmd). Latencies are p50 and
    p99 in milliseconds: of commands, of commits, and of the event loop (lag).

    [bold]Examples[/]

      chatd top

      chatd top --json --once
    """
    settings = load_or_exit(config).config
    try:
        run_async(watch, settings, once, as_json)
    except KeyboardInterrupt:
        raise typer.Exit from None


async def watch(config: Config, once: bool, as_json: bool) -> None:
    async with redis_alone(config) as redis, aclosing(views(redis)) as found:
        if once:
            view = await anext(found)
            print_json(msgspec.to_builtins(view)) if as_json else out.print(picture(view))
            if not view.nodes:
                raise no_node()
        elif as_json:
            async for view in found:
                write_json(msgspec.json.encode(view).decode() + "\n")
        else:
            with Live(console=out, auto_refresh=False, screen=out.is_terminal) as live:
                async for view in found:
                    live.update(picture(view), refresh=True)


async def views(redis: Redis) -> AsyncGenerator[View, None]:
    """Yield a snapshot each second, forever. Redis must be available at the start, and may fail later."""
    samples = deque([await node_registry.read(redis)], maxlen=SAMPLES)
    await trio.sleep(INTERVAL_S)
    while True:
        await trio.sleep(INTERVAL_S)
        with suppress(Refused):
            samples.append(await node_registry.read(redis))
        yield view_of(samples[0], samples[-1])


def picture(view: View) -> Group:
    head = Text(
        f"{len(view.nodes)} nodes, {view.connections} connections, "
        f"{view.messages:.1f} messages/s, {view.deliveries:.1f} deliveries/s"
    )
    tables = (
        traffic(view.nodes),
        delays(view.nodes),
        table_of_commands(view.commands),
        owner_of(view),
        table_of_pool(view.match),
        search_index(view.search),
    )
    return Group(head, *(part for table in tables for part in ("", table)))


def traffic(nodes: list[Line]) -> Table:
    table = table_of("node", "state", "conn.", "msg/s", "out/s", "ref/s", "cmd/s", "cpu", "MiB", whole="conn.")
    for line in nodes:
        table.add_row(
            plain(line.address),
            state_of(line.state),
            str(line.connections),
            *(f"{rate:.0f}" for rate in (line.messages, line.deliveries, line.refusals, line.commands.rate)),
            f"{line.cpu:.0%}",
            str(line.rss_bytes >> 20),
        )
    return table


def delays(nodes: list[Line]) -> Table:
    table = table_of("node", "command ms", "commit ms", "lag ms", "log queue", "bus queue", whole="command ms")
    for line in nodes:
        latencies = map(shown, (line.commands, line.commits, line.lag))
        table.add_row(plain(line.address), *latencies, str(line.message_log_waiting), str(line.bus_waiting))
    return table


def table_of_commands(commands: dict[str, Latency]) -> Table:
    table = table_of("command", "per second", "p50/p99 ms", whole="command")
    for tag, one in list(commands.items())[:MAX_COMMANDS]:
        table.add_row(plain(tag), f"{one.rate:.1f}", shown(one))
    return table


def owner_of(view: View) -> Text:
    owner = next((line.address for line in view.nodes if line.node == view.match.owner), "no node")
    return plain(f"match pool: {view.match.waiting} waiting, owned by {owner}")


def search_index(search: SearchIndex) -> Text:
    if not search.is_running:
        return plain("search index: no index process runs")
    waiting = f"{search.changes} changes wait, the oldest for {search.behind_s:.0f} s"
    return plain(f"search index: {waiting if search.changes else 'up to date'}")


def table_of_pool(pool: Pool) -> Table:
    table = table_of("queue", "tenant", "waiting", whole="queue")
    for tenant, queue, waiting in pool.queues:
        table.add_row(plain(queue), plain(tenant), str(waiting))
    return table


def shown(one: Latency) -> str:
    """Upper bounds of p50 and p99."""
    return "-" if one.p50 is None else f"{one.p50:g}/{one.p99:g}"
