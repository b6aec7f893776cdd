"""`chatd webhooks`, with and without a running node."""

import json
import os
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import trio
from standardwebhooks import Webhook

from chatd.db.postgres import Postgres
from tests.conftest import Servers
from tests.faults.process import SECRET, process
from tests.forked import run_chatd
from tests.outside import Asked, answer, outside
from tests.support import NOBODY

URL = "https://example.org/hooks"


@pytest.fixture
def environment(servers: Servers, dsn: str, tmp_path: Path) -> dict[str, str]:
    return os.environ | {
        "CHATD_POSTGRES__DSN": dsn, "CHATD_REDIS__URL": servers.redis, "CHATD_REDIS__PREFIX": f"cli-{os.getpid()}",
        "CHATD_AUTH__SECRET": SECRET, "CHATD_DATA__SECRET": SECRET, "CHATD_GATEWAY__PORT": "0", "CHATD_HTTP__PORT": "0",
        "CHATD_POSTGRES__ALLOW_UNSAFE_DURABILITY": "true", "CHATD_WEBHOOKS__ALLOW_PRIVATE": "true", "HOME": str(tmp_path),
    }  # fmt: skip


@pytest.fixture
def webhooks(tmp_path: Path, environment: dict[str, str]):  # type: ignore[no-untyped-def]
    """Run `chatd webhooks ...` in an empty folder."""

    def run(*arguments: str) -> "CompletedProcess[str]":
        return run_chatd(("webhooks", *arguments), tmp_path, environment)

    return run


def ok(done: "CompletedProcess[str]") -> str:
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


async def test_endpoints_are_managed_on_the_command_line(webhooks, store: Postgres) -> None:  # type: ignore[no-untyped-def]
    await store.run("insert into tenants (id, created_at) values ('default', 0)")
    id_, secret = ok(webhooks("add", URL, "--type", "message.*", "--note", "the shop")).split()
    assert secret.startswith("whsec_")
    shown = ok(webhooks("list"))
    assert f"{id_}  {URL}" in shown
    assert "enabled; types: message.*" in shown
    assert "note: the shop" in shown
    assert secret not in shown
    other = json.loads(ok(webhooks("rotate", id_, "--json")))["secret"]
    assert other not in ("", secret)
    ok(webhooks("edit", id_, "--url", f"{URL}/2", "--type", "*"))
    ok(webhooks("disable", id_, "--reason", "moving"))
    assert "disabled since" in ok(webhooks("list"))
    refused = webhooks("test", id_)
    assert (refused.returncode, "enable it first" in refused.stderr) == (1, True)
    ok(webhooks("enable", id_))
    (item,) = json.loads(ok(webhooks("list", "--json")))
    assert (item["url"], item["types"], item["disabled_at"]) == (f"{URL}/2", ["*"], None)
    assert ok(webhooks("replay", id_, "--since", "3d")) == "0 events are sent again\n"
    assert ok(webhooks("deliveries", id_)) == "none\n"
    assert webhooks("remove", id_).returncode == 2
    ok(webhooks("remove", id_, "--yes"))
    assert ok(webhooks("list")) == "none\n"
    assert "message.created" in ok(webhooks("types"))
    acts = [row["act"] for row in await store.all("select act from audit_log order by id")]
    assert acts == [f"webhook.{act}" for act in ("add", "rotate", "edit", "disable", "enable", "remove")]


async def test_mistakes_are_explained(webhooks, store: Postgres) -> None:  # type: ignore[no-untyped-def]
    await store.run("insert into tenants (id, created_at) values ('default', 0)")
    for arguments, code, text in (
        (("add", "ftp://example.org"), 1, "must begin with https://"),
        (("add", URL, "--type", "message.sent"), 1, "message.sent selects no events"),
        (("enable", NOBODY), 1, "no such webhook endpoint"),
        (("enable", "x"), 2, "not a valid id"),
        (("edit", NOBODY), 2, "specify --url"),
        (("replay", NOBODY, "--since", "1h", "--until", "2h"), 2, "--since has to be longer ago"),
    ):
        done = webhooks(*arguments)
        assert (done.returncode, text in done.stderr.replace("\n", " ")) == (code, True), done.stderr


async def test_a_test_is_sent_by_a_node(webhooks, environment: dict[str, str], store: Postgres, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """With its result on the command line, and the reason of a failure."""
    answers = [answer(b"", "404 Not Found"), answer(b"")]

    async def reply(asked: Asked) -> bytes:
        Webhook(secret).verify(asked.body, asked.headers)
        return answers.pop()

    settings = {name: value for name, value in environment.items() if name.startswith("CHATD_")}
    async with outside(reply) as server, process(tmp_path / "node", **settings):
        added = await trio.to_thread.run_sync(webhooks, "add", server.url, "--type", "user.erased")
        id_, secret = ok(added).split()
        assert ok(await trio.to_thread.run_sync(webhooks, "test", id_)) == "delivered\n"
        failed = await trio.to_thread.run_sync(webhooks, "test", id_)
        assert (failed.returncode, "HTTP 404" in failed.stderr) == (1, True)
        shown = ok(await trio.to_thread.run_sync(webhooks, "deliveries", id_, "--state", "pending"))
        assert "webhook.test" in shown
        assert "HTTP 404" in shown
        assert "last failure: HTTP 404" in ok(await trio.to_thread.run_sync(webhooks, "list"))
