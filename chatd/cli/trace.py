"""chatd trace"""

import time
from typing import Annotated, Any

import typer
from msgspec import Struct, to_builtins

from chatd.cli.cluster import Answers, check_nodes, query_nodes
from chatd.cli.common import AsJson, ConfigFile, TenantOption, checked_id, exit_failed, print_json, run_with
from chatd.cli.databases import databases
from chatd.cli.printing import out, styled
from chatd.core.config import Config
from chatd.core.ids import made_at
from chatd.db import queries
from chatd.db.postgres import Postgres, Row
from chatd.db.redis import Redis
from chatd.operations.node_queries import AskTrace
from chatd.realtime.message_trace import ReceiptTimes, Trace

SQL = queries.load("cli/trace")
# The clocks of nodes differ by less than this, when a message is searched by its id alone.
DAY_MS = 86_400_000
MAX_MEMBERS = 100


class Stage(Struct, omit_defaults=True):
    """A stage of the message. `at` is in milliseconds, by the clock of `node`."""

    stage: str
    at: int | None
    node: str = ""
    details: dict[str, Any] = {}


class Member(Struct):
    """The receipts of one member. Times are None if no node remembers them."""

    user: str
    delivered: bool
    read: bool
    delivered_at: int | None = None
    read_at: int | None = None


class Path(Struct):
    """The stages of a message. Commit and receipts are from Postgres, the times from the memory of the nodes."""

    message: str
    conversation: str
    seq: int
    rev: int
    sender: str
    created_at: int
    stages: list[Stage]
    reached: dict[str, int]
    members: list[Member]
    silent: dict[str, str]


def trace(
    message: Annotated[str, typer.Argument(help="The message's id.")],
    conversation: Annotated[
        str | None, typer.Option(help="The conversation that contains it; much faster in a large database.")
    ] = None,
    tenant: TenantOption = "default",
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Show when a message was accepted, committed, sent to each node's sessions, delivered and read.

    [bold]Example[/]

      chatd trace 01890a5d-ac96-774b-bcce-b302099a8057
    """
    for id_ in (message, conversation or message):
        checked_id(id_)
    path, found = run_with(config, follow, tenant, message, conversation)
    if as_json:
        print_json(to_builtins(path))
    else:
        show(path)
    check_nodes(found)


async def follow(config: Config, tenant: str, message: str, conversation: str | None) -> tuple[Path, Answers[Trace]]:
    async with databases(config) as (db, redis):
        row = await find(db, tenant, message, conversation)
        if row is None:
            raise exit_failed(f"message {message} does not exist in tenant {tenant}")
        found = await ask_nodes(redis, message, row)
        key = (tenant, row["conversation"], row["seq"], row["sender"])
        reached = await db.one(SQL.receipt_counts, *key)
        members = await db.all(SQL.receipts, *key, MAX_MEMBERS)
        return path_of(message, row, found, dict(reached or {}), members), found


async def find(db: Postgres, tenant: str, message: str, conversation: str | None) -> Row | None:
    if conversation is not None:
        return await db.one(SQL.message_in, tenant, message, conversation)
    at = made_at(message)
    return await db.one(SQL.message_anywhere, tenant, message, at - DAY_MS, at + DAY_MS)


async def ask_nodes(redis: Redis, message: str, row: Row) -> Answers[Trace]:
    """Query all nodes. They know an event by its rev; if the message has changed since, they are queried again."""

    def query(rev: int) -> Any:
        return lambda reply: AskTrace(reply, message, row["conversation"], rev, row["seq"])

    found = await query_nodes(redis, query(row["rev"]), Trace)
    first = next(
        (received.answer.accepted.rev for received in found.nodes.values() if received.answer.accepted), row["rev"]
    )
    return found if first == row["rev"] else await query_nodes(redis, query(first), Trace)


def path_of(message: str, row: Row, found: Answers[Trace], reached: dict[str, int], members: list[Row]) -> Path:
    return Path(
        message,
        **{name: row[name] for name in ("conversation", "seq", "rev", "sender", "created_at")},
        stages=stages_of(message, row, found),
        reached=reached,
        members=with_moments([Member(**dict(member)) for member in members], found),
        silent=found.silent,
    )


def stages_of(message: str, row: Row, found: Answers[Trace]) -> list[Stage]:
    """The stages on all nodes, in the order of time within a node."""
    stages: list[Stage] = []
    for node, received in found.nodes.items():
        accepted, delivered = received.answer.accepted, received.answer.delivered
        if accepted is not None:
            stages.append(Stage("accepted", accepted.at, node, {"session": accepted.session or None}))
            stages.append(
                Stage(
                    "committed",
                    accepted.committed_at,
                    node,
                    {"batch": accepted.batch, "seq": row["seq"], "rev": accepted.rev},
                )
            )
        if received.answer.enqueued is not None:
            at = received.answer.published_at
            stages.append(Stage("published" if at != 0 else "dropped by the bus", at or None, node))
        if delivered is not None:
            stages.append(
                Stage("behind" if delivered.behind else "written", delivered.at, node, {"sessions": delivered.sessions})
            )
    if not any(stage.stage == "accepted" for stage in stages):
        # No node remembers it: the id has the time of arrival, and the row the time when its commit began.
        stages.append(Stage("accepted", made_at(message)))
        stages.append(Stage("committed", row["created_at"], "", {"seq": row["seq"], "rev": row["rev"]}))
    order = ("accepted", "committed")
    return sorted(stages, key=lambda stage: (order.index(stage.stage) if stage.stage in order else 2, stage.at or 0))


def with_moments(members: list[Member], found: Answers[Trace]) -> list[Member]:
    """Set the earliest times that any node remembers."""
    receipts: list[ReceiptTimes] = [one for received in found.nodes.values() for one in received.answer.receipts]
    for member in members:
        own = [one for one in receipts if one.user == member.user]
        if member.delivered:
            member.delivered_at = min((one.delivered_at for one in own), default=None)
        if member.read:
            member.read_at = min((one.read_at for one in own if one.read_at is not None), default=None)
    return members


def show(path: Path) -> None:
    out.print(styled(f"conversation {path.conversation}, seq {path.seq}, rev {path.rev}, from {path.sender}"))
    start = path.stages[0].at or path.created_at
    for stage in path.stages:
        details = ", ".join(f"{name} {value}" for name, value in stage.details.items() if value is not None)
        out.print(styled(line_of(stage.stage, start, stage.at, f"node {stage.node}" if stage.node else "", details)))
    for member in path.members:
        user = f"user {member.user}"
        if member.delivered:
            out.print(styled(line_of("delivered", start, member.delivered_at, user)))
        if member.read:
            out.print(styled(line_of("read", start, member.read_at, user)))
        if not member.delivered:
            out.print(styled(line_of("not delivered", start, None, user)))
    counts = path.reached
    out.print(
        styled(f"{counts['members']} other members: delivered to {counts['delivered']}, read by {counts['read']}")
    )


def moment(at: int | None) -> str:
    """A local time with milliseconds."""
    return "" if at is None else f"{time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(at / 1000))}.{at % 1000:03}"


def line_of(what: str, start: int, at: int | None, *more: str) -> str:
    after = "" if at is None else f"{at - start:+} ms"
    return f"{what:<18} {moment(at):<23} {after:>10}  {'  '.join(filter(None, more))}".rstrip()
