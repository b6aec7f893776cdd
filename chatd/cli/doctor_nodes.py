"""Findings about the running nodes, from their answers. Pure."""

from collections.abc import Iterator, Mapping

from msgspec import Struct

from chatd.app.checks import Finding
from chatd.cli.check import RAISE_FILES, SPARE_DESCRIPTORS
from chatd.cli.cluster import Answers
from chatd.operations.node_query_types import Health

# Milliseconds that clocks may differ, and within which a gap of the bus is reported.
MAX_SKEW_MS = 1000
RECENT_MS = 300_000
# Control messages that may wait for the bus, and messages that may wait for the database.
MAX_WAITING = 2_000
MAX_USED_SHARE = 0.9
THIS = "this configuration"


class Clock(Struct):
    """A reading of a clock, and the times of this machine before and after it, in milliseconds."""

    at: int
    earliest: int
    latest: int

    @property
    def offset(self) -> int:
        """The smallest possible difference between this clock and that of this machine, in milliseconds."""
        return min(0, self.at - self.earliest) + max(0, self.at - self.latest)


class OwnIdentity(Struct, frozen=True):
    """The identity that a node with the configuration of this command would report. Empty: unknown."""

    secrets: str = ""
    uploads: str = ""


def judge(
    found: Answers[Health], owner: str | None, clocks: Mapping[str, Clock], now: int, own: OwnIdentity | None = None
) -> list[Finding]:
    """All findings. `owner`: the node that holds the lease of the match pool; `clocks` of Postgres and Redis."""
    nodes = {name: received.answer for name, received in found.nodes.items()}
    node_clocks = {
        name: Clock(received.answer.at, received.requested_at, received.received_at)
        for name, received in found.nodes.items()
    }
    findings = [judge_presence(found), judge_clocks({**clocks, **node_clocks})]
    if found.nodes:
        findings += [judge_versions(nodes), *judge_configuration(nodes, own or OwnIdentity())]
        findings += [judge_pool(nodes, owner, set(found.silent)), *judge_each(nodes, now)]
    return findings


def judge_configuration(nodes: Mapping[str, Health], own: OwnIdentity) -> Iterator[Finding]:
    """All nodes and this command need the same keys and the same file store."""
    yield judge_equal(
        "secrets",
        {name: node.secrets for name, node in nodes.items()} | {THIS: own.secrets},
        "set the same [auth] and [tenants] on all nodes: each node rejects the tokens of the other",
        "nodes.secrets",
    )
    yield judge_equal(
        "upload stores",
        {name: node.uploads for name, node in nodes.items()} | {THIS: own.uploads},
        "set the same uploads.dir (a shared folder) or bucket on all nodes: files of one are missing on the other",
        "nodes.uploads",
    )


def judge_equal(what: str, values: Mapping[str, str], fix: str, code: str) -> Finding:
    """Compare the values that are known; an empty value is unknown."""
    by_value: dict[str, list[str]] = {}
    for name, value in values.items():
        if value:
            by_value.setdefault(value, []).append(name)
    detail = "; ".join(f"{value}: {', '.join(names)}" for value, names in by_value.items())
    return Finding(what, len(by_value) <= 1, detail or "unknown", fix, code)


def judge_presence(found: Answers[Health]) -> Finding:
    silent = "; ".join(f"{node}: {why}" for node, why in found.silent.items())
    if silent:
        fix = "check its log and its CPU usage. It may have just stopped: run this again. If it hangs, restart it"
        return Finding("nodes", False, silent, fix, "nodes.silent")
    if not found.nodes:
        return Finding(
            "nodes",
            False,
            "no node is running",
            "start one with `chatd serve`; check that redis.prefix is the same",
            "nodes.none",
        )
    sessions = sum(received.answer.sessions for received in found.nodes.values())
    detail = f"{len(found.nodes)} running, with {sessions} sessions"
    return Finding("nodes", True, detail, code="nodes.silent")


def judge_versions(nodes: Mapping[str, Health]) -> Finding:
    versions = sorted({node.version for node in nodes.values()})
    fix = "finish the upgrade: restart the older nodes"
    return Finding("versions", len(versions) == 1, ", ".join(versions), fix, "nodes.versions")


def judge_clocks(clocks: Mapping[str, Clock]) -> Finding:
    offsets = {name: clock.offset for name, clock in clocks.items()} | {"this machine": 0}
    first, last = min(offsets, key=lambda name: offsets[name]), max(offsets, key=lambda name: offsets[name])
    skew = offsets[last] - offsets[first]
    detail = f"{last} is {skew} ms ahead of {first}" if skew else "no difference"
    return Finding(
        "clocks",
        skew <= MAX_SKEW_MS,
        detail,
        "synchronise the clocks with NTP (chrony, systemd-timesyncd)",
        "clocks.skew",
    )


def judge_pool(nodes: Mapping[str, Health], owner: str | None, silent: set[str]) -> Finding:
    """Exactly one running node must own the pool."""
    owners = [name for name, node in nodes.items() if node.owns_pool]
    if len(owners) > 1:
        detail, fix = (
            f"{' and '.join(owners)} own the pool at the same time",
            "this resolves itself within seconds once Redis answers; run `chatd doctor` again",
        )
        return Finding("match pool", False, detail, fix, "match.owner")
    if owner is None or (owner not in nodes and owner not in silent):
        detail = f"its owner {owner} is not running" if owner else "no node owns it, so no users are matched"
        return Finding(
            "match pool",
            False,
            detail,
            "run this again in five seconds; if it persists, restart a node and check its log",
            "match.owner",
        )
    return Finding("match pool", True, f"owned by {owner}", code="match.owner")


def judge_each(nodes: Mapping[str, Health], now: int) -> Iterator[Finding]:
    for name, node in nodes.items():
        yield from judge_bus(name, node, now)
        yield judge_services(name, node)
        yield Finding(
            f"match event log, {name}",
            not node.event_log_stale,
            "stale" if node.event_log_stale else "written",
            "Redis is slow or was unreachable. If this persists, check Redis; a new owner rebuilds the pool from the "
            "tickets of the nodes",
            "match.event_log",
        )
        yield judge_files(name, node)
        yield Finding(
            f"message log, {name}",
            node.message_log_waiting < MAX_WAITING,
            f"{node.message_log_waiting} waiting, {node.message_log_failures} failures since the start of the node",
            "the database is too slow: check its disk, long transactions, and message_log.flushers",
            "message_log.behind",
        )


def judge_services(name: str, node: Health) -> Finding:
    detail = "; ".join(f"{service}: {cause}" for service, cause in node.failing.items())
    fix = "see the log of the node for the cause; the service restarts by itself, and messages are still delivered"
    return Finding(f"services, {name}", not node.failing, detail or "all running", fix, "nodes.services")


def judge_bus(name: str, node: Health, now: int) -> Iterator[Finding]:
    fix = "Redis is slow or unreachable from that node: check its load and the network"
    detail = f"{node.bus_waiting} control messages waiting"
    yield Finding(f"bus, {name}", node.bus_waiting < MAX_WAITING, detail, fix, "bus.behind")
    is_recent = bool(node.bus_gap_at) and now - node.bus_gap_at < RECENT_MS
    detail = f"{node.bus_gaps} since the start of the node"
    if node.bus_gap_at:
        detail += f", the last one {max(0, now - node.bus_gap_at) // 1000} s ago"
    fix = (
        "no data is lost: the node resynced with Postgres. Check whether Redis was unavailable or emptied, "
        "whether its memory is sufficient, and whether the node keeps up"
    )
    yield Finding(f"bus gaps, {name}", not is_recent, detail, fix, "bus.gaps")


def judge_files(name: str, node: Health) -> Finding:
    """The limit of the node, which may differ from that of this shell."""
    enough = (
        node.descriptors + SPARE_DESCRIPTORS <= node.most_descriptors
        and node.descriptors < MAX_USED_SHARE * node.most_descriptors
    )
    detail = f"{node.descriptors} of {node.most_descriptors}"
    return Finding(f"open files, {name}", enough or node.most_descriptors < 0, detail, RAISE_FILES, "nodes.files")
