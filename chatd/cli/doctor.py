"""chatd doctor"""

import shutil
from contextlib import suppress
from pathlib import Path

import typer

from chatd.accounts.keys import token_keys
from chatd.app.checks import Finding
from chatd.cli import check, doctor_nodes, doctor_postgres, doctor_redis
from chatd.cli.cluster import Answers, query_nodes
from chatd.cli.common import FAILED, AsJson, ConfigFile, load_or_exit, run_async
from chatd.cli.databases import databases
from chatd.cli.doctor_nodes import Clock, OwnIdentity
from chatd.cli.printing import out
from chatd.core.clock import now_ms
from chatd.core.config import Config
from chatd.core.errors import Refused
from chatd.core.secrets import BadSecret, fingerprint
from chatd.core.settings import Loaded
from chatd.db.embedded.folder_lock import EmbeddedError
from chatd.db.postgres import Postgres
from chatd.db.redis import Redis
from chatd.operations.node_queries import AskHealth
from chatd.operations.node_query_types import Health
from chatd.uploads.open import BlobsError, open_blobs
from chatd.uploads.settings import UploadSettings

# A node that ran this many seconds ago and did not leave must answer; a node that hangs writes nothing any more.
RECENT_S = 20
# Minimum free space of the data folder: bytes, and share of the disk.
MIN_FREE_BYTES, MIN_FREE_SHARE = 1_073_741_824, 0.05


def doctor(config: ConfigFile = None, json: AsJson = False) -> None:
    """Check a running system: list every problem with a suggested fix. Exits 1 if there is one.

    [bold]Examples[/]

      chatd doctor

      chatd doctor --json | jq '.[] | select(.ok | not)'
    """
    findings = run_async(examine, load_or_exit(config, make=False))
    check.report(findings, json)
    wrong = sum(not finding.ok for finding in findings)
    if not json:
        out.print(f"\n{summary(findings)}", highlight=False)
    if wrong:
        raise typer.Exit(FAILED)


def summary(findings: list[Finding]) -> str:
    states = [finding.state for finding in findings]
    warned = f", warnings: {states.count('warn')}" if "warn" in states else ""
    wrong = states.count("fail")
    return (f"{wrong} of {len(findings)} checks failed" if wrong else f"all {len(findings)} checks passed") + warned


async def examine(loaded: Loaded) -> list[Finding]:
    """Run all checks. If a server is unavailable, only its own findings are missing."""
    config = loaded.config
    findings = [*check.source(loaded), *check.check_settings(config), *await check.check_subsystems(config)]
    findings += [*disk(Path(config.data.dir)), *check.data(config)]
    if (unreadable := check.redis_address(config)) is not None:
        return [*findings, unreadable]
    try:
        async with databases(config) as (db, redis):
            findings += await check.postgres(db, config)
            findings += await check.redis(redis)
            nodes = await examine_nodes(db, redis, config, findings)
            if not nodes:
                findings += [*await check.ports(config, may_run=True), check.open_files(config)]
            if all_ok(findings, "postgres.server") and all_ok(findings, "postgres.schema"):
                findings += await examine_postgres(db, config, nodes)
    except (EmbeddedError, OSError) as error:
        findings.append(check.no_servers(error))
    return findings


def all_ok(findings: list[Finding], code: str) -> bool:
    return all(finding.ok for finding in findings if finding.code == code)


async def examine_postgres(db: Postgres, config: Config, nodes: int) -> list[Finding]:
    try:
        return await doctor_postgres.examine(db, config, nodes)
    except Refused as refused:
        return [
            Finding(
                "Postgres",
                False,
                refused.message,
                "check the log and the load of Postgres, then run this again",
                "postgres.server",
            )
        ]


async def examine_nodes(db: Postgres, redis: Redis, config: Config, findings: list[Finding]) -> int:
    """Add the findings about Redis and the nodes; return the number of running nodes.

    Without Redis no node can be queried.
    """
    if not all_ok(findings, "redis.server"):
        return 0
    try:
        found = await query_nodes(redis, AskHealth, Health, RECENT_S)
        owner = await redis.call("GET", redis.key("lease", "match"))
        clocks = await clocks_of(db, redis, all_ok(findings, "postgres.server"))
        findings += await doctor_redis.examine(redis)
    except Refused as refused:
        findings.append(
            Finding(
                "Redis",
                False,
                refused.message,
                "check the log and the load of Redis, then run this again",
                "redis.server",
            )
        )
        return 0
    findings += doctor_nodes.judge(
        found, owner.decode() if owner else None, clocks, now_ms(), await own_identity(config)
    )
    return count(found)


async def own_identity(config: Config) -> OwnIdentity:
    """The identity that a node with this configuration would report.

    A secret or an upload folder that does not exist is left empty.
    """
    folder = Path(config.get(UploadSettings).dir or Path(config.data.dir) / "uploads")
    uploads = ""
    with suppress(BlobsError, Refused, OSError):
        if config.get(UploadSettings).s3_bucket or folder.exists():
            async with open_blobs(config) as blobs:
                uploads = await blobs.identity()
    secrets = ""
    if config.data.secret:
        with suppress(BadSecret):
            secrets = fingerprint(config.data.secret, token_keys(config))
    return OwnIdentity(secrets, uploads)


def count(found: Answers[Health]) -> int:
    return len(found.nodes.keys() | found.silent.keys())


async def clocks_of(db: Postgres, redis: Redis, postgres_is_ok: bool) -> dict[str, Clock]:
    """The clocks of Postgres and Redis. Raises Refused."""
    before = now_ms()
    seconds, micros = await redis.call("TIME")
    clocks = {"Redis": Clock(int(seconds) * 1000 + int(micros) // 1000, before, now_ms())}
    if postgres_is_ok:
        before = now_ms()
        clocks["Postgres"] = Clock(await doctor_postgres.clock(db), before, now_ms())
    return clocks


def disk(folder: Path) -> list[Finding]:
    """The finding about the disk of the data folder, if the folder is on this machine."""
    try:
        usage = shutil.disk_usage(folder)
    except OSError:
        return []
    return [judge_disk(str(folder), usage.free, usage.total)]


def judge_disk(folder: str, free: int, total: int) -> Finding:
    enough = free >= MIN_FREE_BYTES and free >= MIN_FREE_SHARE * total
    detail = f"{free / 1e9:.1f} of {total / 1e9:.1f} GB are free in {folder}"
    return Finding("disk", enough, detail, "free disk space, or move data.dir to a larger disk", "machine.disk")
