"""chatd check"""

import resource
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import trio_asyncio
import typer
from msgspec import Struct, to_builtins

from chatd.cli.common import FAILED, AsJson, ConfigFile, escape, load_or_exit, out, print_json, run_async
from chatd.config import Config
from chatd.domain.addresses import parse_networks
from chatd.errors import Refused
from chatd.gateway.listener import open_listener
from chatd.node.admins import Admins
from chatd.node.keys import Keyring, WeakKey
from chatd.settings import Loaded, effective
from chatd.store import migrations
from chatd.store.embedded import EmbeddedError, is_locked
from chatd.store.postgres import Postgres, open_postgres
from chatd.store.redis import open_redis
from chatd.store.servers import join_servers

SPARE_DESCRIPTORS = 100


class Finding(Struct):
    """One line of the report. `fix` says what to do about it."""

    what: str
    ok: bool
    detail: str
    fix: str = ""


def check(
    config: ConfigFile = None,
    show: Annotated[bool, typer.Option("--show", help="Print every setting with its source; secrets hidden.")] = False,
    json: AsJson = False,
) -> None:
    """Say whether chatd would start, and if not, what to do. Exit code 1 when it would not.

    [bold]Examples[/]

      chatd check

      chatd check --show

      chatd check --json
    """
    loaded = load_or_exit(config)
    if show:
        show_settings(loaded, json)
        return
    findings = run_async(collect, loaded)
    report(findings, json)
    if not all(finding.ok for finding in findings):
        raise typer.Exit(FAILED)


def show_settings(loaded: Loaded, json: bool) -> None:
    rows = list(effective(loaded))
    if json:
        print_json({key: {"value": value, "source": source} for key, value, source in rows})
    else:
        out.print(
            "\n".join(f"{key} = {escape(value)}  [dim]# {escape(source)}[/]" for key, value, source in rows),
            highlight=False,
        )


def report(findings: list[Finding], json: bool) -> None:
    if json:
        print_json(to_builtins(findings))
        return
    for finding in findings:
        mark = "[green]ok[/]  " if finding.ok else "[red]FAIL[/]"
        fix = f"\n       [yellow]-> {escape(finding.fix)}[/]" if finding.fix and not finding.ok else ""
        out.print(f"{mark} {finding.what}: {escape(finding.detail)}{fix}", highlight=False)


async def collect(loaded: Loaded) -> list[Finding]:
    config = loaded.config
    findings = [Finding("settings", True, str(loaded.path or "defaults; no file")), *settings(config), *machine(config)]
    return findings + await databases(config)


def settings(config: Config) -> Iterator[Finding]:
    try:
        keys = Keyring(config)
        Admins(config)
        yield Finding("keys", True, f"tenants: {', '.join(keys.tenants)}")
    except WeakKey as error:
        yield Finding("keys", False, str(error), "run `chatd init`, or set what it names to 32 random bytes or more")
    try:
        parse_networks(config.gateway.trusted_proxies)
    except ValueError as error:
        yield Finding("gateway.trusted_proxies", False, str(error), "use addresses or networks such as 10.0.0.0/8")


def machine(config: Config) -> Iterator[Finding]:
    running = Path(config.data.dir).exists() and is_locked(Path(config.data.dir))
    for name, host, port in (
        ("gateway", config.gateway.host, config.gateway.port),
        ("http", config.http.host, config.http.port),
    ):
        yield port_finding(name, host, port, running)
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    enough = limit == resource.RLIM_INFINITY or limit >= min(config.limits.connections, 1024) + SPARE_DESCRIPTORS
    most = max(0, limit - SPARE_DESCRIPTORS)
    yield Finding(
        "open files",
        enough,
        f"{limit}: up to {most} connections",
        "raise the limit: ulimit -n, or LimitNOFILE= of systemd",
    )


def port_finding(name: str, host: str, port: int, running: bool) -> Finding:
    try:
        open_listener(host, port, 1).close()
    except (OSError, socket.gaierror) as error:
        if running:
            return Finding(f"{name} port", True, f"{host}:{port} is in use by the chatd that runs on this folder")
        return Finding(f"{name} port", False, str(error), f"stop what listens there, or set {name}.port")
    return Finding(f"{name} port", True, f"{host}:{port} is free")


async def databases(config: Config) -> list[Finding]:
    try:
        async with (
            join_servers(config) as (dsn, url),
            trio_asyncio.open_loop(),
            open_postgres(dsn, config.postgres) as db,
        ):
            return [*await postgres(db, config), await redis(config, url)]
    except EmbeddedError as error:
        return [Finding("embedded servers", False, str(error), "mend that, or set postgres.dsn and redis.url")]


async def postgres(db: Postgres, config: Config) -> list[Finding]:
    try:
        version = await db.value("show server_version")
        problems = await migrations.server_problems(db)
        durability = await migrations.durability_problems(db)
        pending = await migrations.pending(db)
    except Refused as refused:
        return [Finding("Postgres", False, refused.message, "is it running, and is postgres.dsn right?")]
    except migrations.SchemaError as error:
        return [Finding("schema", False, str(error))]
    kept = not durability or config.postgres.allow_unsafe_durability
    todo = f"{len(pending)} to apply; serve or migrate does it" if pending else "up to date"
    return [
        Finding("Postgres", not problems, "; ".join(problems) or f"{version}"),
        Finding(
            "durability",
            kept,
            "; ".join(durability) or "what is committed survives a crash",
            "see above, or postgres.allow_unsafe_durability",
        ),
        Finding("schema", True, todo),
    ]


async def redis(config: Config, url: str) -> Finding:
    try:
        async with open_redis(config.redis, url) as door:
            info = await door.call("INFO", "server")
    except Refused as refused:
        return Finding("Redis", False, refused.message, "is it running, and is redis.url right?")
    return Finding("Redis", True, str(info["redis_version"]))
