"""chatd check"""

import os
import resource
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import trio_asyncio
import typer
from msgspec import Struct, to_builtins
from rich.markup import escape

from chatd.cli.common import FAILED, AsJson, ConfigFile, load_or_exit, out, print_json, run_async
from chatd.config import Config
from chatd.domain.addresses import parse_networks
from chatd.errors import Refused
from chatd.gateway.listener import open_listener
from chatd.node.admins import Admins
from chatd.node.keys import Keyring, WeakKey
from chatd.node.screening import CannotScreen, check_screening
from chatd.settings import Loaded, effective
from chatd.store import migrations
from chatd.store.blob_stores import BlobsError, open_blobs
from chatd.store.blobs import new_key
from chatd.store.embedded import EmbeddedError, is_locked
from chatd.store.postgres import Postgres, open_postgres
from chatd.store.redis import Redis, open_redis
from chatd.store.servers import join_servers

SPARE_DESCRIPTORS = 100
RAISE_FILES = "raise the limit: ulimit -n, or LimitNOFILE= of systemd"


class Finding(Struct):
    """One line of the report. `fix` says what to do about it; `code` is what scripts know it by, and does not change."""

    what: str
    ok: bool
    detail: str
    fix: str = ""
    code: str = ""


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
    findings = [source(loaded), *settings(config), *ports(config), open_files(config), await files(config)]
    return findings + await databases(config)


def source(loaded: Loaded) -> Finding:
    return Finding("settings", True, str(loaded.path or "defaults; no file"), code="settings.file")


def settings(config: Config) -> Iterator[Finding]:
    try:
        keys = Keyring(config)
        Admins(config)
        yield Finding("keys", True, f"tenants: {', '.join(keys.tenants)}", code="settings.keys")
    except WeakKey as error:
        fix = "run `chatd init`, or set what it names to 32 random bytes or more"
        yield Finding("keys", False, str(error), fix, "settings.keys")
    try:
        parse_networks(config.gateway.trusted_proxies)
    except ValueError as error:
        fix = "use addresses or networks such as 10.0.0.0/8"
        yield Finding("gateway.trusted_proxies", False, str(error), fix, "settings.proxies")
    try:
        check_screening(config)
    except CannotScreen as error:
        yield Finding("filters", False, str(error), "see docs/filters.md", "settings.filters")


def ports(config: Config) -> Iterator[Finding]:
    running = Path(config.data.dir).exists() and is_locked(Path(config.data.dir))
    for name, host, port in (
        ("gateway", config.gateway.host, config.gateway.port),
        ("http", config.http.host, config.http.port),
    ):
        yield port_finding(name, host, port, running)


def open_files(config: Config) -> Finding:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    enough = limit == resource.RLIM_INFINITY or limit >= min(config.limits.connections, 1024) + SPARE_DESCRIPTORS
    most = max(0, limit - SPARE_DESCRIPTORS)
    return Finding("open files", enough, f"{limit}: up to {most} connections", RAISE_FILES, "machine.files")


async def files(config: Config) -> Finding:
    """Whether the store of the uploads would take something. A folder that is not there yet is not made."""
    if not config.uploads.s3_bucket:
        folder = Path(config.uploads.dir or Path(config.data.dir) / "uploads").absolute()
        nearest = next(place for place in (folder, *folder.parents) if place.exists())
        writable = nearest.is_dir() and os.access(nearest, os.W_OK)
        return Finding("uploads", writable, str(folder), f"nobody may write to {nearest}; set uploads.dir", "uploads")
    try:
        async with open_blobs(config) as blobs:
            await blobs.delete(new_key())
    except (BlobsError, Refused) as error:
        return Finding("uploads", False, str(error), "are endpoint, bucket, region and keys of [uploads] right?", "uploads")
    return Finding("uploads", True, f"bucket {config.uploads.s3_bucket}", code="uploads")


def port_finding(name: str, host: str, port: int, running: bool) -> Finding:
    code = f"machine.port.{name}"
    try:
        open_listener(host, port, 1).close()
    except (OSError, socket.gaierror) as error:
        if running:
            return Finding(f"{name} port", True, f"{host}:{port} is in use by the chatd that runs on this folder", code=code)
        return Finding(f"{name} port", False, str(error), f"stop what listens there, or set {name}.port", code)
    return Finding(f"{name} port", True, f"{host}:{port} is free", code=code)


async def databases(config: Config) -> list[Finding]:
    try:
        async with (
            join_servers(config) as (dsn, url),
            trio_asyncio.open_loop(),
            open_postgres(dsn, config.postgres) as db,
            open_redis(config.redis, url) as door,
        ):
            return [*await postgres(db, config), await redis(door)]
    except EmbeddedError as error:
        return [no_servers(error)]


def no_servers(error: EmbeddedError) -> Finding:
    return Finding("embedded servers", False, str(error), "mend that, or set postgres.dsn and redis.url", "embedded.start")


async def postgres(db: Postgres, config: Config) -> list[Finding]:
    try:
        version = await db.value("show server_version")
        problems = await migrations.server_problems(db)
        durability = await migrations.durability_problems(db)
        pending = await migrations.pending(db)
    except Refused as refused:
        return [Finding("Postgres", False, refused.message, "is it running, and is postgres.dsn right?", "postgres.server")]
    except migrations.SchemaError as error:
        return [Finding("schema", False, str(error), code="postgres.schema")]
    kept = not durability or config.postgres.allow_unsafe_durability
    todo = f"{len(pending)} to apply; serve or migrate does it" if pending else "up to date"
    return [
        Finding("Postgres", not problems, "; ".join(problems) or f"{version}", code="postgres.server"),
        Finding(
            "durability",
            kept,
            "; ".join(durability) or "what is committed survives a crash",
            "see above, or postgres.allow_unsafe_durability",
            "postgres.durability",
        ),
        Finding("schema", True, todo, code="postgres.schema"),
    ]


async def redis(door: Redis) -> Finding:
    try:
        info = await door.call("INFO", "server")
    except Refused as refused:
        return Finding("Redis", False, refused.message, "is it running, and is redis.url right?", "redis.server")
    return Finding("Redis", True, str(info["redis_version"]), code="redis.server")
