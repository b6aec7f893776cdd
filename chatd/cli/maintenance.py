"""chatd maintenance, chatd drain"""

from typing import Annotated

import typer

from chatd.accounts.token_rules import DEFAULT_TENANT
from chatd.app import audit_log
from chatd.app.maintenance import MaintenanceChanged, change
from chatd.cli.cluster import no_node, notify_nodes
from chatd.cli.common import ConfigFile, current_operator, exit_failed, run_with, seconds_of
from chatd.cli.databases import database, databases
from chatd.cluster import control_messages
from chatd.cluster.stream_entries import announce, recent
from chatd.core.clock import now_ms
from chatd.core.config import Config
from chatd.core.ids import uuid7

app = typer.Typer(help="Pause matching and notify all clients, without stopping the server.", no_args_is_help=True)


@app.command()
def on(
    message: Annotated[str, typer.Option(help="Message shown to users.")] = "",
    lasts: Annotated[str | None, typer.Option("--for", help="Expected duration, such as 10m.")] = None,
    config: ConfigFile = None,
) -> None:
    """Turn maintenance mode on, on all nodes.

    [bold]Example[/]

      chatd maintenance on --message "Back at noon" --for 30m
    """
    run_with(config, switch, True, message, None if lasts is None else float(seconds_of(lasts)))


@app.command()
def off(config: ConfigFile = None) -> None:
    """Turn maintenance mode off, on all nodes."""
    run_with(config, switch, False, "", None)


async def switch(config: Config, enabled: bool, message: str, retry_after: float | None) -> None:
    async with database(config) as db:
        await db.in_transaction(change, current_operator(DEFAULT_TENANT), enabled, message, retry_after)
    await notify_nodes(config, MaintenanceChanged())


def drain(
    over: Annotated[str, typer.Option(help="Close the sessions one by one over this time.")] = "5s",
    node: Annotated[str, typer.Option(help="Drain only this node; see `chatd nodes`.")] = "",
    config: ConfigFile = None,
) -> None:
    """Stop running nodes gracefully: refuse new connections, tell clients to reconnect, commit all messages.

    [bold]Example[/]

      chatd drain --over 60s
    """
    run_with(config, start_drain, node, float(seconds_of(over)))


async def start_drain(config: Config, node: str, seconds: float) -> None:
    """Write the audit log entry, then start the drain. Raises Refused."""
    async with databases(config) as (db, redis):
        running = await recent(redis)
        if not running:
            raise no_node()
        if node and node not in running:
            raise exit_failed(f"node {node} is not running; see `chatd nodes`")
        actor = current_operator(DEFAULT_TENANT)
        await audit_log.write(db, actor, "nodes.drain", node or "all nodes", {"over": seconds})
        await announce(
            redis, uuid7(now_ms()), control_messages.encode(control_messages.StartDrain(node, seconds, actor.name))
        )
