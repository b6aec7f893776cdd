"""Every command in the documentation exists, with its options."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from chatd.cli.main import COMMANDS, load
from chatd.subsystems import load_registry, setting_names

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
CODE = re.compile(r"`([^`\n]+)`|^(?: {4}|\$ )(.+)$", re.MULTILINE)
# In code: the name of the program, alone or at the end of a path, and what follows.
CALL = re.compile(r"(?:^|[\s/(;|])chatd ((?:--)?[a-z].*)")
# A command or an event, as prose names it.
NAME = re.compile(r"`([a-z_]+\.[a-z_]+)`")
WORD = re.compile(r"[a-z][a-z-]*(?:\|[a-z][a-z-]*)*")


def calls(text: str) -> list[str]:
    """The arguments of `chatd` in all its calls."""
    parts = [first or second for first, second in CODE.findall(text)]
    return [found[1].split("#")[0].split("  ")[0].strip() for part in parts if (found := CALL.search(part))]


def problem(call: str) -> str:
    """Why the command does not exist; empty if it does."""
    words = call.split() if call.count('"') % 2 else shlex.split(call)
    words = words[: next((at for at, word in enumerate(words) if word in ("|", ">", "&&", "-c")), len(words))]
    if words[0].startswith("-"):
        return "" if words[0] in ("--version", "--help") else f"no option {words[0]}"
    if words[0] not in COMMANDS:
        return f"no command {words[0]}"
    found: list[Any] = [load(words.pop(0))]
    if hasattr(found[0], "commands") and words and WORD.fullmatch(words[0]):
        names = words.pop(0).split("|")
        missing = [name for name in names if name not in found[0].commands]
        if missing:
            return f"no command {missing[0]}"
        found = [found[0].commands[name] for name in names]
    options = {option for command in found for parameter in command.params for option in parameter.opts}
    wanted = [word.partition("=")[0].rstrip(",.;:)") for word in words if word.startswith("--")]
    unknown = [one for word in wanted for one in word.split("|") if one not in options | {"--help"}]
    return f"no option {unknown[0]}" if unknown else ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_named_in_documents_exist(page: Path) -> None:
    found = {call: problem(call) for call in calls(page.read_text())}
    assert {call: why for call, why in found.items() if why} == {}


def test_unknown_names_are_detected() -> None:
    lines = "    chatd bans add|unban X   # no\n    .venv/bin/chatd drain --slow\n"
    text = "Run `chatd serve --workers 4` or `chatd filters test`:\n\n" + lines
    assert [problem(call) for call in calls(text)] == ["", "no command filters", "no command unban", "no option --slow"]


def test_commands_and_events_named_in_documents_exist() -> None:
    """A word in code style that begins like a wire name is in the source: as a wire name, or as another name, such as
    an act.
    """
    registry = load_registry()
    nouns = {
        tag.partition(".")[0]
        for tag in [*registry.events, *(row.tag for row in registry.commands.values())]
        if "." in tag
    }
    source = "".join(path.read_text() for path in [*(ROOT / "chatd").rglob("*.py"), *(ROOT / "sql").glob("*/*.sql")])
    sections = {*setting_names().sections, *setting_names().families}
    unknown = {
        (page.name, name)
        for page in PAGES
        if page.name != "protocol.md"
        for name in NAME.findall(page.read_text())
        if name.partition(".")[0] in nouns - sections and f'"{name}"' not in source.replace("'", '"')
    }
    assert unknown == set()


def test_document_scan_finds_names() -> None:
    assert sum(len(calls(page.read_text())) for page in PAGES) > 40
