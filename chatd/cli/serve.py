"""chatd serve"""

import gc
import os
import resource
import sys
from collections.abc import Mapping
from typing import Annotated

import trio
import typer
from msgspec.structs import replace
from rich.panel import Panel

from chatd import daemon
from chatd.app.addresses import Addresses
from chatd.cli.check import faults
from chatd.cli.common import ConfigFile, exit_failed, load_or_exit, run_async
from chatd.cli.printing import err, out, say, styled
from chatd.cli.workers import Supervisor, end_with_supervisor
from chatd.core import log
from chatd.core.config import Config
from chatd.demo.settings import is_served

LOG = log.get(__name__)
NEXT = """\
websocket {socket}
http      {http}
data      {data}

Try it{browser} in two more terminals:
  {chatd} chat --as alice{http_option}
  {chatd} chat --as bob --to alice{http_option}
The protocol:  {chatd} schema      Pre-flight check:  {chatd} check
Stop with ^C; a second ^C exits at once."""


def serve(
    config: ConfigFile = None,
    workers: Annotated[
        int, typer.Option(min=1, max=64, help="Number of processes that share the ports; use one per core.")
    ] = 1,
    single_port: Annotated[
        bool, typer.Option("--single-port", help="Serve REST on the WebSocket port as well; see gateway.single_port.")
    ] = False,
    supervised: Annotated[bool, typer.Option(hidden=True)] = False,
) -> None:
    """Serve until SIGTERM or ^C. The first signal drains the node, a second one exits at once.

    Without any configuration chatd starts its own Postgres and Redis and keeps everything in ./chatd-data.

    [bold]Examples[/]

      chatd serve

      chatd serve --config /etc/chatd.toml

      chatd serve --workers 4

      chatd serve --single-port

      CHATD_GATEWAY__PORT=9000 chatd serve
    """
    loaded = load_or_exit(config, make=True)
    settings = with_single_port(loaded.config) if single_port else loaded.config
    if found := faults(settings):
        raise exit_failed("\n".join(found))
    log.setup(settings.log.level, settings.log.format)
    for warning in loaded.warnings:
        LOG.warning(warning)
    raise_file_limit()
    if workers > 1:
        run_async(Supervisor(settings, config, workers, lambda addresses: announce(settings, addresses)).run)
    else:
        run_async(run, settings, supervised, loaded.sources)


def with_single_port(config: Config) -> Config:
    return replace(config, gateway=replace(config.gateway, single_port=True))


async def run(config: Config, supervised: bool, sources: Mapping[str, str]) -> None:
    def ready(addresses: Addresses) -> None:
        settle_memory()
        announce(config, addresses)

    async with trio.open_nursery() as nursery:
        if supervised:
            nursery.start_soon(end_with_supervisor)
        await daemon.run(config, ready=ready, sources=sources)
        nursery.cancel_scope.cancel()


def announce(config: Config, addresses: Addresses) -> None:
    """Print the addresses and what to try next. If standard output is not a terminal, print one line for scripts."""
    if not out.is_terminal:
        say(f"chatd is ready: {addresses.socket} {addresses.http}")
        return
    usual = addresses.http == "http://127.0.0.1:8081"
    has_page = is_served(daemon.with_public_urls(config, addresses))
    text = NEXT.format(
        socket=addresses.socket,
        http=addresses.http,
        data=os.path.abspath(config.data.dir),
        chatd=called_as(),
        browser=f" in a browser at {addresses.http}/, or" if has_page else ",",
        http_option="" if usual else f" --http {addresses.http}",
    )
    out.print(Panel(styled(text), title="chatd is ready", expand=False))


def called_as() -> str:
    """The command with which the user can run chatd again."""
    inside = os.path.join(".venv", "bin", "chatd")
    return inside if os.path.exists(inside) else "chatd" if sys.argv[0].endswith("chatd") else "python -m chatd"


def raise_file_limit() -> None:
    """Raise the limit of open files as far as allowed: each connection needs one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):
        err.print(f"the limit of open files stays at {soft}")


def settle_memory() -> None:
    """Exclude the objects of the start from garbage collection, and collect the oldest generation rarely.

    Ended sessions are no garbage, and a collection takes about 10 ms however few objects are young. The middle
    generation is small: collecting half a million objects took 0.3 s when 6,000 clients reconnected.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(30_000, 2, 1000)
