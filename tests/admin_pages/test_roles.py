"""Every page and every form checks the role of the commands that it runs, as the registry has them."""

import ast
import re
from pathlib import Path
from urllib.parse import urlencode

from chatd.admin_pages import sign_in
from chatd.admin_pages.app import AdminPages
from chatd.admin_pages.commands import AdminCommands
from chatd.admin_pages.page import highest
from chatd.admin_pages.site import ACTIONS, OWN_FORMS, PAGES
from chatd.app.registry import Guard
from chatd.core.config import Config
from chatd.core.identity import ROLES, includes
from chatd.subsystems import load_registry
from tests.admin_pages.browsing import MOD, VIEW, serving, with_roles
from tests.admins import ANN, NOBODY

TOKENS = {"viewer": VIEW, "moderator": MOD, "operator": ANN}
SOURCES = Path(AdminPages.__module__.replace(".", "/")).parent
COMMANDS = {
    row.tag.removeprefix("admin."): row for row in load_registry().commands.values() if row.guard is Guard.ADMIN
}


def filled(path: str) -> str:
    """A path with an id of nothing in the place of each argument."""
    return "/".join(NOBODY if part.startswith("<") else part for part in path.split("/"))


def called(tree: ast.AST, method: str) -> set[str]:
    """The first argument of each call of `page.METHOD`."""
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute))
    return {
        node.args[0].value
        for node in calls
        if node.func.attr == method and node.args and isinstance(node.args[0], ast.Constant)  # type: ignore[attr-defined]
    }


def test_pages_declare_the_commands_that_their_views_run() -> None:
    """A command that a view runs is in `reads`, or the view asks first whether the admin may run it."""
    trees = [ast.parse(path.read_text()) for path in (Path(__file__).parents[2] / SOURCES).glob("*.py")]
    functions = {node.name: node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef)}
    checked = 0
    for page in PAGES:
        view = functions[page.view.__name__]
        assert called(view, "run") - called(view, "may") - {"reports"} <= set(page.reads), page.path
        assert set(page.reads) <= COMMANDS.keys()
        checked += len(page.reads)
    assert checked > 10


def test_actions_run_admin_commands_and_have_names_of_their_own() -> None:
    assert {action.command for action in ACTIONS} <= COMMANDS.keys()
    assert len({action.name for action in ACTIONS}) == len(ACTIONS)
    for action in ACTIONS:
        fields = {one.name for one in action.fields}
        unknown = fields - set(COMMANDS[action.command].command.__struct_fields__)
        assert unknown <= {"confirm", "sanction", "lasts", "devices"}, action.name


async def test_pages_and_forms_need_their_roles(config: Config) -> None:
    async with serving(with_roles(config)) as site:
        commands = AdminCommands(site.node)
        refused = 0
        for role, token in TOKENS.items():
            browser = await site.signed_in(token)
            for page in PAGES:
                needs = page.needs(commands)
                assert needs == highest((page.role, *(COMMANDS[name].role for name in page.reads)))
                status = (await browser.request("GET", filled(page.path))).status
                assert (status == 403) == (not includes(role, needs)), (page.path, role, status)
                assert status in (200, 403, 404)
            csrf = (await browser.get("/admin/security")).form("/admin/sign-out").fields["csrf"]
            for action in ACTIONS:
                if includes(role, COMMANDS[action.command].role):
                    continue
                form = {one.name: NOBODY for one in action.fields} | {"csrf": csrf, "confirm": "on"}
                assert (await browser.request("POST", action.path, form)).status == 403, (action.name, role)
                refused += 1
        assert refused > len(ACTIONS)
        acts = await site.node.db.all("select act from audit_log")
        assert {row["act"] for row in acts} == {"admin.sign_in"}


async def test_a_link_shows_no_text_of_its_author(config: Config) -> None:
    """Whatever a link has in its query, the page says nothing of it: somebody else may have made the link."""
    sources = "\n".join(
        path.read_text()
        for path in (Path(__file__).parents[2] / SOURCES).rglob("*.*")
        if path.suffix in (".py", ".html")
    )
    arguments = {*re.findall(r'(?:argument|args\.get)\("(\w+)"', sources), *re.findall(r'name="(\w+)"', sources)}
    arguments |= {"message", "error", "notice", "heading", "title", "text"}
    assert {"done", "back", "query", "user", "before"} <= arguments
    text = "your account was stolen call mallory"
    async with serving(with_roles(config)) as site:
        browser = await site.signed_in()
        for path in ("/admin/sign-in", "/admin/nothing", *(filled(page.path) for page in PAGES)):
            shown = await browser.request("GET", f"{path}?{urlencode(dict.fromkeys(arguments, text))}")
            assert "mallory" not in shown.text, path
            for argument in arguments:
                shown = await browser.request("GET", f"{path}?{urlencode({argument: text})}")
                assert "mallory" not in shown.text, (path, argument)


async def test_navigation_has_the_pages_that_the_role_may_open(config: Config) -> None:
    async with serving(with_roles(config)) as site:
        commands = AdminCommands(site.node)
        for role, token in TOKENS.items():
            links = set((await (await site.signed_in(token)).get("/admin")).links)
            for page in PAGES:
                if page.title and page.path != "/admin":
                    assert (page.path in links) == includes(role, page.needs(commands)), (page.path, role)  # type: ignore[arg-type]


async def test_nothing_but_the_sign_in_opens_without_a_session(config: Config) -> None:
    async with serving(with_roles(config)) as site:
        app = AdminPages(site.node, PAGES, ACTIONS, OWN_FORMS).application()._app
        rules = {(rule.rule, method) for rule in app.url_map.iter_rules() for method in rule.methods - {"HEAD"}}  # type: ignore[attr-defined]
        public = {(sign_in.PATH, "GET"), (sign_in.PATH, "POST"), ("/admin/static/<path:name>", "GET"), ("/", "GET")}
        declared = {(page.path, "GET") for page in PAGES} | {(action.path, "POST") for action in ACTIONS}
        assert rules == public | declared | {(path, "POST") for path in (*OWN_FORMS, "/admin/sign-out")}
        browser = site.browser()
        for path, method in rules - public:
            browser.cookies = {"chatd_admin": "x" * 43} if len(path) % 2 else {}
            shown = await browser.request(method, filled(path), {"csrf": "x"} if method == "POST" else None)
            if path == "/admin/sign-out":
                assert shown.answer.headers["location"] == sign_in.PATH
            elif method == "POST":
                assert shown.status == 401, path
            elif path.endswith(".json"):
                assert (shown.status, shown.answer.body["code"]) == (401, "unauthenticated")
            else:
                assert shown.status == 303, path
                assert shown.answer.headers["location"].startswith(sign_in.PATH)
        assert len(ROLES) == len(TOKENS)
