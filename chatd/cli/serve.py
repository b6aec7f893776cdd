"""chatd serve"""

import gc
import os
import resource
import sys
from typing import Annotated

import trio
import typer
from rich.panel import Panel

from chatd import daemon
from chatd.app.addresses import Addresses
from chatd.cli.check import faults
from chatd.cli.common import ConfigFile, failed, load_or_exit, run_async
from chatd.cli.printing import err, out, say, styled
from chatd.cli.workers import Supervisor, end_with_supervisor
from chatd.core import log
from chatd.core.config import Config

LOG = log.get(__name__)
NEXT = """\
sockets   {socket}
http      {http}
data      {data}

Try it, in two more terminals:
  {chatd} chat --as alice{http_option}
  {chatd} chat --as bob --to alice{http_option}
The protocol:  {chatd} schema      Is all well?  {chatd} check
Stop with ^C; a second ^C hurries."""


def serve(
    config: ConfigFile = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes that share the ports, one for each core.")] = 1,
    supervised: Annotated[bool, typer.Option(hidden=True)] = False,
) -> None:
    """Serve, until SIGTERM or ^C. The first one drains, a second one hurries.

    With nothing configured it brings its own Postgres and Redis and keeps everything in ./chatd-data.

    [bold]Examples[/]

      chatd serve

      chatd serve --config /etc/chatd.toml

      chatd serve --workers 4

      CHATD_GATEWAY__PORT=9000 chatd serve
    """
    loaded = load_or_exit(config)
    settings = loaded.config
    if found := faults(settings):
        raise failed("\n".join(found))
    log.setup(settings.log.level, settings.log.format)
    for said in loaded.warnings:
        LOG.warning(said)
    raise_file_limit()
    if workers > 1:
        run_async(Supervisor(settings, config, workers, lambda addresses: announce(settings, addresses)).run)
    else:
        run_async(run, settings, supervised)


async def run(config: Config, supervised: bool) -> None:
    def ready(addresses: Addresses) -> None:
        settle_memory()
        announce(config, addresses)

    async with trio.open_nursery() as nursery:
        if supervised:
            nursery.start_soon(end_with_supervisor)
        await daemon.run(config, ready=ready)
        nursery.cancel_scope.cancel()


def announce(config: Config, addresses: Addresses) -> None:
    """Where it is, and what to try next. On a pipe: one line that a script can read."""
    if not out.is_terminal:
        say(f"chatd is ready: {addresses.socket} {addresses.http}")
        return
    usual = addresses.http == "http://127.0.0.1:8081"
    text = NEXT.format(
        socket=addresses.socket,
        http=addresses.http,
        data=os.path.abspath(config.data.dir),
        chatd=called_as(),
        http_option="" if usual else f" --http {addresses.http}",
    )
    out.print(Panel(styled(text), title="chatd is ready", expand=False))


def called_as() -> str:
    """How the person at the terminal can call us again."""
    inside = os.path.join(".venv", "bin", "chatd")
    return inside if os.path.exists(inside) else "chatd" if sys.argv[0].endswith("chatd") else "python -m chatd"


def raise_file_limit() -> None:
    """A connection is a descriptor: take as many as we may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):
        err.print(f"the limit of open files stays at {soft}")


def settle_memory() -> None:
    """What is there after start lives for ever: the collector need not look at it again, and seldom at old things."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 50, 100)
