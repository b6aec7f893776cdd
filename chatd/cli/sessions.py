"""chatd sessions"""

from typing import Annotated, Any

import typer
from msgspec import to_builtins

from chatd.app.audit_log import write
from chatd.cli.cluster import Answers, check_nodes, query_nodes
from chatd.cli.common import (
    AsJson,
    ConfigFile,
    TenantOption,
    checked_id,
    current_operator,
    exit_failed,
    exit_usage,
    format_time,
    print_json,
    run_with,
)
from chatd.cli.databases import databases, redis_alone
from chatd.cli.printing import out, say, styled
from chatd.core.config import Config
from chatd.db.redis import Redis
from chatd.operations.node_queries import AskKick, AskSessions
from chatd.operations.node_query_types import Sessions

MAX_SESSIONS = 1000

app = typer.Typer(help="List and close the sessions on all nodes.", no_args_is_help=True)


@app.command("list")
def list_sessions(
    user: Annotated[str | None, typer.Option(help="Only sessions of this user.")] = None,
    limit: Annotated[int, typer.Option(help="Maximum number to show.", min=1, max=MAX_SESSIONS)] = 100,
    tenant: TenantOption = "default",
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """List the sessions of a tenant. An address is shown as the first characters of a keyed hash.

    [bold]Examples[/]

      chatd sessions list --limit 20

      chatd sessions list --user 01890a5d-ac96-774b-bcce-b302099a8057 --json
    """
    check_ids(user)
    found = run_with(config, find, tenant, user, limit)
    rows = rows_of(found)[:limit]
    total = sum(received.answer.total for received in found.nodes.values())
    if as_json:
        print_json({"total": total, "sessions": rows, "silent": found.silent})
    else:
        for row in rows:
            out.print(styled(line_of(row)))
        out.print(styled(f"{len(rows)} of {total}" + ("; see --limit" if total > len(rows) else "")))
    check_nodes(found)


def check_ids(*ids: str | None) -> None:
    for id_ in ids:
        if id_ is not None:
            checked_id(id_)


async def find(config: Config, tenant: str, user: str | None, limit: int) -> Answers[Sessions]:
    async with redis_alone(config) as redis:
        return await find_sessions(redis, tenant, user, None, limit)


async def find_sessions(
    redis: Redis, tenant: str, user: str | None, session: str | None, limit: int
) -> Answers[Sessions]:
    """Query all nodes for sessions. Raises Refused."""
    return await query_nodes(redis, lambda reply: AskSessions(reply, tenant, user, session, limit), Sessions)


def rows_of(found: Answers[Sessions]) -> list[dict[str, Any]]:
    """All sessions, oldest first."""
    rows = [
        {"node": node} | to_builtins(session)
        for node, received in found.nodes.items()
        for session in received.answer.sessions
    ]
    return sorted(rows, key=lambda row: str(row["id"]))


def line_of(row: dict[str, Any]) -> str:
    """A session in two lines, because ids are long."""
    queued = f"{row['queued_bytes']} bytes in {row['queued_frames']} frames" if row["queued_frames"] else "nothing"
    since, active, expiry = (format_time(row[name]) for name in ("connected_at", "active_at", "expires_at"))
    return (
        f"{row['id']}  user {row['user']}  {row['transport']}, {row['codec']}, since {since}, active {active}\n"
        f"    node {row['node']}  login {row['login'] or 'none'}"
        f"  queued {queued}  token until {expiry}"
        f"  address {row['address'] or 'none'}"
    )


@app.command()
def kick(
    session: Annotated[str | None, typer.Argument(help="The session's id.")] = None,
    user: Annotated[str | None, typer.Option(help="All sessions of this user.")] = None,
    reason: Annotated[str, typer.Option(help="Reason, for the audit log.")] = "no reason given",
    tenant: TenantOption = "default",
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Close one session, or all sessions of a user, on all nodes. The client reconnects; to prevent that, use a ban.

    [bold]Examples[/]

      chatd sessions kick 01890a5d-ac96-774b-bcce-b302099a8057

      chatd sessions kick --user 01890a5d-ac96-774b-bcce-b302099a8057 --reason "stuck since the upgrade"
    """
    if (session is None) == (user is None):
        raise exit_usage("specify either a session id or --user")
    check_ids(session, user)
    found = run_with(config, kick_sessions, tenant, user, session, reason)
    rows = rows_of(found)
    if as_json:
        print_json({"kicked": rows, "silent": found.silent})
    else:
        for row in rows:
            say(row["id"])
    check_nodes(found)
    if not rows:
        raise exit_failed(f"no such session in tenant {tenant}")


async def kick_sessions(
    config: Config, tenant: str, user: str | None, session: str | None, reason: str
) -> Answers[Sessions]:
    """Write the audit log entry, then close the sessions. Raises Refused."""
    async with databases(config) as (db, redis):
        found = await find_sessions(redis, tenant, user, session, MAX_SESSIONS)
        rows = rows_of(found)
        if not rows:
            return found
        details = {
            "users": sorted({row["user"] for row in rows}),
            "sessions": [row["id"] for row in rows],
            "reason": reason,
        }
        await write(db, current_operator(tenant), "session.kick", session or user or "", details)
        return await query_nodes(redis, lambda reply: AskKick(reply, tenant, user, session), Sessions)
