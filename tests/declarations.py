"""What the tests of all commands have to know of each subsystem: the constants of `tests/<subsystem>/declares.py`.

`FACTORIES`: by the name of a field that holds an id, what makes such a thing. `GONE`: by the name of such a field, the id
of a thing that a user had and has lost. The others are of commands, tables and containers:

* `ANYBODYS`: (command, field) where any user of the tenant may name the id.
* `OTHERWISE`: commands that are not answered with `not_found`, but "ok"; the answer is the same for all ids.
* `WITHOUT_OWNER`: commands that nobody owns the ids of: what they answer does not depend on whether they exist.
* `ALSO_THE_OWNER`: commands that refuse the owner too, for a reason unrelated to the id.
* `TOGETHER`: (command, field) to the fields that it needs, though neither is required.
* `IN_BACKGROUND`: tables that services write some time after a command, so that their rows change at any time.
* `CONTAINERS`: by class and attribute, what bounds a container that lives as long as the node (`tests/abuse/bounds.py`).
"""

from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

TESTS = Path(__file__).parent
NAMES = {
    "FACTORIES", "GONE", "ANYBODYS", "OTHERWISE", "WITHOUT_OWNER", "ALSO_THE_OWNER", "TOGETHER", "IN_BACKGROUND",
    "CONTAINERS",
}  # fmt: skip


def modules() -> list[ModuleType]:
    return [import_module(f"tests.{path.parent.name}.declares") for path in sorted(TESTS.glob("*/declares.py"))]


def declared(name: str, others: Iterable[ModuleType] = ()) -> dict[Any, Any]:
    """The entries of all constants of this name; those of a set have the value None. `others`: of packages elsewhere.

    Raises ValueError if two declare the same entry, or one declares an unknown constant.
    """
    found: dict[Any, Any] = {}
    for module in (*modules(), *others):
        if unknown := {each for each in vars(module) if each.isupper()} - NAMES:
            raise ValueError(f"{module.__name__}: unknown {sorted(unknown)}, expected some of {sorted(NAMES)}")
        entries = getattr(module, name, {})
        if twice := found.keys() & set(entries):
            raise ValueError(f"{name}: {sorted(twice)} of {module.__name__} are declared elsewhere too")
        found |= entries if isinstance(entries, dict) else dict.fromkeys(entries)
    return found
