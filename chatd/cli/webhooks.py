"""chatd webhooks"""

from enum import StrEnum
from typing import Annotated, Any

import trio
import typer

from chatd.app.installation import check_secret
from chatd.cli.cluster import notify_nodes
from chatd.cli.common import (
    AsJson,
    ConfigFile,
    TenantOption,
    checked_id,
    current_operator,
    exit_failed,
    exit_usage,
    format_time,
    load_or_exit,
    print_json,
    run_async,
    run_with,
    seconds_of,
)
from chatd.cli.databases import database
from chatd.cli.printing import out, plain, records, say
from chatd.core.clock import now_ms
from chatd.core.config import Config
from chatd.db.postgres import Postgres
from chatd.webhooks import endpoints, events
from chatd.webhooks.directory import EndpointsChanged
from chatd.webhooks.endpoints import Changes, NewEndpoint, Shown
from chatd.webhooks.event_types import EVENT_TYPES
from chatd.webhooks.events import SETTLED, Range
from chatd.webhooks.settings import WebhookSettings

app = typer.Typer(help="Add, list, test and repair the webhook endpoints of a tenant.", no_args_is_help=True)
EndpointId = Annotated[str, typer.Argument(help="The endpoint's id.", metavar="ENDPOINT")]
TypesOption = Annotated[
    list[str] | None, typer.Option("--type", help="A type of events: message.created, 'message.*' or '*'. Repeatable.")
]
# Seconds between two looks at the result of a test.
POLL_S = 0.2


class State(StrEnum):
    """Which events to list."""

    any = "any"
    pending = "pending"
    parked = "parked"


class Settled(StrEnum):
    """Which events to replay."""

    any = "any"
    delivered = "delivered"
    parked = "parked"


@app.command()
def add(
    url: Annotated[str, typer.Argument(help="Where events are sent: https://...")],
    types: TypesOption = None,
    note: Annotated[str, typer.Option(help="A note for admins.")] = "",
    tenant: TenantOption = "default",
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Add an endpoint, and print the secret that signs its events. By default it gets events of all types.

    [bold]Example[/]

      chatd webhooks add https://example.org/chat --type 'message.*' --type user.erased
    """
    new = NewEndpoint(url, types or ["*"], note[:200])
    print_secret(run_with(config, add_endpoint, tenant, new), as_json)


async def add_endpoint(config: Config, tenant: str, new: NewEndpoint) -> Shown:
    async with database(config) as db:
        await check_secret(db, config.data.secret)
        settings, actor = config.get(WebhookSettings), current_operator(tenant)
        shown = await db.in_transaction(endpoints.add, config.data.secret, settings, actor, new)
    await notify_nodes(config, EndpointsChanged())
    return shown


def print_secret(shown: Shown, as_json: bool) -> None:
    if as_json:
        print_json({"id": shown.id, "secret": shown.secret})
        return
    say(f"{shown.id}\n{shown.secret}")


@app.command("list")
def list_endpoints(tenant: TenantOption = "default", config: ConfigFile = None, as_json: AsJson = False) -> None:
    """List the endpoints, with the state of their queues and the reason of the last failure."""
    rows = run_with(config, find_endpoints, tenant)
    if as_json:
        print_json(rows)
        return
    records(map(lines_of, rows))


async def find_endpoints(config: Config, tenant: str) -> list[dict[str, Any]]:
    async with database(config) as db:
        return await endpoints.page(db, tenant)


def lines_of(row: dict[str, Any]) -> tuple[str, ...]:
    lines = [f"{row['id']}  {row['url']}", f"{state_of(row)}; types: {', '.join(row['types'])}"]
    lines.append(f"{row['pending']} pending, {row['parked']} parked")
    if row["oldest_pending_at"]:
        lines[-1] += f", the oldest pending one since {format_time(row['oldest_pending_at'])}"
    if row["last_error"]:
        lines.append(f"last failure: {row['last_error']}")
    if row["note"]:
        lines.append(f"note: {row['note']}")
    return tuple(lines)


def state_of(row: dict[str, Any]) -> str:
    if row["disabled_at"]:
        return f"disabled since {format_time(row['disabled_at'])}: {row['disabled_reason']}"
    if row["failing_since"]:
        return f"failing since {format_time(row['failing_since'])}"
    return "enabled"


@app.command()
def deliveries(
    endpoint: EndpointId,
    state: Annotated[State, typer.Option(help="Only events in this state.")] = State.any,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many events.")] = 50,
    tenant: TenantOption = "default",
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """List the events of an endpoint, newest first, with the reason of the last failure of each."""
    wanted = None if state is State.any else state.value
    rows = run_with(config, find_events, tenant, checked_id(endpoint), wanted, limit)
    if as_json:
        print_json(rows)
        return
    records(map(event_lines, rows))


def event_lines(row: dict[str, Any]) -> tuple[str, ...]:
    lines = [f"{row['event']}  {row['type']}, {format_time(row['at'])}", f"{row['state']}, attempts: {row['attempts']}"]
    return (*lines, row["error"]) if row["error"] else tuple(lines)


async def find_events(
    config: Config, tenant: str, endpoint: str, state: str | None, limit: int
) -> list[dict[str, Any]]:
    async with database(config) as db:
        return await events.deliveries(db, tenant, endpoint, state, limit=limit)


@app.command("test")
def try_endpoint(endpoint: EndpointId, tenant: TenantOption = "default", config: ConfigFile = None) -> None:
    """Send an event of the type webhook.test, and print what became of it. A node has to be running."""
    loaded = load_or_exit(config).config
    error = run_async(send_test, loaded, tenant, checked_id(endpoint))
    if error:
        raise exit_failed(error)
    say("delivered")


async def send_test(config: Config, tenant: str, endpoint: str) -> str:
    """Why the test was not delivered; empty if it was."""
    async with database(config) as db:
        event = await db.in_transaction(events.test, current_operator(tenant), endpoint)
        await notify_nodes(config, EndpointsChanged())
        with trio.move_on_after(config.get(WebhookSettings).timeout + 10):
            while True:
                found = await result_of(db, tenant, endpoint, event)
                if found is not None:
                    return found
                await trio.sleep(POLL_S)
    return f"the test {event} was not sent yet: is a node running? See `chatd webhooks deliveries {endpoint}`"


async def result_of(db: Postgres, tenant: str, endpoint: str, event: str) -> str | None:
    """Why the last attempt failed; empty if the event is delivered, None if there was no attempt yet."""
    for row in await events.deliveries(db, tenant, endpoint, limit=1000):
        if row["event"] == event and row["attempts"]:
            return row["error"] or ""
    return None


@app.command()
def replay(
    endpoint: EndpointId,
    since: Annotated[str, typer.Option(help="Events of the last time: 30m, 12h, 3d.")],
    until: Annotated[str, typer.Option(help="Events before this time ago.")] = "0s",
    state: Annotated[Settled, typer.Option(help="Only delivered, or only parked events.")] = Settled.any,
    tenant: TenantOption = "default",
    config: ConfigFile = None,
) -> None:
    """Send events of a range again, under their ids.

    [bold]Example[/]

      chatd webhooks replay 01890a5d-ac96-774b-bcce-b302099a8057 --since 3d --state parked
    """
    now = now_ms()
    begin, end = now - seconds_of(since) * 1000, now - seconds_of(until) * 1000
    if begin >= end:
        raise exit_usage("--since has to be longer ago than --until")
    chosen = Range(begin, end, SETTLED if state is Settled.any else (state.value,))
    count = run_with(config, replay_all, tenant, checked_id(endpoint), chosen)
    say(f"{count} events are sent again")


async def replay_all(config: Config, tenant: str, endpoint: str, chosen: Range) -> int:
    count, after = 0, 0
    async with database(config) as db:
        while True:
            done = await db.in_transaction(events.replay, current_operator(tenant), endpoint, chosen, after)
            count += done.count
            if done.last is None:
                break
            after = done.last
    await notify_nodes(config, EndpointsChanged())
    return count


@app.command()
def edit(
    endpoint: EndpointId,
    url: Annotated[str | None, typer.Option(help="The new URL.")] = None,
    types: TypesOption = None,
    note: Annotated[str | None, typer.Option(help="The new note.")] = None,
    tenant: TenantOption = "default",
    config: ConfigFile = None,
) -> None:
    """Change the URL, the types or the note of an endpoint."""
    if url is None and types is None and note is None:
        raise exit_usage("specify --url, --type or --note")
    changes = Changes(url, types, None if note is None else note[:200])
    run_with(config, edit_endpoint, tenant, checked_id(endpoint), changes)


async def edit_endpoint(config: Config, tenant: str, endpoint: str, changes: Changes) -> None:
    async with database(config) as db:
        settings = config.get(WebhookSettings)
        await db.in_transaction(endpoints.edit, settings, current_operator(tenant), endpoint, changes)
    await notify_nodes(config, EndpointsChanged())


@app.command()
def rotate(
    endpoint: EndpointId, tenant: TenantOption = "default", config: ConfigFile = None, as_json: AsJson = False
) -> None:
    """Make a new secret, and print it. The previous one signs too, for webhooks.rotation_overlap."""
    print_secret(run_with(config, rotate_secret, tenant, checked_id(endpoint)), as_json)


async def rotate_secret(config: Config, tenant: str, endpoint: str) -> Shown:
    async with database(config) as db:
        await check_secret(db, config.data.secret)
        settings, actor = config.get(WebhookSettings), current_operator(tenant)
        shown = await db.in_transaction(endpoints.rotate, config.data.secret, settings, actor, endpoint)
    await notify_nodes(config, EndpointsChanged())
    return shown


@app.command()
def enable(endpoint: EndpointId, tenant: TenantOption = "default", config: ConfigFile = None) -> None:
    """Enable an endpoint. Events that wait are sent at once."""
    run_with(config, change, endpoints.enable, tenant, checked_id(endpoint))


@app.command()
def disable(
    endpoint: EndpointId,
    reason: Annotated[str, typer.Option(help="Reason, shown in the list.")] = "disabled by the operator",
    tenant: TenantOption = "default",
    config: ConfigFile = None,
) -> None:
    """Disable an endpoint: it gets no events until it is enabled."""
    run_with(config, change, endpoints.disable, tenant, checked_id(endpoint), reason[:200])


@app.command()
def remove(
    endpoint: EndpointId,
    yes: Annotated[bool, typer.Option("--yes", help="Confirm.")] = False,
    tenant: TenantOption = "default",
    config: ConfigFile = None,
) -> None:
    """Remove an endpoint with its events."""
    if not yes:
        raise exit_usage("Nothing was removed. Add --yes to confirm.")
    run_with(config, change, endpoints.remove, tenant, checked_id(endpoint))


async def change(config: Config, act: Any, tenant: str, endpoint: str, *args: Any) -> None:
    """Do an act on an endpoint, and notify the nodes."""
    async with database(config) as db:
        await db.in_transaction(act, current_operator(tenant), endpoint, *args)
    await notify_nodes(config, EndpointsChanged())


@app.command("types")
def list_types() -> None:
    """List the types of events."""
    for name, kind in EVENT_TYPES.items():
        out.print(plain(f"{name:22} {kind.about}"))
