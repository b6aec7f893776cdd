"""`chatd bots`, without a running node."""

import json
import os
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from chatd.db.postgres import Postgres
from tests.conftest import Servers
from tests.faults.process import SECRET
from tests.forked import run_chatd


@pytest.fixture
def bots(servers: Servers, dsn: str, tmp_path: Path):  # type: ignore[no-untyped-def]
    """Run `chatd bots ...` in an empty folder."""
    environment = os.environ | {
        "CHATD_POSTGRES__DSN": dsn, "CHATD_REDIS__URL": servers.redis, "CHATD_REDIS__PREFIX": f"bots-{os.getpid()}",
        "CHATD_AUTH__SECRET": SECRET, "CHATD_DATA__SECRET": SECRET, "CHATD_POSTGRES__ALLOW_UNSAFE_DURABILITY": "true",
        "HOME": str(tmp_path),
    }  # fmt: skip

    def run(*arguments: str) -> "CompletedProcess[str]":
        return run_chatd(("bots", *arguments), tmp_path, environment)

    return run


def ok(done: "CompletedProcess[str]") -> str:
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


async def test_bots_are_managed_on_the_command_line(bots, store: Postgres) -> None:  # type: ignore[no-untyped-def]
    added = json.loads(ok(bots("add", "Weather", "--name", "The weather", "--expires", "90d", "--json")))
    assert added["token"].startswith("chatd_bt_")
    listed = ok(bots("list"))
    assert f"@weather  {added['bot']}  The weather" in listed
    assert "reads commands, 0 commands" in listed
    assert added["token"] not in listed
    ok(bots("update", "@weather", "--reads", "all", "--webhook", "https://example.org/bot"))
    row = json.loads(ok(bots("list", "--json")))[0]
    assert (row["reads"], row["url"]) == ("all", "https://example.org/bot")
    token = json.loads(ok(bots("rotate", "weather", "--overlap", "1h", "--json")))["token"]
    assert token != added["token"]
    ok(bots("revoke", added["bot"]))
    assert "revoked" in ok(bots("list"))
    assert bots("remove", "weather").returncode == 2
    ok(bots("remove", "weather", "--yes"))
    assert json.loads(ok(bots("list", "--json"))) == []
    acts = {row["act"] for row in await store.all("select act from audit_log")}
    assert {"bot.add", "bot.update", "bot.token", "bot.revoke", "bot.remove"} <= acts


@pytest.mark.parametrize(
    ("arguments", "status", "why"),
    [
        (("add", "admin"), 1, "reserved"),
        (("add", "a"), 1, "letters of one script"),
        (("add", "weather", "--reads", "some"), 2, "expected commands or all"),
        (("add", "weather", "--webhook", "nonsense"), 1, "url"),
        (("add", "weather", "--tenant", "nobody"), 1, "does not exist"),
        (("update", "weather"), 2, "nothing to change"),
        (("rotate", "nobody.here"), 1, "no bot @nobody.here"),
        (("rotate", "weather", "--overlap", "31d"), 2, "too long"),
    ],
)
async def test_what_is_refused(bots, arguments: tuple[str, ...], status: int, why: str) -> None:  # type: ignore[no-untyped-def]
    done = bots(*arguments)
    assert (done.returncode, why in done.stderr + done.stdout) == (status, True), done.stderr
