"""Admins for the tests, and their commands."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec.structs import replace

from chatd.accounts.settings import TenantSettings
from chatd.core.config import Admin, Config, PostgresSection
from chatd.db.postgres import Postgres, open_postgres
from tests.support import PATIENCE, Answer, Daemon, Person, running

ANN = "ann-0123456789abcdef0123456789abcdef"
# For the tenant `acme` only.
BEN = "ben-0123456789abcdef0123456789abcdef"
ADMINS = {"ann": Admin(token=ANN), "ben": Admin(token=BEN, tenants=["acme"])}
ACME = {"acme": TenantSettings(secret="acme-0123456789abcdef0123456789ab")}
NOBODY = "00000000-0000-7000-8000-000000000000"


def administered(config: Config) -> Config:
    return replace(
        config,
        admins=ADMINS,
    ).using_named(TenantSettings, ACME)


@pytest.fixture
async def daemon(config: Config) -> AsyncIterator[Daemon]:
    """A daemon with admins."""
    async with running(administered(config)) as started:
        yield started


@pytest.fixture
async def db(daemon: Daemon) -> AsyncIterator[Postgres]:
    """Its database."""
    async with open_postgres(daemon.config.postgres.dsn, PostgresSection(timeout=PATIENCE)) as opened:
        yield opened


async def order(daemon: Daemon, command: str, *, token: str | None = ANN, **fields: Any) -> Answer:
    """Run a command of an admin; `command` without `admin.`."""
    return await daemon.rest("POST", f"/admin/{command.replace('.', '/')}", fields, token)


async def done(daemon: Daemon, command: str, **fields: Any) -> Any:
    """The result of a command that must succeed."""
    answer = await order(daemon, command, **fields)
    assert answer.status == 200, answer.body
    return answer.body


async def refused(daemon: Daemon, command: str, **fields: Any) -> str:
    """The code of a command that must be refused."""
    answer = await order(daemon, command, **fields)
    assert answer.status != 200, answer.body
    return str(answer.body["code"])


async def acts(daemon: Daemon) -> list[tuple[str, str, str]]:
    """The audit log: actor, action, target."""
    items = (await done(daemon, "audit", limit=200))["items"]
    return [(act["actor"], act["act"], act["subject"]) for act in items]


async def status_of(daemon: Daemon, person: Person) -> int:
    """The status of a request with this token."""
    return (await daemon.rest("GET", "/v1/conversations", token=person.account.access_token)).status
