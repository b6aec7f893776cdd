"""`chatd admins` and `chatd analytics`, without a running node."""

import csv
import io
import json
import os
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from chatd.admin_pages.totp import OneTimeCodes, code_at
from chatd.analytics import recorder
from chatd.analytics.days import day_of, text_of
from chatd.core.clock import now_ms
from chatd.core.config import Config, Data
from chatd.core.ids import uuid7
from chatd.db.postgres import Postgres
from tests.conftest import Servers
from tests.faults.process import SECRET
from tests.forked import run_chatd


@pytest.fixture
def chatd(servers: Servers, dsn: str, tmp_path: Path):  # type: ignore[no-untyped-def]
    """Run a command in an empty folder."""
    environment = os.environ | {
        "CHATD_POSTGRES__DSN": dsn, "CHATD_REDIS__URL": servers.redis, "CHATD_REDIS__PREFIX": f"cli-{os.getpid()}",
        "CHATD_AUTH__SECRET": SECRET, "CHATD_DATA__SECRET": SECRET, "CHATD_POSTGRES__ALLOW_UNSAFE_DURABILITY": "true",
        "CHATD_ADMINS__ANN__TOKEN": "a" * 40, "CHATD_ADMINS__BEN__TOKEN": "b" * 40, "CHATD_ADMINS__BEN__ROLE": "viewer",
        "HOME": str(tmp_path),
    }  # fmt: skip

    def run(*arguments: str) -> "CompletedProcess[str]":
        return run_chatd(arguments, tmp_path, environment)

    return run


def ok(done: "CompletedProcess[str]") -> str:
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


async def test_admins_are_listed_and_their_codes_reset(chatd, db: Postgres) -> None:  # type: ignore[no-untyped-def]
    codes = OneTimeCodes(Config(data=Data(secret=SECRET)), db)
    secret = await codes.begin("ann")
    assert chatd("admins", "reset-codes", "ben").returncode == 1
    assert await codes.accept("ann", code_at(secret, now_ms() // 1000), now_ms())
    found = json.loads(ok(chatd("admins", "list", "--json")))
    assert [(row["admin"], row["role"], row["codes"]) for row in found] == [
        ("ann", "operator", True), ("ben", "viewer", False)
    ]  # fmt: skip
    assert "moderator" not in ok(chatd("admins", "list"))
    ok(chatd("admins", "reset-codes", "ann"))
    assert not await codes.is_set_up("ann")
    row = await db.one("select act, subject from audit_log")
    assert row is not None
    assert (row["act"], row["subject"]) == ("admin.totp.reset", "ann")


async def test_figures_are_printed_as_tables_json_and_csv(chatd, db: Postgres) -> None:  # type: ignore[no-untyped-def]
    user, today = uuid7(1), day_of(now_ms())
    await db.run("insert into users (tenant, id, created_at) values ('default', $1, 0)", user)
    await db.run(recorder.SQL.note_active, "default", today, [user])
    await db.run(recorder.SQL.add_counts, "default", today, 4, 10, 0, 0, 0, 0)
    found = json.loads(ok(chatd("analytics", "--days", "3", "--json")))
    assert [day["day"] for day in found["days"]] == [text_of(today - 2), text_of(today - 1), text_of(today)]
    assert found["days"][-1] | {"messages": 4, "average_length": 2.5, "active_users": 1} == found["days"][-1]
    assert found["cohorts"][0]["users"] == 1
    rows = list(csv.DictReader(io.StringIO(ok(chatd("analytics", "--days", "2", "--csv")))))
    assert [row["messages"] for row in rows] == ["0", "4"]
    assert text_of(today) in ok(chatd("analytics"))
    assert json.loads(ok(chatd("analytics", "--tenant", "other", "--json")))["days"][-1]["messages"] == 0
