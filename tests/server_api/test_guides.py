"""The programs in docs/server-api.md and docs/importing.md do what the documents say."""

import json
import re
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import trio
import trio_asyncio

from chatd.core.config import Config, PostgresSection
from chatd.db.postgres import open_postgres
from chatd.importing.checker import Checker
from chatd.importing.lines import read
from chatd.wire.server import SCOPES
from tests.server_api.backend import backend_of
from tests.support import PATIENCE, Daemon, shared

daemon = shared
DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(r"\n\n((?:    .*\n|\n)+)")


def program(document: str, beginning: str) -> str:
    """The indented program of a document that begins so."""
    texts = [textwrap.dedent(found) for found in BLOCK.findall((DOCS / document).read_text(encoding="utf8"))]
    return next(text for text in texts if text.startswith(beginning))


async def test_the_program_of_the_server_api(daemon: Daemon) -> None:
    backend = await backend_of(daemon)
    text = program("server-api.md", "import json, urllib.request")
    text = text.replace("http://127.0.0.1:8081", daemon.addresses.http).replace("chatd_st_...", backend.token)
    names: dict[str, Any] = {}
    await trio.to_thread.run_sync(exec, compile(text, "server-api.md", "exec"), names)
    history = await backend.done("GET", f"/conversations/{names['order']}/messages")
    assert [one["text"] for one in history["items"]] == ["On its way."]


def test_the_scopes_are_documented() -> None:
    text = (DOCS / "server-api.md").read_text(encoding="utf8")
    assert re.findall(r"^\| `([a-z:]+)` \| [a-z]", text, re.MULTILINE)[: len(SCOPES)] == list(SCOPES)


async def test_the_converter_of_an_export(config: Config, dsn: str, tmp_path: Path) -> None:
    day = tmp_path / "general"
    day.mkdir()
    user = {"id": "U1", "name": "ann", "profile": {"real_name": "Ann"}}
    (tmp_path / "users.json").write_text(json.dumps([user]))
    channel = {"id": "C1", "name": "general", "created": 1_600_000_000, "members": ["U1", "U9"]}
    (tmp_path / "channels.json").write_text(json.dumps([channel]))
    messages = [
        {"ts": "1600000002.000200", "user": "U1", "text": "second", "thread_ts": "1600000001.000100"},
        {"ts": "1600000001.000100", "user": "U1", "text": "first"},
        {"ts": "1600000003.000300", "subtype": "bot_message", "text": "from a bot"},
        {"ts": "1600000004.000400", "user": "U1", "text": ""},
    ]
    (day / "2020-09-13.json").write_text(json.dumps(messages))
    script, output = tmp_path / "convert.py", tmp_path / "export.jsonl"
    script.write_text(program("importing.md", "import json, pathlib, sys"))
    done = await trio.run_process([sys.executable, str(script), str(tmp_path)], capture_stdout=True)
    output.write_bytes(done.stdout)
    async with trio_asyncio.open_loop(), open_postgres(dsn, PostgresSection(timeout=PATIENCE)) as db:
        checker = Checker(db, config, "default", 2_000_000_000_000)
        await checker.check(list(read(output)))
    assert checker.errors == []
    assert checker.counts == {"user": 1, "conversation": 1, "message": 3, "read": 1}
    checker.known.close()


@pytest.mark.parametrize("kind", ["user", "conversation", "member", "message", "reaction", "read"])
def test_every_line_type_is_documented(kind: str) -> None:
    text = (DOCS / "importing.md").read_text(encoding="utf8")
    assert f"| `{kind}` |" in text
    assert f'{{"type": "{kind}"' in text
