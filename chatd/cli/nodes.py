"""chatd nodes"""

import time
from typing import Any

from rich.text import Text

from chatd.cli.cluster import no_node
from chatd.cli.common import AsJson, ConfigFile, print_json, run_with
from chatd.cli.databases import redis_alone
from chatd.cli.printing import out, plain, table_of
from chatd.core.config import Config
from chatd.operations import node_registry
from chatd.operations.snapshot import Snapshot

COLORS = {"ready": "green", "maintenance": "yellow", "draining": "red"}


def nodes(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """List the running nodes: the processes that share this Postgres and this Redis.

    [bold]Example[/]

      chatd nodes --json
    """
    rows = [row_of(snapshot) for snapshot in run_with(config, find_nodes)]
    if as_json:
        print_json(rows)
    if not rows:
        raise no_node()
    if as_json:
        return
    table = table_of("node", "address", "version", "up since", "sessions", "state", whole="node")
    for row in rows:
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(row["started_at"] / 1000))
        shown = (row["node"], row["address"], row["version"], since, str(row["sessions"]))
        table.add_row(*map(plain, shown), state_of(row["state"]))
    out.print(table)


def row_of(snapshot: Snapshot) -> dict[str, Any]:
    """The output for one node. Times are in milliseconds."""
    identity = snapshot.identity
    return {
        "node": identity.node,
        "address": f"{identity.host}:{identity.pid}",
        "version": identity.version,
        "started_at": identity.started_at,
        "sessions": int(snapshot.number("chatd_sessions")),
        "state": snapshot.state,
        "socket": identity.socket,
        "http": identity.http,
    }


def state_of(state: str) -> Text:
    text = plain(state)
    text.stylize(COLORS.get(state, ""))
    return text


async def find_nodes(config: Config) -> list[Snapshot]:
    async with redis_alone(config) as redis:
        return await node_registry.read(redis)
