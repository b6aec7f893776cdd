"""The example of CONTRIBUTING.md in a copy of the repository: a subsystem, its command, and a second one with a migration.

What its checklist says is all that changes.
"""

import filecmp
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text().partition("## Adding a subsystem\n")[2]
BLOCK = re.compile(r"^ *```(?:python|sql)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
# A block belongs to the last file that is named before it.
FILE = re.compile(r"`((?:chatd|sql|tests)/notes/[\w/]+\.(?:py|sql))`")
RECIPE = re.compile(r"^schema:.*\n((?:\t.*\n)+)", re.MULTILINE)
VECTORS = "tests/golden/vectors.json"
GENERATED = {
    VECTORS,
    "chatd.toml",
    "chatd/client/types.py",
    "docs/architecture.md",
    "docs/chatd.d.ts",
    "web/client/src/routes.ts",
}
GENERATED |= {"chatd/web/static/types/protocol.d.ts", "docs/openapi.json", "docs/privacy.md", "docs/protocol.md"}
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
# The whole test of foreign ids takes a minute.
IDS = """
from tests.abuse import test_ids
from tests.abuse.test_ids import test_foreign_ids_are_refused_like_unknown_ids as test_foreign_ids

test_ids.ROWS[:] = [row for row in test_ids.ROWS if row.tag.startswith("note.")]
"""
# Without the tests of each other file, and of the tests themselves.
SELECTED = "notes or not (false_declaration or append or inside or again)"
FILES = """
tests/notes tests/test_architecture.py tests/app/test_subsystem_imports.py tests/app/test_documents.py
tests/db/test_row_bounds.py tests/db/test_plans.py tests/privacy/test_document.py
"""


def written() -> dict[str, str]:
    """The files of the example. A second block of a file is what the second example adds to it."""
    files: dict[str, str] = {}
    for block in BLOCK.finditer(TEXT):
        path = FILE.findall(TEXT, 0, block.start())[-1]
        files[path] = (files[path] + "\n\n" if path in files else "") + dedent(block[1])
    exported = "select n.about::text as user, n.text, "
    assert exported in files["sql/notes/notes.sql"]
    files["sql/notes/notes.sql"] = files["sql/notes/notes.sql"].replace(exported, f"{exported}n.pinned, ")
    return files | {"chatd/notes/__init__.py": "", "tests/notes/__init__.py": ""}


def run(folder: Path, command: str) -> None:
    """Options of the surrounding pytest run, such as `--basetemp`, do not apply to the copy."""
    done = subprocess.run(command, shell=True, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout[-5000:]}{done.stderr[-2000:]}"


def changed(before: filecmp.dircmp[str], folder: str = "") -> set[str]:
    """Files that differ, and files and folders that are new."""
    found = {f"{folder}{name}" for name in (*before.diff_files, *before.right_only)}
    return found.union(*(changed(below, f"{folder}{name}/") for name, below in before.subdirs.items()))


@pytest.mark.servers
def test_the_example_works_and_changes_what_the_checklist_says(tmp_path: Path) -> None:
    """`make schema` is run without make, which would install the dependencies."""
    copy, python = tmp_path / "copy", shlex.quote(sys.executable)
    # With the bytecode, but for what other processes are writing.
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".*", "*.pyc.*", "node_modules", "chatd-data"))
    for path, text in written().items():
        (copy / path).parent.mkdir(parents=True, exist_ok=True)
        (copy / path).write_text(text)
    listed = copy / "chatd/subsystems.py"
    text = re.sub(r"^(SUBSYSTEMS = \([^)]*)\)$", r"\1    NOTES,\n)", listed.read_text(), flags=re.MULTILINE)
    listed.write_text(
        text.replace("\nfrom chatd.operations", "\nfrom chatd.notes.subsystem import NOTES\nfrom chatd.operations")
    )
    recipe = RECIPE.search((ROOT / "Makefile").read_text())
    assert recipe is not None
    for line in recipe[1].splitlines():
        run(copy, line.strip().replace("$(BIN)/chatd", f"{python} -m chatd").replace("$(BIN)/python", python))
    run(copy, f"{python} -m tests.golden.vectors")
    old, new = (json.loads((folder / VECTORS).read_text()) for folder in (ROOT, copy))
    assert all(new[group].items() > old[group].items() for group in ("commands", "results"))
    assert changed(filecmp.dircmp(ROOT, copy)) - GENERATED == {
        "chatd/notes", "chatd/subsystems.py", "sql/notes", "tests/notes",
    }  # fmt: skip
    run(copy, f"{python} -m ruff check . && {python} -m ruff format --check .")
    (copy / "tests/notes/test_ids_of_notes.py").write_text(IDS)
    run(
        copy, f"{python} -m pytest -q -p no:cacheprovider --basetemp ../tests -k '{SELECTED}' {' '.join(FILES.split())}"
    )
