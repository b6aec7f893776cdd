"""Rules of the source that a test checks."""

import ast
import gc
import json
import re
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import pytest

from chatd import __version__
from chatd.app.addresses import Addresses
from chatd.conversations.entities import SHAPES, Act
from chatd.core.config import Admin, Config
from chatd.core.services import Services
from chatd.core.template import template
from chatd.db import queries
from chatd.db.postgres import Postgres
from chatd.http.admin_tokens import Admins
from chatd.http.app import Route, quart_app
from chatd.realtime.drain import Drain
from chatd.subsystems import SUBSYSTEMS, load_registry, setting_names
from chatd.wire.reference.files import generated
from chatd.wire.reference.python_types import python_types

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "chatd").rglob("*.py"))
STEP = re.compile(r"^\d+\. `([\w/]+\.py)` `([\w.]+)`: ", re.MULTILINE)
COVERS = re.compile(r'^@covers\("([^"]+)"((?:, "[^"]+")*)\)', re.MULTILINE)
LONGEST = 500
# Longer, with the reason.
LONGER = {
    "chatd/gateway/fast_path.py": "one state machine: what happens to each frame of a connection",
    "chatd/client/types.py": "generated, and not read from beginning to end",
    "tests/abuse/test_uploads.py": "the rows F1 to F8 of one suite, which share their harmful files",
    "tests/matching/test_aliases.py": "one promise, asserted of every byte that users get, with the fixture that reads them",
}


def test_modules_import_only_from_layers_below() -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:]


def test_subsystems_are_opened_from_the_lowest_layer_up() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    height = {name.strip(): -at for at, layer in enumerate(layers) for name in layer.split("|")}
    heights = [height[subsystem.name] for subsystem in SUBSYSTEMS if subsystem.name in height]
    assert heights == sorted(heights)


MODULES = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in SOURCES}
# Per cent of the lines of chatd. A larger folder has parts that are a subsystem of their own.
MAX_FOLDER_PERCENT = 18


def imported_modules(text: str) -> set[str]:
    """The modules of chatd that a module imports, anywhere and for any reason: also below `if TYPE_CHECKING`."""
    found = set()
    for node in ast.walk(parsed(text)):
        if isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module or ""}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found & set(MODULES)


def circle_in(imports: Mapping[str, set[str]]) -> list[str]:
    """Modules each of which imports the one before it, from one module back to it; empty if there are none."""
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert circle_in({name: imported_modules(path.read_text()) for name, path in MODULES.items()}) == []


def test_circles_are_found() -> None:
    assert circle_in({"a": {"b"}, "b": {"c"}, "c": set()}) == []
    assert set(circle_in({"a": {"b"}, "b": {"c"}, "c": {"b"}})) == {"b", "c"}
    text = "if TYPE_CHECKING:\n    from chatd.core import log\n    from chatd.core.errors import Refused\n"
    assert imported_modules(text) == {"chatd.core", "chatd.core.log", "chatd.core.errors"}
    assert imported_modules("def late():\n    import chatd.daemon\n") == {"chatd.daemon"}


def test_no_folder_has_too_much_of_the_code() -> None:
    written = [path for path in SOURCES if path != ROOT / "chatd" / "client" / "types.py"]
    lines = Counter[str]()
    for path in written:
        lines[path.relative_to(ROOT / "chatd").parts[0]] += path.read_text().count("\n")
    (folder, largest), *_ = lines.most_common(1)
    assert largest / lines.total() * 100 <= MAX_FOLDER_PERCENT, folder


def test_no_file_is_long_without_a_reason() -> None:
    files = [*SOURCES, *(ROOT / "tests").rglob("*.py")]
    long = {str(path.relative_to(ROOT)) for path in files if path.read_text().count("\n") > LONGEST}
    assert long == set(LONGER)


def parsed(text: str) -> ast.Module:
    """A garbage collection during parsing can run code that parses, which Python 3.11 reports as an error."""
    gc.disable()
    try:
        return ast.parse(text)
    finally:
        gc.enable()


def test_packages_are_empty() -> None:
    packages = [path for path in SOURCES if path.name == "__init__.py" and path.parent.name not in ("chatd", "client")]
    assert [path for path in packages if path.read_text()] == []


Function = ast.FunctionDef | ast.AsyncFunctionDef


def long_or_importing(path: Path, tree: ast.Module) -> Iterator[str]:
    """Functions are short, and import nothing."""
    for node in ast.walk(tree):
        if isinstance(node, Function):
            if (node.end_lineno or 0) - node.lineno >= 40:
                yield f"{node.name} is too long"
            if [n for n in ast.walk(node) if isinstance(n, ast.ImportFrom | ast.Import)]:
                yield f"{node.name} imports"


def transactions_within(path: Path, tree: ast.Module) -> Iterator[str]:
    """A transaction is a function of its own: its first parameter is `tx`, and what else it needs are arguments. It is
    not a closure of a handler.
    """
    functions = [node for node in ast.walk(tree) if isinstance(node, Function)]
    inner = {one for function in functions for one in ast.walk(function) if one is not function}
    for one in inner:
        if isinstance(one, Function) and "tx" in parameters(one):
            yield f"{one.name} is a closure with a transaction"


def foreign_attributes(path: Path, tree: ast.Module) -> Iterator[str]:
    """A subsystem sets no attribute of another object: it calls the kernel's methods for that, `register`,
    `use_commits`, `Signals.on`.
    """
    if path.name == "subsystem.py":
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Attribute)
                and isinstance(node.ctx, ast.Store)
                and ast.unparse(node.value) != "self"
            ):
                yield f"{ast.unparse(node)} is set"


def test_only_the_database_layer_uses_connections_of_asyncpg() -> None:
    """Other modules use the methods of `Database` and `Tx`."""
    users = {path.relative_to(ROOT / "chatd").parts[0] for path in SOURCES if "run_on_connection" in path.read_text()}
    assert users == {"db"}


def parameters(function: Function) -> set[str]:
    return {arg.arg for arg in function.args.args}


# What sends, closes or answers. Only effects do that, so that it happens after the handler, in one order.
DELIVERING = re.compile("(answer|broadcast|publish|renew|send|send_sync|close_sessions|(deliver|tell)(_.*)?)")
# They send `behind` for a change that may have been committed and cannot be sent.
UNCERTAIN = {"change_conversation", "snapshot_for_event"}


def called(function: Function) -> set[str]:
    calls = (node.func for node in ast.walk(function) if isinstance(node, ast.Call))
    return {func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "") for func in calls}


def is_handler(function: Function) -> bool:
    decorators = (one.func for one in function.decorator_list if isinstance(one, ast.Call))
    return any(isinstance(one, ast.Name) and one.id in ("command", "admin_command") for one in decorators)


def delivering_handlers(path: Path, tree: ast.Module) -> Iterator[str]:
    """Handlers return effects and deliver nothing; so does whatever is given the context of a command, except effects
    themselves.
    """
    if path.relative_to(ROOT / "chatd").parts[0] in ("app", "gateway", "http"):
        return
    effects = {
        node for kind in ast.walk(tree) if isinstance(kind, ast.ClassDef) and is_effect(kind) for node in ast.walk(kind)
    }
    for function in (node for node in ast.walk(tree) if isinstance(node, Function) and node not in effects):
        takes = [ast.unparse(arg.annotation) for arg in function.args.args if arg.annotation is not None]
        delivers = any(DELIVERING.fullmatch(name) for name in called(function))
        if "Ctx" in takes and function.name not in UNCERTAIN and delivers:
            yield f"{function.name} delivers"
        if is_handler(function):
            returned = [node.value for node in own_nodes(function) if isinstance(node, ast.Return)]
            if not all(value is not None and ast.unparse(value) != "[]" for value in returned):
                yield f"{function.name} returns nothing"


def own_nodes(function: ast.AST) -> Iterator[ast.AST]:
    """Without those of functions within it."""
    for node in ast.iter_child_nodes(function):
        if not isinstance(node, Function | ast.Lambda):
            yield node
            yield from own_nodes(node)


def is_effect(kind: ast.ClassDef) -> bool:
    return any(isinstance(base, ast.Name) and base.id in ("Effect", "SettledEffect") for base in kind.bases)


RULES = (long_or_importing, transactions_within, foreign_attributes, delivering_handlers)


def problems_of(path: Path, text: str) -> list[str]:
    tree = parsed(text)
    return [f"{path.relative_to(ROOT)}: {problem}" for rule in RULES for problem in rule(path, tree)]


def test_files_follow_the_rules() -> None:
    assert [problem for path in SOURCES for problem in problems_of(path, path.read_text())] == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("def f():\n" + 40 * "    pass\n", "f is too long"),
        ("def f():\n    if True:\n        import os\n", "f imports"),
        ("def f():\n    async def g(tx): ...\n", "g is a closure with a transaction"),
        ("def f(node):\n    node.hub.limit = 1\n", "node.hub.limit is set"),
        ("def f(ctx: Ctx):\n    ctx.session.send_sync(1)\n", "f delivers"),
        ("@command()\ndef f(ctx):\n    return []\n", "f returns nothing"),
        ("class E(Effect):\n    def f(self, ctx: Ctx):\n        ctx.answer(1)\n", ""),
        ("def f():\n" + 39 * "    pass\n", ""),
    ],
)
def test_breaches_of_the_rules_are_found(text: str, problem: str) -> None:
    path = Path("chatd", "notes", "subsystem.py")
    assert problems_of(ROOT / path, text) == ([f"{path}: {problem}"] if problem else [])


def test_every_command_and_every_refusal_it_declares_has_a_test() -> None:
    covered: set[tuple[str, str]] = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        for command, codes in COVERS.findall(path.read_text()):
            covered |= {(command, code) for code in re.findall(r'"([^"]+)"', codes)} or {(command, "ok")}
    declared = {(row.tag, code) for row in load_registry().commands.values() for code in (*row.refuses, "ok")}
    assert declared - covered == set()
    assert covered - declared == set()


@pytest.mark.parametrize("name", ["protocol.md", "openapi.json", "chatd.d.ts"])
def test_the_generated_files_are_fresh(name: str) -> None:
    text = generated(load_registry().description, __version__)[name]
    assert (ROOT / "docs" / name).read_text() == text, "stale: run `make schema`"


def test_the_types_of_the_client_are_fresh() -> None:
    text = python_types(load_registry().description)
    assert (ROOT / "chatd" / "client" / "types.py").read_text() == text, "stale: run `make schema`"


def test_the_commented_configuration_is_fresh() -> None:
    assert (ROOT / "chatd.toml").read_text() == template(setting_names(), {}), "stale: run `make schema`"


async def test_every_statement_can_be_prepared(db: Postgres) -> None:
    for name in queries.names():
        for statement, sql in queries.load(name).statements.items():
            try:
                await db.run_on_connection(lambda connection, sql=sql: connection.prepare(sql))
            except Exception as error:
                error.add_note(f"{name}.{statement}")
                raise


def test_every_statement_is_used() -> None:
    texts = [path.read_text() for path in SOURCES]
    for name in queries.names():
        users = "".join(text for text in texts if f'queries.load("{name}")' in text or name == "conversations/log")
        used = set(re.findall(r"SQL\.(\w+)", users))
        assert queries.load(name).statements.keys() <= used, name


def definitions(path: Path) -> set[str]:
    """The functions, the classes and, as `Class.method`, the methods of a module."""
    tops = [node for node in parsed(path.read_text()).body if isinstance(node, Function | ast.ClassDef)]
    kinds = [node for node in tops if isinstance(node, ast.ClassDef)]
    methods = {f"{kind.name}.{node.name}" for kind in kinds for node in kind.body if isinstance(node, Function)}
    return methods | {node.name for node in tops}


def test_the_steps_of_the_flows_exist() -> None:
    """Every numbered line of "Five flows, step by step" names a file and a definition in it."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    flows = text[text.index("<!-- flows -->") : text.index("<!-- end of flows -->")]
    steps = STEP.findall(flows)
    assert len(steps) == len(re.findall(r"^\d+\.", flows, re.MULTILINE)) > 40
    assert [(file, name) for file, name in steps if name not in definitions(ROOT / "chatd" / file)] == []


def declared_tags(base: str) -> set[str]:
    """The tags of all declared subclasses."""
    served = [path for path in SOURCES if "client" not in path.relative_to(ROOT).parts]
    kinds = (node for path in served for node in ast.walk(parsed(path.read_text())) if isinstance(node, ast.ClassDef))
    below = [kind for kind in kinds if any(isinstance(one, ast.Name) and one.id == base for one in kind.bases)]
    return {ast.literal_eval(word.value) for kind in below for word in kind.keywords if word.arg == "tag"}


def test_every_event_and_command_is_in_the_reference() -> None:
    registry = load_registry()
    assert set(registry.events) == declared_tags("Event") > {"member.update", "member.left", "connected"}
    text, types = ((ROOT / "docs" / name).read_text() for name in ("protocol.md", "chatd.d.ts"))
    for tag in [*registry.events, *(row.tag for row in registry.commands.values())]:
        assert f"`{tag}`" in text
    for kind in registry.events.values():
        assert f"interface {kind.__name__} {{" in types


def test_every_act_of_a_system_message_is_declared() -> None:
    """`ConversationTx.add_system_message` refuses other acts when they are written; this also finds acts that no test writes."""
    source = "".join(path.read_text() for path in SOURCES if "conversations" in path.parts)
    acts = set(re.findall(r'(?:system_payload\(|limits, |"act": )"([a-z.]+)"', source))
    assert acts == set(get_args(Act))
    text = (ROOT / "docs" / "protocol.md").read_text()
    assert all(f"`{act}`" in text for act in acts)
    for owner, name, shape in SHAPES:
        assert name in owner.__struct_fields__
        assert f'<a id="{shape.__name__.lower()}"></a>' in text


def test_every_route_is_in_the_descriptions() -> None:
    config = Config(admins={"ann": Admin(token="x" * 32)})
    services = Services()
    for service in (Addresses("ws://x", "http://x"), Drain(config.drain), Admins(config)):
        services.add(service)
    node: Any = SimpleNamespace(config=config, services=services, get=services.get)
    app = quart_app(node, load_registry(), [add for subsystem in SUBSYSTEMS for add in subsystem.routes])
    assert {type(rule) for rule in app.url_map.iter_rules()} == {Route}
    described = json.loads((ROOT / "docs" / "openapi.json").read_text())["paths"]
    text = (ROOT / "docs" / "protocol.md").read_text()
    served = {
        (method.lower(), re.sub(r"<(\w+)>", r"{\1}", rule.rule))
        for rule in app.url_map.iter_rules()
        for method in rule.methods or ()
        if method not in ("HEAD", "OPTIONS")
    }
    assert served == {(method, path) for path, methods in described.items() for method in methods}
    for method, path in served:
        assert f"{method.upper()} {path.partition('{')[0]}" in text, path


# Constants without a parameter: the folder of programs is one per machine.
PATCHED = {"LIBRARY"}


def test_tests_pass_tunables_as_parameters() -> None:
    """No test patches a constant of a module, or the defaults of a function."""
    found = set()
    for path in (ROOT / "tests").rglob("*.py"):
        for node in ast.walk(parsed(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "setattr":
                names = [one.value for one in node.args[:2] if isinstance(one, ast.Constant)]
                found |= {str(name).rpartition(".")[2] for name in names}
    constants = {name for name in found if name.isupper() or name in ("__defaults__", "__kwdefaults__")}
    assert constants <= PATCHED
