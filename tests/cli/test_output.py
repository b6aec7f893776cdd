"""The output of all commands: no control characters, and no failure on an ASCII terminal or a closed pipe."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from chatd.cli import printing
from chatd.cli.printing import write_json
from chatd.core.ids import uuid7
from chatd.db.postgres import Postgres
from tests.cli.processes import run_commands
from tests.cli.test_commands import ADD, environment
from tests.forked import run_chatd
from tests.support import NOBODY

__all__ = ["environment"]
CLI = Path(printing.__file__).parent
EVIL = "\x1b[31mé\x07\x9b2J\u202eb\u2066c\x7fd\u200ee\x1b]0;t\x07"
ASCII = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "TERM": "dumb"}


def unprintable(text: str) -> set[str]:
    return {sign for sign in text if not sign.isprintable() and sign != "\n"}


def test_commands_print_through_one_module() -> None:
    found = []
    for path in sorted(CLI.glob("*.py")):
        if path.name not in ("printing.py", "streams.py"):
            calls = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
            names = {ast.unparse(node.func) for node in calls}
            found += [(path.name, name) for name in names if name in ("print", "Console") or name.startswith("sys.std")]
    assert [pair for pair in found if not pair[1].startswith("sys.stdin")] == []


@pytest.mark.parametrize(
    "sign", [*map(chr, range(32)), *map(chr, range(0x7F, 0xA0)), *"\u061c\u200e\u2028\u202e\u2069\ufeff\U000e0001"]
)
def test_json_values_are_unchanged(sign: str, capsys: pytest.CaptureFixture[str]) -> None:
    write_json(json.dumps({"a": f"x{sign}y"}, ensure_ascii=False))
    shown = capsys.readouterr().out
    assert unprintable(shown) == set()
    assert "\n" not in shown
    assert json.loads(shown) == {"a": f"x{sign}y"}


async def plant(db: Postgres) -> tuple[str, str]:
    """Store control characters wherever external text is stored; returns a user and a report."""
    ann, ben = [str(await db.value(ADD, EVIL)) for _ in range(2)]
    messages = [{"seq": 1, "message": NOBODY, "sender": ben, "text": EVIL, "attachments": [], "at": 1_770_000_000_000}]
    report = uuid7(1_770_000_000_000)
    await db.run(
        "insert into reports (tenant, id, reporter, target, reported_as, conversation, reason, text, transcript, created_at) "
        "values ('default', $1, $2, $3, $3, $1, 'abuse', $5, $4, 1770000000000)",
        *(report, ann, ben, messages, EVIL),
    )
    return ann, report


def reading(user: str, report: str) -> list[tuple[str, ...]]:
    return [
        ("users", "show", user), ("users", "strikes", user), ("users", "export", user), ("bans", "list"),
        ("bans", "audit"), ("reports", "list"), ("reports", "show", report, "--json"), ("trace", EVIL), (EVIL,),
    ]  # fmt: skip


async def test_commands_print_no_control_characters(db: Postgres, environment: dict[str, str], tmp_path: Path) -> None:
    user, report = await plant(db)
    for act in (("users", "strike"), ("bans", "add")):
        run_chatd((*act, user, "--reason", EVIL), tmp_path, environment)
    for done in run_commands(reading(user, report), tmp_path, environment | ASCII | {"COLUMNS": "300"}):
        shown = done.stdout + done.stderr
        assert (done.args, unprintable(shown), shown.isascii(), "Traceback" in shown) == (done.args, set(), True, False)
        assert shown


def test_help_is_printed_on_an_ascii_terminal(tmp_path: Path) -> None:
    for done in run_commands([("users", "--help"), ("restored", "--help")], tmp_path, os.environ | ASCII):
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.isascii()
        assert "Usage" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "redirect", "code"),
    [
        ("schema", "", 141),
        ("check --show --json", "", 141),
        ("check --show", ">/dev/full", 1),
        ("check --show", ">&-", 0),
    ],
)
def test_closed_output_ends_the_command(arguments: str, redirect: str, code: int, tmp_path: Path) -> None:
    command = f"{sys.executable} -m chatd {arguments} {redirect}"
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        ["sh", "-c", command], cwd=tmp_path, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=60, check=False
    )
    os.close(writer)
    assert (done.returncode, "Traceback" in done.stderr) == (code, False)
    assert ("cannot be written" in done.stderr) == (code == 1)
    assert "Exception ignored" not in done.stderr


def test_argument_that_is_not_utf8_is_refused() -> None:
    done = subprocess.run(
        [sys.executable.encode(), b"-m", b"chatd", b"users", b"add", b"\xff"],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (2, b"chatd: an argument is not valid UTF-8\n")
