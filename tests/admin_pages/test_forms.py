"""The forms of all pages: what a page shows is accepted, what is emptied is removed, and limits are those of commands."""

from collections.abc import Iterator
from typing import get_type_hints

import pytest
from msgspec import ValidationError, convert

from chatd.accounts.token_commands import TokenName
from chatd.admin_pages.forms import bound
from chatd.admin_pages.site import ACTIONS, PAGES
from chatd.core.config import Config
from chatd.subsystems import load_registry
from tests.admin_pages.browsing import Browsing, Form, Shown, Site, serving, with_roles
from tests.moderation.test_reports import report
from tests.support import Person, poll_until

# For fields that a page shows empty, and that have to be filled in.
SAMPLES = {
    "reason": "a reason that is long enough",
    "address": "203.0.113.7",
    "url": "https://hooks.test/added",
    "handle": "added",
    "name": "added",
}
KINDS = {row.tag.removeprefix("admin."): kind for kind, row in load_registry().commands.items()}
BOUND = {action.name: bound(action, KINDS[action.command]) for action in ACTIONS}
# These end what their page is about, and are sent after the others; the last one ends the node.
LAST = ("token-revoke", "bot-revoke", "webhook-remove", "bot-remove", "erase", "drain")
PATHS = [page.path for page in PAGES if not page.path.endswith((".json", ".csv"))]


def test_limits_of_texts_are_those_of_their_commands() -> None:
    """The longest text that a form takes is accepted by the type of the field, and a longer one is not."""
    checked = 0
    for action in BOUND.values():
        types = get_type_hints(KINDS[action.command], include_extras=True)
        for one in action.fields:
            if one.kind not in ("text", "area") or one.name in ("types", "scopes") or types[one.name] is TokenName:
                continue
            convert("x" * one.max_length, types[one.name])
            with pytest.raises(ValidationError):
                convert("x" * (one.max_length + 1), types[one.name])
            checked += 1
    assert checked > 10


def test_forms_that_change_something_are_edit_forms() -> None:
    edits = {action.command for action in ACTIONS if action.edits}
    assert edits == {action.command for action in ACTIONS if action.command.endswith((".edit", ".update"))} != set()


async def furnished(site: Site, browser: Browsing, alice: Person, bob: Person) -> dict[str, list[str]]:
    """Makes something of every kind that has a page. Returns the ids by the names of the parts of paths."""
    opened = await alice.call("conversation.open", user=bob.user)
    made = await report(alice, user=bob.user, reason="spam")
    await browser.send(await browser.get(f"/admin/users/{bob.user}"), "/admin/do/ban", reason="x" * 12, lasts="3600")
    hook = {"url": "https://hooks.test/x", "types": "message.created", "note": "ours"}
    await browser.send(await browser.get("/admin/webhooks"), "/admin/do/webhook-add", **hook)
    bot = {"handle": "weather", "name": "Weather", "description": "one\ntwo", "webhook": "https://hooks.test/bot"}
    await browser.send(await browser.get("/admin/bots"), "/admin/do/bot-add", **bot)
    endpoints = await site.node.db.all("select id::text as id from webhook_endpoints order by bot nulls last")
    assert len(endpoints) == 2
    bots = await site.node.db.all("select user_id::text as id from bots")
    return {
        "report": [made],
        "endpoint": [row["id"] for row in endpoints],
        "bot": [row["id"] for row in bots],
        "conversation": [opened["conversation"]["id"]],
        "user": [alice.user, bob.user],
    }


def paths_of(ids: dict[str, list[str]]) -> Iterator[str]:
    """The paths of all pages that have a form, with ids of things that exist."""
    for path in PATHS:
        name = path.partition("<")[2].partition(">")[0]
        if not name:
            yield path
        elif "/files/" not in path:
            yield from (path.replace(f"<{name}>", id_) for id_ in ids[name])


def action_of(form: Form) -> str:
    return form.action.removeprefix("/admin/do/") if form.action.startswith("/admin/do/") else ""


def completed(form: Form) -> dict[str, str]:
    """What the page shows, and samples in the fields that are empty and required."""
    fields = dict(form.fields)
    for one in BOUND[action_of(form)].fields:
        if one.kind == "confirm":
            fields[one.name] = "on"
        elif one.required and one.kind != "hidden" and not fields.get(one.name):
            assert one.name in SAMPLES or form.buttons, (form.action, one.name)
            fields[one.name] = SAMPLES.get(one.name) or form.buttons[0][1]
    return fields


async def test_every_form_of_every_page_is_accepted_as_it_is_shown(config: Config) -> None:
    async with serving(with_roles(config)) as site, site.daemon.people(2) as (alice, bob):
        browser = await site.signed_in()
        paths = list(paths_of(await furnished(site, browser, alice, bob)))

        async def cluster() -> Shown:
            return await browser.get("/admin/cluster")

        await poll_until(cluster, lambda page: "/admin/do/drain" in page.html)
        sent = set[tuple[str, str]]()
        for last in (None, *LAST):
            for path in paths:
                while True:
                    forms = [(action_of(form), form) for form in (await browser.get(path)).forms]
                    name, form = next(
                        (
                            (name, form)
                            for name, form in forms
                            if name
                            and (path, name) not in sent
                            and (name == last or (last is None and name not in LAST))
                        ),
                        ("", None),
                    )
                    if form is None:
                        break
                    sent.add((path, name))
                    answer = await browser.request("POST", form.action, completed(form))
                    assert answer.status in (200, 303), (path, name, answer.text)
                    if name == "drain":
                        break
        assert {name for _, name in sent} == {action.name for action in ACTIONS}
        assert len(sent) > len(ACTIONS)


async def test_an_emptied_field_of_an_edit_form_is_emptied_or_refused(config: Config) -> None:
    async with serving(with_roles(config)) as site, site.daemon.people(2) as (alice, bob):
        browser = await site.signed_in()
        emptied, required = set[tuple[str, str]](), set[tuple[str, str]]()
        # A bot without a webhook has no endpoint, so the endpoints come first.
        for path in sorted(paths_of(await furnished(site, browser, alice, bob)), reverse=True):
            for form in (await browser.get(path)).forms:
                action = BOUND.get(action_of(form))
                if action is None or not action.edits:
                    continue
                for one in action.fields:
                    if one.kind not in ("text", "area"):
                        continue
                    page = await browser.get(path)
                    if not form.fields[one.name]:
                        await browser.send(page, form.action, **{one.name: "filled in"})
                        page = await browser.get(path)
                        assert page.form(form.action).fields[one.name] == "filled in"
                    answer = await browser.followed(
                        await browser.request("POST", form.action, page.form(form.action).fields | {one.name: ""})
                    )
                    after = (await browser.get(path)).form(form.action).fields[one.name]
                    if answer.status == 400:
                        assert "fill this in" in answer.text
                        assert after == page.form(form.action).fields[one.name]
                        required.add((action.name, one.name))
                    else:
                        assert (answer.status, after) == (200, ""), (action.name, one.name)
                        emptied.add((action.name, one.name))
        assert emptied == {
            ("bot-update", "description"), ("bot-update", "webhook"), ("webhook-edit", "note"),
            ("bot-webhook-edit", "note"),
        }  # fmt: skip
        assert required == {
            ("bot-update", "handle"), ("bot-update", "name"), ("webhook-edit", "url"), ("webhook-edit", "types"),
            ("bot-webhook-edit", "url"),
        }  # fmt: skip
