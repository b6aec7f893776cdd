"""The findings of `chatd check` and `chatd doctor`, each with a specific fix."""

import ast
import errno
import json
import os
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from urllib.parse import unquote

import asyncpg
import pytest
import trio
from msgspec.structs import replace

from chatd.accounts.settings import AuthSettings, TenantSettings
from chatd.app import checks
from chatd.app.checks import Finding
from chatd.cli import check, doctor, doctor_nodes, doctor_postgres, port_check
from chatd.cli.common import current_operator
from chatd.core.config import Config, PostgresSection
from chatd.core.settings import Loaded
from chatd.daemon import CannotServe
from chatd.db import postgres as postgres_module
from chatd.db import postgres_faults
from chatd.db.embedded import redis
from chatd.db.postgres import Postgres
from chatd.db.server_checks import pooling_problem
from chatd.search.index_watch import IndexStatus
from chatd.subsystems import setting_names
from tests.cluster.test_bans import moderator
from tests.cluster.test_redis_trouble import run_command
from tests.cluster.test_two_nodes import nodes, own_redis
from tests.forked import run_chatd
from tests.support import PATIENCE, Daemon, poll_until, running
from tests.uploads.test_blobs import BUCKET, answering, served

__all__ = ["moderator", "own_redis"]
ROOT = Path(__file__).parents[2]


async def findings_of(config: Config, of: str) -> dict[str, Finding]:
    """Findings by code."""
    look = {"check": check.collect, "doctor": doctor.examine}[of]
    return {
        finding.code: finding
        for finding in await look(Loaded(config, setting_names(), {}, None))
        if finding.code != "machine.disk"
    }


def wrong(found: dict[str, Finding]) -> set[str]:
    return {code for code, finding in found.items() if not finding.ok}


def port_of(address: str) -> int:
    return int(address.rpartition(":")[2].partition("/")[0])


def on_its_ports(daemon: Daemon) -> Config:
    """The configuration of this daemon with its ports."""
    config, addresses = daemon.config, daemon.addresses
    return replace(
        config,
        gateway=replace(config.gateway, port=port_of(addresses.socket)),
        http=replace(config.http, port=port_of(addresses.http)),
    )


# --- who is on the ports ------------------------------------------------------------------------------------------


async def test_running_node_on_a_port_is_recognized_without_redis(config: Config) -> None:
    async with running(config) as daemon:
        mine = on_its_ports(daemon)
        away = replace(mine, redis=replace(mine.redis, url="redis://127.0.0.1:1"))
        found = await findings_of(away, "doctor")
        assert wrong(found) == {"redis.server"}
        for name in ("gateway", "http"):
            assert "in use by a running chatd" in found[f"machine.port.{name}"].detail
        assert "nothing listens there" in found["redis.server"].fix
        ports = {f"machine.port.{name}" for name in ("gateway", "http")}
        assert ports <= wrong(await findings_of(replace(mine, data=replace(mine.data, dir="/nowhere")), "check"))


async def test_other_program_on_a_port_is_reported(config: Config) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        taken = replace(
            config, gateway=replace(config.gateway, port=port), http=replace(config.http, host="203.0.113.9")
        )
        gateway, http = await check.ports(taken, may_run=True)
    assert (gateway.ok, http.ok) == (False, False)
    assert "which is not chatd" in gateway.fix
    assert "set http.host" in http.fix
    assert "below 1024" in port_check.port_fix(OSError(errno.EACCES, "x"), "http", 80)


# --- Postgres -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "fix"),
    [
        ("/test_", "/none_", "createdb"),
        ("//postgres@", "//stranger@", "pg_hba.conf"),
        ("host=%2F", "host=%2Fnone%2F", "the socket does not exist"),
    ],
)
async def test_postgres_that_rejects_the_connection_has_a_fix(config: Config, old: str, new: str, fix: str) -> None:
    dsn = config.postgres.dsn.replace(old, new)
    if dsn == config.postgres.dsn:
        dsn = dsn.replace("//chatd@", "//stranger@")
    for of in ("check", "doctor"):
        found = await findings_of(replace(config, postgres=replace(config.postgres, dsn=dsn)), of)
        assert "postgres.server" in wrong(found)
        assert fix in found["postgres.server"].fix, found["postgres.server"]


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://u:p/w@h/x",
        "http://h",
        "postgresql://h:port/x",
        "postgresql://u:p@ss@127.0.0.1/x",
        "postgresql://u:p:w@h@i/x",
    ],
)
async def test_invalid_dsn_is_reported(config: Config, dsn: str) -> None:
    found = await findings_of(replace(config, postgres=replace(config.postgres, dsn=dsn)), "check")
    assert "is not valid" in found["postgres.server"].detail
    assert found["postgres.server"].fix
    assert not found["postgres.server"].ok
    assert [
        line
        for line in check.faults(replace(config, postgres=replace(config.postgres, dsn=dsn)))
        if "postgres.dsn" in line
    ]


# --- keys, ports and buckets --------------------------------------------------------------------------------------


async def test_gateway_and_http_need_different_ports(config: Config) -> None:
    for one, other in (("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::1", "::"), ("localhost", "localhost")):
        both = replace(
            config,
            gateway=replace(config.gateway, host=one, port=4711),
            http=replace(config.http, host=other, port=4711),
        )
        assert ["4711" in line for line in check.faults(both)] == [True]
        assert "another port" in (await findings_of(both, "check"))["settings.ports"].fix
    apart = replace(both, gateway=replace(both.gateway, host="127.0.0.2"), http=replace(both.http, host="127.0.0.1"))
    assert check.faults(apart) == check.faults(config) == []


async def test_unusable_keys_have_specific_fixes(config: Config, tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("{}")
    provider = replace(config.get(AuthSettings), algorithm="RS256", secret="")
    cases: list[tuple[Config, str, str]] = [
        (config.using(provider), "settings.keys", "set auth.jwks"),
        (
            config.using_named(TenantSettings, {"acme": TenantSettings(algorithm="EdDSA")}),
            "settings.keys",
            "set tenants.acme.jwks",
        ),
        (config.using_named(TenantSettings, {"A C": TenantSettings(secret="x" * 32)}), "settings.keys", "rename"),
        (replace(config, data=replace(config.data, secret="short")), "settings.secret", "chatd init"),
    ]
    for changed, code, fix in cases:
        assert len(check.faults(changed)) == 1
        for of in ("check", "doctor"):
            assert fix in (await findings_of(changed, of))[code].fix
    for jwks in (
        "/nowhere",
        str(tmp_path),
        str(tmp_path / "empty"),
        "https://127.0.0.1:1/keys",
        "https://nobody.invalid/keys",
    ):
        found = (await findings_of(config.using(replace(provider, jwks=jwks)), "check"))["settings.jwks"]
        assert (found.ok, "auth.jwks" in found.fix, jwks in found.detail) == (False, True, True), found


@pytest.mark.parametrize(
    ("status", "ok", "fix"),
    [
        (200, True, ""),
        (301, False, "s3_region"),
        (400, False, "s3_region"),
        (403, False, "s3_key"),
        (404, False, "create the bucket"),
        (500, False, "log of the service"),
        (None, False, "no S3 service answers"),
    ],
)
async def test_bucket_that_rejects_files_has_a_fix(config: Config, status: int | None, ok: bool, fix: str) -> None:
    async with served(answering(status or 500, b"<Error>why</Error>")) as door:  # type: ignore[arg-type]
        port = door.port if status else 1
        uploads = replace(BUCKET, s3_endpoint=f"http://127.0.0.1:{port}")
        found = (await findings_of(config.using(uploads), "check"))["uploads"]
    assert (found.ok, fix in found.fix) == (ok, True), found
    assert ok or (f"HTTP {status}" if status else "onnect") in found.detail


def test_known_causes_have_specific_fixes() -> None:
    causes = [
        asyncpg.InvalidPasswordError("x"), asyncpg.InvalidCatalogNameError("x"), asyncpg.DiskFullError("x"),
        asyncpg.TooManyConnectionsError("x"), asyncpg.ReadOnlySQLTransactionError("x"), asyncpg.CannotConnectNowError("x"),
        asyncpg.InvalidSQLStatementNameError("x"), socket.gaierror(), ConnectionRefusedError(), TimeoutError(), PermissionError(),
        None,
    ]  # fmt: skip
    fixes = [postgres_faults.fix_of(cause) for cause in causes]
    assert len(set(fixes)) == len(causes)
    assert "password" in fixes[0]


async def test_write_probe_reads_the_row_back(config: Config, moderator: Postgres) -> None:
    finding = await doctor_postgres.try_a_write(moderator)
    assert (finding.ok, finding.code) == (True, "postgres.write")
    await moderator.run("alter table write_probes rename to elsewhere")
    finding = await doctor_postgres.try_a_write(moderator)
    assert (finding.ok, "migrate" in finding.fix) == (False, True)
    await moderator.run("alter table elsewhere rename to write_probes")
    await moderator.run(
        "create function no() returns trigger language plpgsql as $$begin new.filler = 'no'; return new; end$$;"
        "create trigger no before insert or update on write_probes for each row execute function no()"
    )
    finding = await doctor_postgres.try_a_write(moderator)
    assert (finding.ok, finding.detail) == (False, "the row that was read back is different")


def test_replicas_are_reported() -> None:
    row = {"name": "two", "state": "streaming", "sync": "async", "behind": 5}
    judge = doctor_postgres.judge_replicas
    assert judge([]).detail == "none"
    assert (judge([row]).state, judge([row]).detail) == ("ok", "two: streaming, async, 5 bytes behind")  # type: ignore[list-item]
    assert judge([row | {"state": "catchup"}]).state == judge([row | {"behind": 10**9}]).state == "warn"  # type: ignore[list-item]
    assert judge([row | {"state": None, "sync": None, "behind": None}]).state == "ok"  # type: ignore[list-item]


def test_search_index_is_judged() -> None:
    judge = doctor_postgres.judge_search
    assert (judge(IndexStatus(), 1).state, judge(IndexStatus(), 1).detail) == ("ok", "up to date")
    assert (judge(IndexStatus(60.0), 1).state, judge(IndexStatus(60.0), 0).state) == ("fail", "ok")
    late = judge(IndexStatus(1.0, 100.0, 7), 1)
    assert (late.state, late.detail) == ("warn", "7 changes wait, the oldest for 101 s")
    assert judge(IndexStatus(problem="no"), 1).state == "warn"


async def test_dedicated_connection_keeps_its_session(moderator: Postgres, config: Config) -> None:
    assert await pooling_problem(moderator) == ""


@asynccontextmanager
async def pgbouncer(folder: Path, config: Config, mode: str, more: str, far: int) -> AsyncIterator[Config]:
    """PgBouncer in front of the database of this test, which is at the port `far`."""
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        missing = "pgbouncer is not installed: apt-get install pgbouncer"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    head, _, _ = config.postgres.dsn.partition("?host=")
    user, database = head.removeprefix("postgresql://").partition("@")[0], head.rpartition("/")[2]
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    file = folder / "pgbouncer.ini"
    file.write_text(
        f"[databases]\nchatd = host=127.0.0.1 port={far} dbname={database} user={user}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n"
        f"listen_port = {port}\nauth_type = any\npool_mode = {mode}\nunix_socket_dir =\n{more}\n"
    )
    as_other = ["-u", "nobody"] if os.geteuid() == 0 else []
    os.chmod(file, 0o644)
    with subprocess.Popen(
        [program, *as_other, str(file)], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    ) as process:
        try:
            with trio.fail_after(PATIENCE):
                while not port_check.is_chatd("127.0.0.1", port, "/") and not is_open(port):
                    await trio.sleep(0.05)
            yield replace(config, postgres=replace(config.postgres, dsn=f"postgresql://{user}@127.0.0.1:{port}/chatd"))
        finally:
            process.terminate()


@asynccontextmanager
async def forwarded(path: str) -> AsyncIterator[int]:
    """A port that forwards to a Unix socket: PgBouncer does not run as root, and other accounts cannot enter the folder
    of the socket.
    """

    async def pipe(source: trio.abc.ReceiveStream, sink: trio.abc.Stream) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            async for part in source:
                await sink.send_all(part)
        await sink.aclose()

    async def carry(near: trio.SocketStream) -> None:
        far = await trio.open_unix_socket(path)
        async with far, near, trio.open_nursery() as nursery:
            nursery.start_soon(pipe, near, far)
            nursery.start_soon(pipe, far, near)

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, carry, 0)
        yield int(listeners[0].socket.getsockname()[1])
        nursery.cancel_scope.cancel()


def is_open(port: int) -> bool:
    with socket.socket() as peer:
        return peer.connect_ex(("127.0.0.1", port)) == 0


PARAMETERS = "ignore_startup_parameters = " + ",".join(postgres_module.server_settings(PostgresSection(), ""))


@pytest.mark.parametrize(
    ("mode", "more", "code"),
    [
        ("transaction", PARAMETERS, "postgres.pooling"),
        ("statement", PARAMETERS, "postgres.pooling"),
        ("session", PARAMETERS, "postgres.pooling"),
        ("transaction", "", "postgres.server"),
    ],
)
async def test_pooler_without_sessions_is_found(
    tmp_path: Path, config: Config, mode: str, more: str, code: str
) -> None:
    for folder in (tmp_path, *tmp_path.parents[:3]):
        os.chmod(folder, 0o755)
    socket_path = f"{unquote(config.postgres.dsn.partition('?host=')[2])}/.s.PGSQL.5432"
    async with forwarded(socket_path) as far, pgbouncer(tmp_path, config, mode, more, far) as behind:
        found = await findings_of(behind, "check")
        if code == "postgres.pooling":
            with pytest.RaisesGroup(CannotServe, allow_unwrapped=True, flatten_subgroups=True):
                async with running(behind):
                    pass
    assert code in wrong(found), found
    assert "address of Postgres itself" in found[code].fix


# --- Redis --------------------------------------------------------------------------------------------------------


async def test_redis_that_rejects_the_connection_has_a_fix(config: Config, own_redis: redis.Server) -> None:
    mine = replace(config, redis=replace(config.redis, url=own_redis.url))
    cases = {"without": mine, "number": replace(mine, redis=replace(mine.redis, url=f"{own_redis.url}?db=99"))}
    assert "with this number" in (await findings_of(cases["number"], "check"))["redis.server"].fix
    run_command(own_redis, "CONFIG SET requirepass secret")
    found = (await findings_of(cases["without"], "check"))["redis.server"]
    assert (found.ok, "password" in found.fix) == (False, True), found
    for url, fix in (
        ("redis://127.0.0.1:1", "nothing listens"),
        ("redis://nobody.invalid", "no address"),
        ("unix:///none", "the socket does not exist"),
        ("http://h", "correct redis.url"),
    ):
        found = (await findings_of(replace(config, redis=replace(config.redis, url=url)), "check"))["redis.server"]
        assert (found.ok, fix in found.fix) == (False, True), found


# --- folders ------------------------------------------------------------------------------------------------------


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("this system does not let us mount")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_unwritable_folder_has_a_fix(tmp_path: Path) -> None:
    find = checks.folder_finding
    assert find("uploads", tmp_path / "not" / "yet", "uploads.dir", "uploads").ok
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    finding = find("uploads", tmp_path / "file", "uploads.dir", "uploads")
    assert (finding.ok, "must be a folder" in finding.fix) == (False, True)
    with mounted(tmp_path / "readonly", "ro") as folder:
        finding = find("uploads", folder, "uploads.dir", "uploads")
        assert (finding.ok, "read-write" in finding.fix) == (False, True)
    with mounted(tmp_path / "full", "size=4k") as folder:
        (folder / "filler").write_bytes(bytes(4096))
        finding = find("data folder", folder, "data.dir", "data.folder")
        assert (finding.ok, "free space" in finding.fix, "data.dir" in finding.fix) == (False, True, True)
    assert "chown" in checks.folder_fix(OSError(errno.EACCES, "x"), tmp_path, "data.dir")


def test_uid_without_an_account_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that runs under an arbitrary uid."""
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 54_321)
    assert "chown 54321" in checks.folder_fix(OSError(errno.EACCES, "x"), tmp_path, "data.dir")
    assert current_operator("default").name == "uid 54321"


@pytest.mark.parametrize("command", ["check", "doctor"])
@pytest.mark.parametrize("place", ["file", "file/below", "/proc/chatd-data"])
def test_uncreatable_data_folder_is_one_finding_of_many(tmp_path: Path, command: str, place: str) -> None:
    (tmp_path / "file").write_text("")
    environment = {**os.environ, "CHATD_DATA__DIR": place, "CHATD_GATEWAY__PORT": "0", "CHATD_HTTP__PORT": "0"}
    done = run_chatd((command, "--json"), tmp_path, environment)
    lines = {line["code"]: line for line in json.loads(done.stdout)}
    assert (done.returncode, done.stderr) == (1, "")
    assert (lines["data.folder"]["state"], "data.dir" in lines["data.folder"]["fix"]) == ("fail", True)
    assert lines["embedded.start"]["state"] == "fail"
    assert lines["settings.keys"]["ok"]
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


# --- nodes --------------------------------------------------------------------------------------------------------


async def test_nodes_with_different_secrets_or_upload_stores_are_found(config: Config, tmp_path: Path) -> None:
    other = replace(config, data=replace(config.data, dir=str(tmp_path / "b"))).using(
        replace(config.get(AuthSettings), secret="another-secret-of-more-than-32-bytes")
    )
    async with nodes(config, 1), nodes(other, 1):
        found = await poll_until(
            lambda: findings_of(config, "doctor"),
            lambda found: {"nodes.secrets", "nodes.uploads"} <= wrong(found),
            3 * PATIENCE,
        )
        for code in ("nodes.secrets", "nodes.uploads"):
            assert "this configuration" in found[code].detail
            assert config.get(AuthSettings).secret not in found[code].detail


def test_unknown_values_are_not_compared() -> None:
    judge = doctor_nodes.judge_equal
    assert judge("x", {"a": "1", "b": "", "c": "1"}, "fix", "code").ok
    assert judge("x", {"a": ""}, "fix", "code").ok
    assert not judge("x", {"a": "1", "b": "2"}, "fix", "code").ok


# --- the report ---------------------------------------------------------------------------------------------------


def test_finding_has_one_of_three_states(capsys: pytest.CaptureFixture[str]) -> None:
    findings = [
        Finding("a", True, "d"),
        Finding("b", True, "d", "look", "b", warn=True),
        Finding("c", False, "d", "mend", "c"),
    ]
    assert [finding.state for finding in findings] == ["ok", "warn", "fail"]
    assert doctor.summary(findings) == "1 of 3 checks failed, warnings: 1"
    assert doctor.summary(findings[:2]) == "all 2 checks passed, warnings: 1"
    check.report(findings, json=False)
    shown = capsys.readouterr().out
    assert all(text in shown for text in ("ok   a", "warn b", "-> look", "FAIL c", "-> mend"))


def test_findings_that_can_fail_have_a_fix() -> None:
    without = []
    for path in sorted((ROOT / "chatd").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and ast.unparse(node.func) == "Finding"
                and ast.unparse(node.args[1]) != "True"
            ):
                fix = node.args[3] if len(node.args) > 3 else None
                if fix is None or ast.unparse(fix) in ("''", "None"):
                    without.append(f"{path.name}:{node.lineno}")
    assert without == []


def test_release_with_known_vulnerabilities_is_marked(capsys: pytest.CaptureFixture[str]) -> None:
    old, new = (
        check.release("Redis release", "redis", (6, 2, 1), "x"),
        check.release("Redis release", "redis", (8, 2, 9), "x"),
    )
    assert (old.state, old.ok, new.state) == ("warn", True, "ok")
    check.report([old, new], json=False)
    lines = capsys.readouterr().out.splitlines()
    assert [line[:4] for line in lines] == ["warn", "    ", "ok  "]
    assert "-> update redis" in lines[1]
