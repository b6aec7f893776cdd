"""Fixtures with real servers: one Postgres and one Redis per run, one database per test."""

import gc
import itertools
import os
import shutil
import tempfile
import traceback
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import trio
import trio_asyncio
from hypothesis import HealthCheck, settings
from msgspec.structs import replace

from chatd.accounts.settings import AccountLimits, AuthSettings
from chatd.admin_pages.settings import AdminPagesSettings
from chatd.core.config import ClusterTimes, Config, Data, Drain, Gateway, Http, Limits, PostgresSection, RedisSection
from chatd.db import migrations
from chatd.db.embedded import postgres as embedded_postgres
from chatd.db.embedded import redis as embedded_redis
from chatd.db.postgres import Postgres, open_postgres
from chatd.search.settings import SearchSettings
from chatd.subsystems import schemas_of
from tests.db.system_postgres import SystemPostgres, programs
from tests.forked import forked_daemon
from tests.support import PATIENCE, Daemon, running

# Durability is off for these servers; tests about crashes start their own.
QUICK = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "200"}
# It waits until each connection to the database is closed.
END_CONNECTIONS = """
    select pg_terminate_backend(pid, 30000) from pg_stat_activity
    where datname = $1 and backend_type = 'client backend' and pid <> pg_backend_pid()
"""
# A copy of the schema is 10 MB in 530 files: in memory it takes a seventh of the CPU time.
MEMORY, MEMORY_NEEDED_BYTES = Path("/dev/shm"), 2 * 2**30
# Each `create database` makes a checkpoint.
QUICK |= {"min_wal_size": "32MB", "max_wal_size": "256MB"}
NUMBERS = itertools.count(1)
# `drop database` checks every 100 ms for connections: those of the last test are still closing.
USED: deque[str] = deque()
KEPT = 1
# Tests that wait for timeouts, or that restart daemons.
SLOW = (
    "tests/abuse/test_ids.py",
    "tests/app/test_contributing.py",
    "tests/cluster/",
    "tests/faults/",
    "tests/http/test_s",
    "tests/matching/test_alias_property.py",
    "tests/matching/test_pool.py",
    "tests/privacy/test_export.py",
    "tests/property/test_histories.py",
)
# The database of the daemon that tests share.
SHARED = "shared"
# An error of a daemon is nested deeper than Python prints by default.
traceback.TracebackException.__init__.__kwdefaults__["max_group_depth"] = 40
# The time that an example takes on a busy machine is no property of what is tested.
settings.register_profile("untimed", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@dataclass(frozen=True)
class Servers:
    """The servers of this run."""

    postgres: str
    redis: str

    def dsn(self, database: str) -> str:
        return self.postgres.replace("/chatd?", f"/{database}?")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests that need the servers: `make quick` leaves them out. Modules that start their own mark themselves.

    Begin with those that wait longest, in each worker.
    """
    for item in items:
        if isinstance(item, pytest.Function) and "servers" in item.fixturenames:
            item.add_marker("servers")
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    slow = [item for item in items if item.nodeid.startswith(SLOW)]
    others = [item for item in items if not item.nodeid.startswith(SLOW)]
    # pytest-xdist gives each worker a share of adjacent tests at first.
    share = -(-len(others) // workers)
    items[:] = [
        item
        for number in range(workers)
        for item in (*slow[number::workers], *others[number * share : (number + 1) * share])
    ]


def pytest_collection_finish() -> None:
    """Exclude imported and collected objects from later garbage collections, which would traverse all of them."""
    gc.freeze()


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    with tempfile.TemporaryDirectory(prefix="chatd-tests-", dir=memory()) as folder:
        postgres = postgres_server(Path(folder))
        redis = embedded_redis.Server(Path(folder, "redis"), "+@all -@scripting")
        trio.run(start, postgres, redis)
        try:
            yield Servers(postgres.dsn, redis.url)
        finally:
            trio.run(stop, postgres, redis)


def postgres_server(folder: Path) -> embedded_postgres.Server | SystemPostgres:
    """The embedded one; with CHATD_TEST_POSTGRES, that of the distribution, with these options of initdb."""
    locale = os.environ.get("CHATD_TEST_POSTGRES")
    if locale is None:
        return embedded_postgres.Server(folder / "postgres", QUICK)
    folder.chmod(0o711)
    return SystemPostgres(folder / "postgres", programs(), QUICK, locale.split())


def memory() -> Path | None:
    """A file system in memory, if this machine has a large enough one."""
    return MEMORY if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > MEMORY_NEEDED_BYTES else None


async def start(postgres: embedded_postgres.Server | SystemPostgres, redis: embedded_redis.Server) -> None:
    """Start both, with the schema in the template database."""
    await redis.start()
    await postgres.start()
    async with trio_asyncio.open_loop(), open_postgres(postgres.dsn, PostgresSection(timeout=PATIENCE)) as db:
        await migrations.migrate(db, schemas_of())


async def stop(postgres: embedded_postgres.Server | SystemPostgres, redis: embedded_redis.Server) -> None:
    await postgres.stop("immediate")
    await redis.stop()


@pytest.fixture
async def loop() -> AsyncIterator[None]:
    async with trio_asyncio.open_loop():
        yield


@pytest.fixture
async def dsn(servers: Servers, loop: None) -> AsyncIterator[str]:
    """A migrated database for this test."""
    async with database(servers, "chatd") as name:
        yield name


@pytest.fixture
async def empty_dsn(servers: Servers, loop: None) -> AsyncIterator[str]:
    """An empty database."""
    async with database(servers, "template0") as name:
        yield name


@asynccontextmanager
async def database(servers: Servers, template: str) -> AsyncIterator[str]:
    name = f"test_{next(NUMBERS)}"
    async with open_postgres(servers.dsn("postgres"), PostgresSection(timeout=PATIENCE)) as admin:
        await admin.run(f"create database {name} template {template} strategy file_copy")
        yield servers.dsn(name)
        USED.append(name)
        while len(USED) > KEPT:
            await drop_database(admin, USED.popleft())


async def drop_database(admin: Postgres, name: str) -> None:
    """Drop a database that daemons and an autovacuum worker may use.

    Not `with (force)`: it fails on the worker, which belongs to the superuser. Without it Postgres ends the worker by
    itself.
    """
    await admin.run(f"alter database {name} allow_connections false")
    await admin.all(END_CONNECTIONS, name)
    await admin.run(f"drop database {name}")


@pytest.fixture
async def store(dsn: str) -> AsyncIterator[Postgres]:
    """The database as the daemon of this test uses it."""
    async with open_postgres(dsn, PostgresSection(timeout=PATIENCE)) as opened:
        yield opened


@pytest.fixture
async def db(store: Postgres) -> Postgres:
    """A database with tenants, for tests without a daemon."""
    await store.run("insert into tenants (id, created_at) values ('default', 0), ('other', 0) on conflict do nothing")
    return store


@pytest.fixture
def config(dsn: str, servers: Servers, tmp_path: Path) -> Config:
    """Free ports, and limits that tests do not reach by accident. Other values: `msgspec.structs.replace`."""
    return config_for(dsn, servers, tmp_path)


def config_for(dsn: str, servers: Servers, folder: Path) -> Config:
    """See `config`."""
    return Config(
        data=Data(dir=str(folder), secret="fedcba9876543210fedcba9876543210"),
        gateway=Gateway(port=0, origins=["https://good.test"], handshake_timeout=PATIENCE),
        http=Http(port=0, admin_hosts=["chatd.test"]),
        postgres=PostgresSection(dsn=dsn, allow_unsafe_durability=True, timeout=PATIENCE),
        redis=RedisSection(url=servers.redis, prefix=f"test{next(NUMBERS)}", timeout=PATIENCE),
        # A node that does not run for three heartbeats, as on a busy machine, sends `behind` in place of events.
        cluster=ClusterTimes(heartbeat=3.0),
        drain=Drain(notice=0.2, spread=1.0),
        limits=Limits(
            commands_per_second=1e6, commands_burst=10**6, user_commands_per_second=1e6, user_commands_burst=10**6
        ),
    ).using(
        AuthSettings(secret="0123456789abcdef0123456789abcdef"),
        SearchSettings(indexer="inline"),
        AdminPagesSettings(port=0),
    )


@pytest.fixture(scope="session")
def shared_daemon(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon for many tests, in a process of its own: for tests that create their users, and change nothing else.

    A module chooses it for all of its tests: `daemon = shared`.
    """
    trio.run(create_database, servers, SHARED)
    config = config_for(servers.dsn(SHARED), servers, tmp_path_factory.mktemp(SHARED))
    # All of them together would reach these limits.
    limits = replace(
        config.limits, connections_per_address=10_000, accepts_per_address=10_000, pending_per_address=10_000
    )
    config = replace(config, limits=limits).using(AccountLimits(signups_per_minute=1e6))
    with forked_daemon(config) as addresses:
        yield Daemon(config, addresses)


async def create_database(servers: Servers, name: str) -> None:
    """A migrated database that lasts as long as the servers."""
    async with (
        trio_asyncio.open_loop(),
        open_postgres(servers.dsn("postgres"), PostgresSection(timeout=PATIENCE)) as admin,
    ):
        await admin.run(f"create database {name} template chatd strategy file_copy")


@pytest.fixture
async def daemon(config: Config) -> AsyncIterator[Daemon]:
    """A whole daemon in this process, on its own ports."""
    async with running(config) as started:
        yield started
