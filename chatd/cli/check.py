"""chatd check"""

import resource
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import trio_asyncio
import typer
from msgspec import to_builtins
from trio.to_thread import run_sync as in_thread

from chatd.accounts.keys import WeakKey
from chatd.admin_pages.settings import AdminPagesSettings
from chatd.app.checks import Finding, folder_finding
from chatd.app.subsystem import Subsystem
from chatd.cli.common import FAILED, AsJson, ConfigFile, load_or_exit, print_json, run_async
from chatd.cli.port_check import ANY, port_finding
from chatd.cli.printing import out, styled
from chatd.core import setting_rules
from chatd.core.config import Config
from chatd.core.errors import OperatorError, Refused, cause_of
from chatd.core.secrets import MIN_SECRET_BYTES
from chatd.core.settings import Loaded, effective
from chatd.db import migrations, releases, server_checks
from chatd.db.embedded.folder_lock import EmbeddedError, is_locked
from chatd.db.embedded.select import join_servers, uses_embedded_postgres, uses_embedded_redis
from chatd.db.postgres import Postgres, open_postgres
from chatd.db.postgres_faults import NO_POOLER
from chatd.db.postgres_faults import fix_of as postgres_fix
from chatd.db.redis import BadAddress, Redis, client_of, open_redis
from chatd.db.redis_faults import fix_of as redis_fix
from chatd.http.admin_tokens import Admins
from chatd.subsystems import SUBSYSTEMS, schemas_of

SPARE_DESCRIPTORS = 100
REINDEX = "stop chatd; run `reindex database NAME`, then `alter database NAME refresh collation version`"
RAISE_FILES = "raise the limit: ulimit -n, or LimitNOFILE= of systemd"


MARKS = {"ok": ("ok  ", "green"), "warn": ("warn", "yellow"), "fail": ("FAIL", "red")}


def check(
    config: ConfigFile = None,
    show: Annotated[
        bool, typer.Option("--show", help="Print the effective value and source of every setting; secrets are masked.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Run a pre-flight check: one line per item, with the fix for each failure. Exits 1 if chatd would not start.

    [bold]Examples[/]

      chatd check

      chatd check --show

      chatd check --json
    """
    loaded = load_or_exit(config, make=False)
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
        print_json([shown(finding) for finding in findings])
        return
    for finding in findings:
        fix = f"\n       -> {finding.fix}" if finding.fix and finding.state != "ok" else ""
        out.print(styled(MARKS[finding.state], f" {finding.what}: {finding.detail}", (fix, "yellow")))


def shown(finding: Finding) -> Any:
    """A finding as JSON. Scripts may rely on `ok`, `state` and `code`."""
    return to_builtins(finding) | {"state": finding.state, "fix": finding.fix if finding.state != "ok" else ""}


def release(what: str, kind: str, version: releases.Version, code: str) -> Finding:
    """Check the release of a server for known vulnerabilities."""
    warning = releases.warning(kind, version)
    detail = warning or f"no known vulnerability in {kind} {'.'.join(map(str, version))}"
    return Finding(what, True, detail, f"update {kind}", code, warn=bool(warning))


async def collect(loaded: Loaded, subsystems: Sequence[Subsystem] = SUBSYSTEMS) -> list[Finding]:
    config = loaded.config
    findings = [
        *source(loaded),
        *check_settings(config, subsystems),
        *await ports(config),
        open_files(config),
        *data(config),
    ]
    return [*findings, *await check_subsystems(config, subsystems), *await databases(config, subsystems)]


def source(loaded: Loaded) -> list[Finding]:
    """The sources of the settings, and warnings about them."""
    where = Finding("settings", True, str(loaded.path or "defaults (no configuration file)"), code="settings.file")
    return [
        where,
        *(Finding("settings", True, warning, code="settings.unwise", warn=True) for warning in loaded.warnings),
    ]


def kernel_settings(config: Config) -> Iterator[Finding]:
    try:
        Admins(config)
    except WeakKey as error:
        yield Finding("admins", False, str(error), error.fix, "settings.admins")
    if 0 < len(config.data.secret.encode()) < MIN_SECRET_BYTES:
        detail, fix = (
            f"data.secret must have at least {MIN_SECRET_BYTES} bytes",
            "run `chatd init` to generate one, or omit it",
        )
        yield Finding("installation secret", False, detail, fix, "settings.secret")
    if one_port(config):
        detail, fix = f"gateway.port and http.port are both {config.http.port}", "set one of them to another port"
        yield Finding("ports", False, detail, fix, "settings.ports")


def check_settings(config: Config, subsystems: Sequence[Subsystem] = SUBSYSTEMS) -> Iterator[Finding]:
    yield from kernel_settings(config)
    for subsystem in subsystems:
        yield from subsystem.check_settings(config)


async def check_subsystems(config: Config, subsystems: Sequence[Subsystem] = SUBSYSTEMS) -> list[Finding]:
    return [finding for subsystem in subsystems for finding in await subsystem.check(config)]


def one_port(config: Config) -> bool:
    """Whether the gateway and the HTTP side would listen on the same port."""
    gateway, http = config.gateway, config.http
    return gateway.port == http.port != 0 and (
        gateway.host == http.host or not {gateway.host, http.host}.isdisjoint(ANY)
    )


def faults(config: Config, subsystems: Sequence[Subsystem] = SUBSYSTEMS) -> list[str]:
    """The reasons why a daemon cannot start with these settings, one line each."""
    found = [f"{finding.what}: {finding.detail}" for finding in check_settings(config, subsystems) if not finding.ok]
    try:
        if config.postgres.dsn:
            setting_rules.postgres_address(config.postgres.dsn)
    except ValueError as error:
        found.append(str(error))
    unreadable = redis_address(config)
    return found if unreadable is None else [*found, unreadable.detail]


async def ports(config: Config, *, may_run: bool = False) -> list[Finding]:
    """Whether the ports are free. `may_run`: ports that a running chatd uses are accepted.

    Ports that the daemon on the data folder of this configuration uses are always accepted.
    """
    may_run = may_run or is_locked(Path(config.data.dir))
    gateway, http, pages = config.gateway, config.http, config.get(AdminPagesSettings)
    found = [
        await in_thread(port_finding, "gateway", gateway.host, gateway.port, gateway.path, may_run),
        await in_thread(port_finding, "http", http.host, http.port, "/v1/socket/ping", may_run),
    ]
    if config.admins and pages.enabled:
        found.append(await in_thread(port_finding, "admin_pages", pages.host, pages.port, "/admin/live.json", may_run))
    return found


def data(config: Config) -> Iterator[Finding]:
    """The finding about the data folder, if an embedded server uses it."""
    if uses_embedded_postgres(config) or uses_embedded_redis(config):
        yield folder_finding("data folder", Path(config.data.dir), "data.dir", "data.folder")


def open_files(config: Config) -> Finding:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    enough = limit == resource.RLIM_INFINITY or limit >= min(config.limits.connections, 1024) + SPARE_DESCRIPTORS
    max_connections = max(0, limit - SPARE_DESCRIPTORS)
    return Finding("open files", enough, f"{limit}: up to {max_connections} connections", RAISE_FILES, "machine.files")


async def databases(config: Config, subsystems: Sequence[Subsystem]) -> list[Finding]:
    if (unreadable := redis_address(config)) is not None:
        return [unreadable]
    try:
        async with (
            join_servers(config, begin=True) as (dsn, url),
            trio_asyncio.open_loop(),
            open_postgres(dsn, config.postgres) as db,
            open_redis(config.redis, url) as client,
        ):
            return [*await postgres(db, config, subsystems), *await redis(client)]
    except (EmbeddedError, OSError) as error:
        return [no_servers(error)]


def redis_address(config: Config) -> Finding | None:
    """The problem of the address of Redis, or None."""
    try:
        client_of(config.redis, config.redis.url)
    except BadAddress as error:
        return Finding("Redis", False, str(error), "correct redis.url", "redis.server")
    return None


def no_servers(error: EmbeddedError | OSError) -> Finding:
    return Finding(
        "embedded servers", False, str(error), "fix this problem, or set postgres.dsn and redis.url", "embedded.start"
    )


async def postgres(db: Postgres, config: Config, subsystems: Sequence[Subsystem] = SUBSYSTEMS) -> list[Finding]:
    try:
        pooling = await server_checks.pooling_problem(db)
        version = await db.value("show server_version")
        problems = await server_checks.server_problems(db)
        collation = "" if problems else await server_checks.collation_problem(db)
        durability = await server_checks.durability_problems(db)
        pending = await migrations.pending(db, schemas_of(subsystems))
    except Refused as refused:
        detail = f"{refused.message}{cause_of(refused)}"
        return [Finding("Postgres", False, detail, postgres_fix(refused.__cause__), "postgres.server")]
    except migrations.SchemaError as error:
        fix = "upgrade chatd, or restore the file"
        return [Finding("schema", False, str(error), fix, "postgres.schema")]
    except OperatorError as error:
        return [Finding("Postgres", False, str(error), "correct postgres.dsn", "postgres.server")]
    kept = not durability or config.postgres.allow_unsafe_durability
    todo = f"{len(pending)} files to apply; `chatd serve` or `chatd migrate` applies them" if pending else "up to date"
    return [
        Finding(
            "Postgres",
            not problems,
            "; ".join(problems) or f"{version}",
            "set postgres.dsn to a database that meets this requirement",
            "postgres.server",
        ),
        Finding(
            "pooling", not pooling, pooling or "none: connections keep their sessions", NO_POOLER, "postgres.pooling"
        ),
        release("Postgres release", "postgres", releases.parse_version(version, 2), "postgres.release"),
        Finding(
            "durability",
            kept,
            "; ".join(durability) or "committed data survives a crash",
            "turn these settings on, or set postgres.allow_unsafe_durability",
            "postgres.durability",
        ),
        Finding("collation", not collation, collation or "unchanged", REINDEX, "postgres.collation"),
        Finding("schema", True, todo, code="postgres.schema"),
    ]


async def redis(client: Redis) -> list[Finding]:
    try:
        info = await client.call("INFO", "server")
    except Refused as refused:
        detail = f"{refused.message}{cause_of(refused)}"
        return [Finding("Redis", False, detail, redis_fix(refused.__cause__), "redis.server")]
    kind = "valkey" if "valkey_version" in info else "redis"
    version = str(info[f"{kind}_version"])
    return [
        Finding("Redis", True, f"{kind} {version}", code="redis.server"),
        release("Redis release", kind, releases.parse_version(version), "redis.release"),
    ]
