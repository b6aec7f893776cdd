"""The servers that a number of users needs, by the figures of docs/capacity.md.

python -m bench.capacity --users 1000000
python -m bench.capacity --users 1000000 --message-us 500 --per-day 20    # with figures and assumptions of your own
"""

import argparse
import math
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

# What users do. `event`: what is published on the bus besides the message itself: receipts, typing, presence.
ASSUMED: Mapping[str, tuple[float, str]] = {
    "per-day": (40, "messages per user and day"),
    "peak": (3, "the busiest minute, as a multiple of the mean"),
    "online-percent": (10, "users who are connected at the busiest minute, in %"),
    "session-s": (600, "mean duration of a session, in seconds"),
    "events": (3, "further events per message: receipts, typing, presence"),
    "load-percent": (50, "load of a core at the busiest minute, in %: the rest is for failures and bursts"),
    "retention-days": (365, "days for which messages are kept"),
}
# What the servers need for it: measured, see docs/capacity.md.
MEASURED: Mapping[str, tuple[float, str]] = {
    "message-us": (320, "CPU of the nodes per message"),
    "event-us": (100, "CPU of the nodes per further event"),
    "connect-us": (5500, "CPU of the nodes per connect"),
    "foreign-us": (5, "CPU of a node per event of another node"),
    "bus-percent": (10, "CPU of a node for reading and writing the bus, in % of a core"),
    "idle-us": (5, "CPU of a node per idle session and second"),
    "session-kb": (16, "memory of a node per session"),
    "postgres-us": (150, "CPU of Postgres per message"),
    "wal-bytes": (2000, "WAL per message"),
    "stored-bytes": (1000, "tables and indexes per message"),
    "event-bytes": (350, "an event in Redis"),
}
MAX_NODES = 1000

Figures = dict[str, float]


def nodes_of(figures: Figures, messages: float, events: float, sessions: float) -> int | None:
    """The fewest nodes on which no core is busier than assumed; None if reading the bus alone is too much for a core.

    Each node pays for its share of all work, and for every event of the other nodes.
    """
    shared = messages * figures["message-us"] + (events - messages) * figures["event-us"]
    shared += sessions / figures["session-s"] * figures["connect-us"] + sessions * figures["idle-us"]
    for count in range(1, MAX_NODES + 1):
        foreign = events * (count - 1) / count * figures["foreign-us"]
        fixed = figures["bus-percent"] * 1e4 if count > 1 else 0
        if shared / count + foreign + fixed <= figures["load-percent"] * 1e4:
            return count
    return None


def plan(users: float, figures: Figures) -> dict[str, float | None]:
    """What this number of active users needs as one installation."""
    messages = users * figures["per-day"] / 86_400 * figures["peak"]
    events = messages * (1 + figures["events"])
    sessions = users * figures["online-percent"] / 100
    nodes = nodes_of(figures, messages, events, sessions)
    daily = users * figures["per-day"]
    return {
        "sessions": sessions,
        "messages per second": messages,
        "events per second on the bus": events,
        "nodes (one core each)": nodes,
        "memory of all sessions, GB": sessions * figures["session-kb"] * 1024 / 1e9,
        "cores of Postgres": math.ceil(messages * figures["postgres-us"] / figures["load-percent"] / 1e4),
        "WAL, MB per second": messages * figures["wal-bytes"] / 1e6,
        "messages stored per day, GB": daily * figures["stored-bytes"] / 1e9,
        "messages stored, TB": daily * figures["retention-days"] * figures["stored-bytes"] / 1e12,
        "read from Redis, MB per second": events * figures["event-bytes"] * nodes / 1e6 if nodes else None,
    }


def defaults() -> Figures:
    return {name: value for name, (value, _) in {**ASSUMED, **MEASURED}.items()}


def rows(users: Sequence[float], figures: Figures) -> list[list[str]]:
    """The plans as text: a row for each quantity, a column for each number of users."""
    plans = [plan(count, figures) for count in users]
    return [[name, *(text(one[name]) for one in plans)] for name in plans[0]]


def text(value: float | None) -> str:
    if value is None:
        return "too many events"
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description="the servers that a number of users needs")
    parser.add_argument("--users", type=float, nargs="+", default=[10_000, 1_000_000])
    for name, (value, what) in {**ASSUMED, **MEASURED}.items():
        parser.add_argument(
            f"--{name}", type=float, default=value, help=f"{what} (default: {value:g})".replace("%", "%%")
        )
    options = vars(parser.parse_args())
    figures = {name: options[name.replace("-", "_")] for name in defaults()}
    table = Table("users", *(f"{count:,.0f}" for count in options["users"]))
    for row in rows(options["users"], figures):
        table.add_row(*row)
    Console().print(table)


if __name__ == "__main__":
    main()
