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
from msgspec.structs import replace

from chatd import setting_rules
from chatd.cli.common import FAILED, AsJson, ConfigFile, cause_of, load_or_exit, print_json, run_async
from chatd.cli.printing import out, styled
from chatd.config import Config
from chatd.errors import OperatorError, Refused
from chatd.gateway.listener import open_listener
from chatd.node.admins import Admins
from chatd.node.keys import Keyring, WeakKey
from chatd.node.screening import CannotScreen, check_screening
from chatd.settings import Loaded, effective
from chatd.store import migrations, releases
from chatd.store.blob_stores import BlobsError, check_bucket, open_blobs
from chatd.store.blobs import new_key
from chatd.store.embedded import EmbeddedError, is_locked
from chatd.store.postgres import Postgres, open_postgres
from chatd.store.redis import BadAddress, Redis, client_of, open_redis
from chatd.store.servers import join_servers

SPARE_DESCRIPTORS = 100
RAISE_FILES = "raise the limit: ulimit -n, or LimitNOFILE= of systemd"


class Finding(Struct):
    """One line of the report. `fix` says what to do about it; `code` is what scripts know it by, and does not change.

    `warning`: it is well enough to serve, and should be looked at.
    """

    what: str
    ok: bool
    detail: str
    fix: str = ""
    code: str = ""
    warning: bool = False


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
        for key, value, source in rows:
            out.print(styled(f"{key} = {value}  ", (f"# {source}", "dim")))


def report(findings: list[Finding], json: bool) -> None:
    if json:
        print_json([to_builtins(replace(finding, fix="") if is_well(finding) else finding) for finding in findings])
        return
    for finding in findings:
        mark = ("ok  ", "green") if is_well(finding) else ("warn", "yellow") if finding.ok else ("FAIL", "red")
        fix = f"\n       -> {finding.fix}" if finding.fix and not is_well(finding) else ""
        out.print(styled(mark, f" {finding.what}: {finding.detail}", (fix, "yellow")))


def is_well(finding: Finding) -> bool:
    return finding.ok and not finding.warning


def release(what: str, kind: str, version: releases.Version, code: str) -> Finding:
    """Whether a server has known holes."""
    said = releases.warning(kind, version)
    return Finding(
        what, True, said or f"no known hole in {kind} {'.'.join(map(str, version))}", f"update {kind}", code, bool(said)
    )


async def collect(loaded: Loaded) -> list[Finding]:
    config = loaded.config
    findings = [*source(loaded), *settings(config), *ports(config), open_files(config), await files(config)]
    return findings + await databases(config)


def source(loaded: Loaded) -> list[Finding]:
    """Where the settings are from, and what is unwise in them."""
    where = Finding("settings", True, str(loaded.path or "defaults; no file"), code="settings.file")
    return [where, *(Finding("settings", True, said, code="settings.unwise", warning=True) for said in loaded.warnings)]


def settings(config: Config) -> Iterator[Finding]:
    try:
        keys = Keyring(config)
        Admins(config)
        yield Finding("keys", True, f"tenants: {', '.join(keys.tenants)}", code="settings.keys")
    except WeakKey as error:
        fix = "run `chatd init`, or set what it names to 32 random bytes or more"
        yield Finding("keys", False, str(error), fix, "settings.keys")
    try:
        check_screening(config)
    except CannotScreen as error:
        yield Finding("filters", False, str(error), "see docs/filters.md", "settings.filters")


def faults(config: Config) -> list[str]:
    """Why a daemon must not start with these settings, before anything is started: a line each."""
    found = [f"{finding.what}: {finding.detail}" for finding in settings(config) if not finding.ok]
    try:
        if config.uploads.s3_bucket or config.uploads.s3_endpoint:
            check_bucket(config.uploads)
        if config.postgres.dsn:
            setting_rules.postgres_address(config.postgres.dsn)
    except (BlobsError, ValueError) as error:
        found.append(str(error))
    unreadable = redis_address(config)
    return found if unreadable is None else [*found, unreadable.detail]


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
    if (unreadable := redis_address(config)) is not None:
        return [unreadable]
    try:
        async with (
            join_servers(config, begin=True) as (dsn, url),
            trio_asyncio.open_loop(),
            open_postgres(dsn, config.postgres) as db,
            open_redis(config.redis, url) as door,
        ):
            return [*await postgres(db, config), *await redis(door)]
    except EmbeddedError as error:
        return [no_servers(error)]


def redis_address(config: Config) -> Finding | None:
    """What is wrong with it, if anything."""
    try:
        client_of(config.redis, config.redis.url)
    except BadAddress as error:
        return Finding("Redis", False, str(error), code="redis.server")
    return None


def no_servers(error: EmbeddedError) -> Finding:
    return Finding("embedded servers", False, str(error), "mend that, or set postgres.dsn and redis.url", "embedded.start")


async def postgres(db: Postgres, config: Config) -> list[Finding]:
    try:
        version = await db.value("show server_version")
        problems = await migrations.server_problems(db)
        durability = await migrations.durability_problems(db)
        pending = await migrations.pending(db)
    except Refused as refused:
        detail = f"{refused.message}{cause_of(refused)}"
        return [Finding("Postgres", False, detail, "is it running, and is postgres.dsn right?", "postgres.server")]
    except migrations.SchemaError as error:
        return [Finding("schema", False, str(error), code="postgres.schema")]
    except OperatorError as error:
        return [Finding("Postgres", False, str(error), code="postgres.server")]
    kept = not durability or config.postgres.allow_unsafe_durability
    todo = f"{len(pending)} to apply; serve or migrate does it" if pending else "up to date"
    return [
        Finding("Postgres", not problems, "; ".join(problems) or f"{version}", code="postgres.server"),
        release("Postgres release", "postgres", releases.parse_version(version, 2), "postgres.release"),
        Finding(
            "durability",
            kept,
            "; ".join(durability) or "what is committed survives a crash",
            "see above, or postgres.allow_unsafe_durability",
            "postgres.durability",
        ),
        Finding("schema", True, todo, code="postgres.schema"),
    ]


async def redis(door: Redis) -> list[Finding]:
    try:
        info = await door.call("INFO", "server")
    except Refused as refused:
        detail = f"{refused.message}{cause_of(refused)}"
        return [Finding("Redis", False, detail, "is it running, and is redis.url right?", "redis.server")]
    kind = "valkey" if "valkey_version" in info else "redis"
    version = str(info[f"{kind}_version"])
    return [
        Finding("Redis", True, f"{kind} {version}", code="redis.server"),
        release("Redis release", kind, releases.parse_version(version), "redis.release"),
    ]
