"""The command line, as operators and scripts use it."""

import json
import os
import re
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from typer.testing import CliRunner

from chatd.accounts.external_ids import user_id_of
from chatd.cli.main import COMMANDS, app
from chatd.core.ids import uuid7
from chatd.db.postgres import Postgres
from tests.conftest import Servers
from tests.forked import run_chatd
from tests.support import NOBODY

SECRET = "0123456789abcdef0123456789abcdef"
ADD = "insert into users (tenant, id, name, created_at) values ('default', gen_random_uuid(), $1, 0) returning id"


@pytest.fixture
def environment(tmp_path: Path, servers: Servers, dsn: str) -> dict[str, str]:
    """The environment of a command, with this test's database."""
    return os.environ | {
        "CHATD_POSTGRES__DSN": dsn, "CHATD_REDIS__URL": servers.redis, "CHATD_AUTH__SECRET": SECRET, "CHATD_DATA__SECRET": SECRET,
        "CHATD_GATEWAY__PORT": "0", "CHATD_HTTP__PORT": "0", "CHATD_POSTGRES__ALLOW_UNSAFE_DURABILITY": "true",
        "HOME": str(tmp_path),
    }  # fmt: skip


@pytest.fixture
def chatd(tmp_path: Path, environment: dict[str, str]):  # type: ignore[no-untyped-def]
    """Run a command in an empty folder."""

    def run(*arguments: str, **more: str) -> "CompletedProcess[str]":
        return run_chatd(arguments, tmp_path, environment | more)

    return run


async def test_init_does_not_overwrite_a_file(chatd, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    assert chatd("init").returncode == 0
    path = tmp_path / "chatd.toml"
    assert path.stat().st_mode & 0o777 == 0o600
    text = path.read_text()
    again = chatd("init")
    assert (again.returncode, "already exists" in again.stderr) == (1, True)
    assert path.read_text() == text


async def test_check_reports_failures_with_fixes(chatd) -> None:  # type: ignore[no-untyped-def]
    good = chatd("check", "--json")
    assert good.returncode == 0, good.stdout + good.stderr
    found = json.loads(good.stdout)
    assert {"Postgres", "Redis", "schema", "durability", "keys", "open files"} <= {line["what"] for line in found}
    assert {line["fix"] for line in found} == {""}
    weak = chatd("check", CHATD_AUTH__SECRET="short")
    assert (weak.returncode, "at least 32 bytes" in weak.stdout, "->" in weak.stdout) == (1, True, True)
    away = chatd("check", CHATD_POSTGRES__DSN="postgresql://u@127.0.0.1:1/x", CHATD_REDIS__URL="redis://127.0.0.1:1")
    assert (away.returncode, away.stdout.count("FAIL")) == (1, 2)
    bucket = chatd("check", CHATD_UPLOADS__S3_BUCKET="b", CHATD_UPLOADS__S3_SECRET=SECRET)
    assert (bucket.returncode, "a bucket also needs uploads.s3_endpoint, uploads.s3_key" in bucket.stdout) == (1, True)
    assert SECRET not in bucket.stdout
    wrong = chatd("check", CHATD_GATEWAY__PROT="1")
    assert (wrong.returncode, "did you mean gateway.port?" in wrong.stderr) == (2, True)
    shown = chatd("check", "--show")
    assert SECRET not in shown.stdout
    assert "auth.secret = [secret]" in shown.stdout


async def test_bans(chatd) -> None:  # type: ignore[no-untyped-def]
    user = chatd("users", "add", "Ann").stdout.strip()
    ban = chatd("bans", "add", user, "--reason", "spam", "--for", "7d").stdout.strip()
    chatd("bans", "add", "--address", "203.0.113.0/24")
    shown = json.loads(chatd("bans", "list", "--json").stdout)
    assert [(row["kind"], row["user"], row["reason"]) for row in shown] == [
        ("address", None, "no reason given"),
        ("user", user, "spam"),
    ]
    assert shown[1]["expires_at"] - shown[1]["created_at"] > 6 * 86_400_000
    evil = chatd("bans", "add", user, "--reason", "[b]x[/c]").stdout.strip()
    assert "[b]x[/c]" in chatd("bans", "list", COLUMNS="300").stdout
    assert [chatd("bans", "lift", id_).returncode for id_ in (evil, ban)] == [0, 0]
    assert chatd("bans", "lift", ban).returncode == 1
    assert len(json.loads(chatd("bans", "list", "--json").stdout)) == 1
    assert [act["act"] for act in json.loads(chatd("bans", "audit").stdout)] == ["ban.lift"] * 2 + ["ban.add"] * 3 + [
        "user.add"
    ]
    for arguments in ((), ("x",), (user, "--address", "1.2.3.4"), (user, "--for", "soon")):
        assert chatd("bans", "add", *arguments).returncode == 2
    for arguments in (("--address", "10.0.0.0/7"), (NOBODY,), ("--address", "203.0.113.1", "--tenant", "none")):
        done = chatd("bans", "add", *arguments)
        assert (done.returncode, "Traceback" in done.stderr) == (1, False)


async def test_strikes_and_shadows(chatd, db: Postgres) -> None:  # type: ignore[no-untyped-def]
    user = chatd("users", "add", "Ann").stdout.strip()
    assert chatd("users", "strike", user, "--reason", "spam").stdout == "strike 1\n"
    await db.run("insert into strikes select tenant, $1::uuid, user_id, reason, actor, created_at from strikes", NOBODY)
    assert "strike 3, banned until" in chatd("users", "strike", user, "--reason", "spam").stdout
    shown = json.loads(chatd("users", "strikes", user, "--json").stdout)
    assert [strike["reason"] for strike in shown] == ["spam"] * 3
    assert chatd("users", "shadow", user).returncode == 0
    assert await db.value("select shadow_banned from users where id = $1", user) is True
    assert chatd("users", "unshadow", user).returncode == 0
    assert await db.value("select shadow_banned from users where id = $1", user) is False
    acts = await db.all("select act from audit_log order by act")
    assert [row["act"] for row in acts] == [
        "ban.add",
        "strike.add",
        "strike.add",
        "user.add",
        "user.shadow",
        "user.unshadow",
    ]
    done = chatd("users", "strike", NOBODY, "--reason", "x")
    assert (done.returncode, "no such user" in done.stderr, "Traceback" in done.stderr) == (1, True, False)
    assert chatd("users", "shadow", "nobody").returncode == 2


async def test_reports(chatd, db: Postgres) -> None:  # type: ignore[no-untyped-def]
    ann, ben = [str(await db.value(ADD, name)) for name in ("Ann", "Ben")]
    messages = [
        {"seq": 1, "message": NOBODY, "sender": ben, "text": "[bad]", "attachments": [], "at": 1_770_000_000_000}
    ]
    made = [uuid7(1_770_000_000_000 + number) for number in range(2)]
    for id_ in made:
        await db.run(
            "insert into reports (tenant, id, reporter, target, reported_as, conversation, reason, text, transcript, created_at) "
            "values ('default', $1, $2, $3, $3, $1, 'abuse', '[b]look[/b]', $4, 1770000000000)",
            *(id_, ann, ben, messages),
        )
    assert "[b]look[/b]" in chatd("reports", "list", COLUMNS="300").stdout
    assert json.loads(chatd("reports", "show", made[0], "--json").stdout)["transcript"] == messages
    assert "[bad]" in chatd("reports", "show", made[0], COLUMNS="300").stdout
    assert chatd("reports", "resolve", made[0], "dismissed", "--note", "nothing to it").returncode == 0
    again = chatd("reports", "resolve", made[0], "dismissed")
    assert (again.returncode, "already resolved" in again.stderr, "Traceback" in again.stderr) == (1, True, False)
    assert chatd("reports", "resolve", made[1], "upheld", "--ban", "--for", "7d", "--devices").returncode == 0
    ban = await db.one("select user_id::text, reason from bans")
    assert ban is not None
    assert tuple(ban) == (ben, "abuse")
    shown = json.loads(chatd("reports", "list", "--all", "--user", ben, "--json").stdout)
    assert [(row["id"], row["outcome"]) for row in shown] == [(made[1], "upheld"), (made[0], "dismissed")]
    for arguments in (("show", "x"), ("resolve", made[0], "maybe"), ("resolve", made[0], "upheld", "--for", "7d")):
        assert chatd("reports", *arguments).returncode == 2


async def test_user_texts_are_escaped_and_ids_are_not_folded(chatd, db: Postgres) -> None:  # type: ignore[no-untyped-def]
    evil = "\\[/] [/x] :smile: \x1b]0;owned\x07"
    ann, ben = [str(await db.value(ADD, evil)) for _ in range(2)]
    messages = [{"seq": 1, "message": NOBODY, "sender": ben, "text": evil, "attachments": [], "at": 1_770_000_000_000}]
    await db.run(
        "insert into reports (tenant, id, reporter, target, reported_as, conversation, reason, text, transcript, created_at) "
        "values ('default', $1, $2, $3, $3, $1, 'abuse', $4, $5, 1770000000000)",
        *(NOBODY, ann, ben, evil, messages),
    )
    ban = chatd("bans", "add", ann, "--reason", evil).stdout.strip()
    chatd("users", "strike", ann, "--reason", evil)
    safe = "".join(sign if sign.isprintable() else "?" for sign in evil)
    for arguments, ids in (
        (("users", "show", ann), (ann,)),
        (("users", "strikes", ann), ()),
        (("bans", "list"), (ban, ann)),
        (("reports", "list"), (NOBODY, ann, ben)),
        (("reports", "show", NOBODY), (NOBODY, ann, ben)),
    ):
        done = chatd(*arguments, COLUMNS="80")
        assert (done.returncode, safe in done.stdout, "\x1b" in done.stdout) == (0, True, False), done.stderr
        assert all(id_ in done.stdout for id_ in ids), done.stdout
    lost = chatd("match", "replay", evil)
    assert (lost.returncode, safe in lost.stderr, "Traceback" in lost.stderr) == (1, True, False)


async def test_maintenance_and_drain_without_a_node_are_handled(chatd) -> None:  # type: ignore[no-untyped-def]
    assert chatd("maintenance", "on", "--message", "back soon", "--for", "10m").returncode == 0
    assert chatd("maintenance", "off").returncode == 0
    alone = chatd("drain", "--over", "1s")
    assert (alone.returncode, "no node is running" in alone.stderr) == (1, True)
    assert json.loads(chatd("bans", "audit").stdout) == []
    for time in ("soon", "²s", "", "9" * 30 + "d", "36501d"):
        done = chatd("drain", "--over", time)
        assert (done.returncode, "Traceback" in done.stderr) == (2, False)


async def test_failure_names_its_cause(chatd, dsn: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    for variable, value, why in (
        ("CHATD_POSTGRES__DSN", "postgresql://u@127.0.0.1:1/x", "Connect call failed"),
        ("CHATD_POSTGRES__DSN", re.sub(r"/\w+\?", "/nobody_made_it?", dsn, count=1), "does not exist"),
        (
            "CHATD_POSTGRES__DSN",
            f"{dsn}&search_path=nowhere",
            "run `chatd migrate` or `chatd serve` to create the tables",
        ),
        ("CHATD_POSTGRES__DSN", "postgresql://u:se/cret@host/x", "postgres.dsn is not valid"),
        ("CHATD_REDIS__URL", "redis://127.0.0.1:1", "connecting to 127.0.0.1:1"),
        ("CHATD_REDIS__URL", "redis://:se/cret@host", "redis.url is not valid"),
    ):
        command = ("users", "show", NOBODY) if "POSTGRES" in variable else ("nodes",)
        done = chatd(*command, **{variable: value})
        assert (done.returncode, why in done.stderr, "Traceback" in done.stderr) == (1, True, False), done.stderr
        assert "'se'" not in done.stderr
    for command in ("check", "doctor"):
        done = chatd(command, CHATD_REDIS__URL="http://x")
        assert (done.returncode, "FAIL Redis: redis.url is not" in done.stdout, done.stderr) == (1, True, "")
    lost = chatd("users", "show", NOBODY, CHATD_POSTGRES__DSN="", CHATD_REDIS__URL="")
    assert (lost.returncode, "there is no data folder at" in lost.stderr) == (1, True)
    assert not (tmp_path / "chatd-data" / "postgres").exists()


async def test_command_succeeds_without_redis(chatd) -> None:  # type: ignore[no-untyped-def]
    user = chatd("users", "add", "Ann").stdout.strip()
    done = chatd("bans", "add", user, CHATD_REDIS__URL="redis://127.0.0.1:1")
    assert (done.returncode, "the change is stored, but the nodes could not be notified" in done.stderr) == (0, True)
    assert [row["id"] for row in json.loads(chatd("bans", "list", "--json").stdout)] == [done.stdout.strip()]


@pytest.mark.parametrize(
    "arguments",
    ["nodes", "nodes --json", "top --once", "top --once --json", "sessions list", "sessions list --json",
     f"sessions kick --user {NOBODY}", "drain", f"drain --node {NOBODY}"],
)  # fmt: skip
async def test_command_without_a_node_fails_with_a_message(chatd, arguments: str) -> None:  # type: ignore[no-untyped-def]
    done = chatd(*arguments.split(), CHATD_REDIS__PREFIX="nobody")
    assert (done.returncode, "no node is running on this Redis and prefix" in done.stderr) == (1, True), done.stderr
    assert "Traceback" not in done.stderr
    if "--json" in arguments:
        json.loads(done.stdout)


@pytest.mark.parametrize("command", ["nodes", "bans list", "drain", "users add Ann", "doctor", "secret adopt"])
def test_command_in_a_wrong_directory_creates_nothing(command: str, tmp_path: Path) -> None:
    done = run_chatd(tuple(command.split()), tmp_path, {"PATH": os.environ["PATH"], "HOME": str(tmp_path)})
    assert (done.returncode, list(tmp_path.iterdir())) == (1, [])


async def test_match_export_and_replay(chatd, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    assert chatd("match", "export", CHATD_REDIS__PREFIX="nobody").stdout == ""
    ticket = {"id": "1", "tenant": "t", "user": "a", "queue": "q", "since": 0}
    lines = [
        {"at": at, "fence": 1, "step": {"type": "queued", "ticket": ticket | {"id": user, "user": user, "since": at}}}
        for at, user in ((0, "a"), (500, "b"))
    ]
    events = tmp_path / "events.jsonl"
    events.write_text("\n".join(map(json.dumps, lines)))
    done = chatd("match", "replay", str(events), "--relax", "1", "--json")
    assert json.loads(done.stdout)["changed rules"]["met"] == 2, done.stderr
    assert "matched" in chatd("match", "replay", str(events)).stdout
    events.write_text("not an event log")
    wrong = chatd("match", "replay", str(events))
    assert (wrong.returncode, "is not a file written by" in wrong.stderr, "Traceback" in wrong.stderr) == (
        1,
        True,
        False,
    )


async def test_users(chatd) -> None:  # type: ignore[no-untyped-def]
    user = chatd("users", "add", "Ann").stdout.strip()
    shown = json.loads(chatd("users", "show", user, "--json").stdout)
    assert (shown["user"], shown["name"], shown["conversations"]) == (user, "Ann", 0)
    assert chatd("users", "token", user).stdout.count(".") == 2
    nobody = chatd("users", "show", "nobody")
    assert (nobody.returncode, "does not exist" in nobody.stderr, "Traceback" in nobody.stderr) == (1, True, False)
    evil = chatd("users", "show", r"\[/red]")
    assert (evil.returncode, r"user \[/red]" in evil.stderr, "Traceback" in evil.stderr) == (1, True, False)
    named = chatd("users", "add", r"[red]\[/x]").stdout.strip()
    assert r"[red]\[/x]" in chatd("users", "show", named).stdout
    assert chatd("users", "add", "X", "--tenant", "none").returncode == 1
    assert chatd("users", "token", user, "--ttl", "0").returncode == 2


async def test_users_of_a_backend(chatd) -> None:  # type: ignore[no-untyped-def]
    user = chatd("users", "add", "Ann", "--external-id", "auth0|5f7c").stdout.strip()
    assert user == user_id_of("default", "auth0|5f7c")
    shown = json.loads(chatd("users", "show", "auth0|5f7c", "--json").stdout)
    assert (shown["user"], shown["external_id"], shown["name"]) == (user, "auth0|5f7c", "Ann")
    again = chatd("users", "add", "Ann", "--external-id", "auth0|5f7c")
    assert (again.returncode, f"user {user} exists already" in again.stderr) == (1, True)
    for wrong in ("", "x" * 256):
        done = chatd("users", "add", "Ann", "--external-id", wrong)
        assert (done.returncode, "The external id " in done.stderr) == (2, True)


async def test_schema_migrate_and_help_succeed(chatd) -> None:  # type: ignore[no-untyped-def]
    assert chatd("schema").stdout.startswith("# The chatd protocol")
    assert "AnyCommand" in json.loads(chatd("schema", "--json").stdout)["$defs"]
    assert json.loads(chatd("migrate", "--json").stdout) == {"applied": []}
    assert "chatd migrate" in chatd("migrate", "--help").stdout
    nowhere = chatd("schema", "--write", "nowhere")
    assert (nowhere.returncode, "Traceback" in nowhere.stderr) == (1, False)
    assert chatd("nonsense").returncode == 2


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_have_help_with_an_example(command: str) -> None:
    shown = CliRunner().invoke(app, [command, "--help"])
    assert (shown.exit_code, "chatd " in shown.stdout) == (0, True)


def test_misspelled_command_gets_a_suggestion() -> None:
    shown = CliRunner().invoke(app, ["user"])
    assert (shown.exit_code, "users" in shown.output) == (2, True)


async def test_serve_refuses_an_unsafe_postgres(chatd) -> None:  # type: ignore[no-untyped-def]
    unsafe = chatd("serve", CHATD_POSTGRES__ALLOW_UNSAFE_DURABILITY="false")
    assert (unsafe.returncode, "fsync is off" in unsafe.stderr, "Traceback" in unsafe.stderr) == (1, True, False)
    taken = chatd("serve", CHATD_AUTH__SECRET="short")
    assert (taken.returncode, "at least 32 bytes" in taken.stderr) == (1, True)
    away = chatd("serve", CHATD_POSTGRES__DSN="postgresql://u@127.0.0.1:1/x")
    assert (away.returncode, "Traceback" in away.stderr) == (1, False)


async def test_a_user_is_exported_and_erased(chatd) -> None:  # type: ignore[no-untyped-def]
    user = chatd("users", "add", "Ann").stdout.strip()
    lines = [json.loads(line) for line in chatd("users", "export", user).stdout.splitlines()]
    assert [(line["type"], line.get("name")) for line in lines] == [("profile", "Ann"), ("end", None)]
    asked = chatd("users", "erase", user)
    assert (asked.returncode, "--yes" in asked.stderr) == (2, True)
    assert json.loads(chatd("users", "erasures", "--json").stdout) == []
    assert "has started" in chatd("users", "erase", user, "--yes").stdout
    assert "already been erased" in chatd("users", "erase", user, "--yes").stdout
    (row,) = json.loads(chatd("users", "erasures").stdout)
    assert (row["user"], row["messages"], row["done_at"]) == (user, 0, None)
    shown = json.loads(chatd("users", "show", user, "--json").stdout)
    assert (shown["name"], shown["erased_at"] > 0) == (None, True)
    assert [act["act"] for act in json.loads(chatd("bans", "audit").stdout)] == [
        "user.erase",
        "user.export",
        "user.add",
    ]
    for nobody in ("nobody", "01890a5d-ac96-774b-bcce-b302099a8057"):
        for arguments in (("erase", nobody, "--yes"), ("export", nobody)):
            done = chatd("users", *arguments)
            assert (done.returncode, "Traceback" in done.stderr) == (1, False)


@pytest.mark.parametrize(
    ("variable", "value", "named"),
    [
        ("CHATD_GATEWAY__TRUSTED_PROXIES", "10.0.0.1/33", "gateway.trusted_proxies"),
        ("CHATD_LOG__LEVEL", "verbose", "log.level"),
        ("CHATD_AUTH__SECRET", "short", "auth.secret"),
        ("CHATD_UPLOADS__S3_BUCKET", "b", "uploads.s3_endpoint"),
        ("CHATD_POSTGRES__DSN", "postgresql://u:se/cret@host/x", "postgres.dsn"),
        ("CHATD_REDIS__URL", "http://x", "redis.url"),
        ("CHATD_HOOK__URL", "http://10.0.0.1/x", "hook"),
    ],
)
async def test_serve_refuses_invalid_settings_before_it_starts_servers(
    chatd, tmp_path: Path, variable: str, value: str, named: str
) -> None:  # type: ignore[no-untyped-def]
    done = chatd("serve", **{variable: value})
    assert done.returncode in (1, 2)
    assert named in done.stderr
    assert ("Traceback" in done.stderr, done.stdout, (tmp_path / "chatd-data").exists()) == (False, "", False), (
        done.stderr
    )
    assert len(done.stderr.strip().splitlines()) <= 2


async def test_service_tokens(chatd, store: Postgres) -> None:  # type: ignore[no-untyped-def]
    added = chatd("tokens", "add", "shop", "--scope", "read", "--scope", "users:write", "--expires", "90d")
    assert re.fullmatch("chatd_st_[0-9A-Za-z]{46}\n", added.stdout), added.stderr
    (listed,) = json.loads(chatd("tokens", "list", "--json").stdout)
    assert (listed["name"], listed["scopes"]) == ("shop", ["read", "users:write"])
    assert 0 <= listed["created_at"] + 90 * 86_400_000 - listed["expires_at"] < 60_000
    assert "last used never" in chatd("tokens", "list").stdout
    rotated = json.loads(chatd("tokens", "rotate", "shop", "--overlap", "1h", "--json").stdout)
    assert rotated["token"] == listed["id"]
    assert rotated["secret"] != added.stdout.strip()
    assert chatd("tokens", "revoke", "shop").returncode == 0
    assert chatd("tokens", "revoke", listed["id"]).returncode == 1
    for wrong, status in (
        (("add", "Shop", "--scope", "read"), 2),
        (("add", "shop", "--scope", "all"), 2),
        (("add", "shop", "--scope", "read", "--expires", "soon"), 2),
        (("add", "shop", "--scope", "read", "--tenant", "nobody"), 1),
        (("rotate", "shop"), 1),
        (("rotate", listed["id"], "--overlap", "31d"), 2),
        (("revoke", NOBODY), 1),
    ):
        done = chatd("tokens", *wrong)
        assert (done.returncode, "Traceback" in done.stderr) == (status, False), wrong
    acts = [row["act"] for row in await store.all("select act from audit_log order by id")]
    assert acts == ["token.add", "token.rotate", "token.revoke"]
    stored = await store.one("select hash, previous_hash from service_tokens")
    assert added.stdout.strip() not in str(dict(stored or {}))


async def test_web_client_writes_a_package(chatd, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """Again over an older one; not the demo page, which is an app."""
    for _ in range(2):
        assert chatd("web-client", "site/chat").stdout == "wrote site/chat\n"
    written = {path.name for path in (tmp_path / "site/chat").iterdir()}
    assert {"chatd-client.js", "chatd-react.js", "chatd-client.d.ts", "package.json", "types"} <= written
    assert "demo" not in written
    (tmp_path / "file").write_text("")
    assert chatd("web-client", "file").returncode == 1
