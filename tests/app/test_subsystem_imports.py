"""The list of subsystems is the order of their imports: a new one needs no layer in the contract of pyproject.toml."""

import ast
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from chatd.subsystems import SUBSYSTEMS

ROOT = Path(__file__).parents[2]
CHATD = ROOT / "chatd"
NAMES = [subsystem.name for subsystem in SUBSYSTEMS]
# They import whatever they need, and no folder imports them; the client and the load generator are independent of the server.
TOP = {"cli", "daemon", "subsystems", "__main__", "client", "bench"}


def layers() -> set[str]:
    """All folders and modules of the contract."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    lines = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    return {name.strip() for line in lines for name in line.split("|")}


def imported_by(folder: Path) -> Iterator[str]:
    """The folders and modules directly below `chatd` that modules of this folder import from."""
    for node in (node for path in folder.rglob("*.py") for node in ast.walk(ast.parse(path.read_text()))):
        if isinstance(node, ast.ImportFrom) and node.module == "chatd":
            yield from (alias.name for alias in node.names)
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        yield from (name.split(".")[1] for name in names if name.startswith("chatd."))


def forbidden(folder: str, names: Iterable[str] = NAMES, listed: Iterable[str] = ()) -> set[str]:
    """What a folder must not import. A kernel folder: subsystems without a layer. `listed`: those with one."""
    order = list(names)
    if folder in order:
        return TOP | set(order[order.index(folder) + 1 :])
    return TOP | (set(order) - set(listed))


FOLDERS = sorted(path.parent.name for path in CHATD.glob("*/__init__.py") if path.parent.name not in TOP)


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_imports_only_from_those_before_it(folder: str) -> None:
    assert set(imported_by(CHATD / folder)) & forbidden(folder, listed=layers()) == set()


def test_each_folder_is_in_the_list_or_in_the_contract() -> None:
    """A folder of the kernel has to choose its layer."""
    assert set(FOLDERS) - layers() - set(NAMES) == set()


def test_forbidden_imports_follow_from_the_list() -> None:
    assert forbidden("b", ["a", "b", "c"]) == TOP | {"c"}
    assert forbidden("app", ["a", "b"], {"a", "app"}) == TOP | {"b"}
    assert {"app", "db", "core", "accounts"} <= set(imported_by(CHATD / "uploads"))
