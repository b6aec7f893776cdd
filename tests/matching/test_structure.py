"""The services of matching are layers: each calls those below it, and none gets a function of one above it."""

import ast
from pathlib import Path

import chatd.matching

FOLDER = Path(chatd.matching.__file__).parent
MODULES = {path.stem: ast.parse(path.read_text()) for path in FOLDER.glob("*.py")}
# From top to bottom.
LINE = ("commands", "service", "disconnects", "pool_owner", "event_log_audit", "pairing", "matches", "announcements")
# Pure functions that a service may be handed.
FUNCTIONS = {"clock", "make_id"}


def imports_of(module: str) -> set[str]:
    """The modules of matching that a module imports when it is loaded."""
    nodes = [node for node in MODULES[module].body if isinstance(node, ast.ImportFrom)]
    names = {f"{node.module}.{alias.name}" for node in nodes for alias in node.names}
    return {name.split(".")[2] for name in names if name.startswith("chatd.matching.")} & set(MODULES)


def below(module: str) -> set[str]:
    """The modules that a module imports, directly or not."""
    found, todo = set[str](), [module]
    while todo:
        new = imports_of(todo.pop()) - found
        found |= new
        todo += new
    return found


def test_modules_import_no_module_above_them() -> None:
    for place, module in enumerate(LINE):
        assert below(module).isdisjoint(LINE[: place + 1]), module
    assert set(LINE) <= below("subsystem")


def test_no_constructor_takes_a_callback() -> None:
    constructors = [
        node
        for tree in MODULES.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name == "__init__"
    ]
    arguments = [one for made in constructors for one in (*made.args.args, *made.args.kwonlyargs) if one.annotation]
    assert len(arguments) > 30
    callbacks = {one.arg for one in arguments if "Callable" in ast.unparse(one.annotation or one)}
    assert callbacks <= FUNCTIONS


def test_no_module_sets_an_attribute_of_another_object() -> None:
    """So no module attaches a function to it from outside."""
    stores = [
        node
        for tree in MODULES.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
    ]
    assert len(stores) > 100
    assert [ast.unparse(node) for node in stores if ast.unparse(node.value) != "self"] == []
