"""Findings about a Redis that answers. Its data need not be persisted, but the nodes communicate through it."""

from collections.abc import Iterator, Mapping
from typing import Any

from chatd.app.checks import Finding
from chatd.db.redis import Redis

Info = Mapping[str, Any]
MAX_USED_SHARE = 0.9


async def examine(redis: Redis) -> list[Finding]:
    """All findings. Raises Refused."""
    info: dict[str, Any] = {}
    for section in ("memory", "stats", "persistence", "clients", "server"):
        info |= await redis.call("INFO", section)
    return [*judge_memory(info), judge_persistence(info)]


def judge_memory(info: Info) -> Iterator[Finding]:
    most, used = int(info.get("maxmemory", 0)), int(info.get("used_memory", 0))
    policy, evicted = str(info.get("maxmemory_policy", "noeviction")), int(info.get("evicted_keys", 0))
    yield Finding(
        "Redis policy",
        not most or policy == "noeviction",
        f"{policy}, maxmemory {most or 'unlimited'}",
        "set maxmemory-policy noeviction: the bus, leases and tickets must not be evicted while in use",
        "redis.policy",
    )
    yield Finding(
        "Redis memory",
        not most or used < MAX_USED_SHARE * most,
        f"{used} bytes of {most}" if most else f"{used} bytes, no limit",
        "raise maxmemory, or give chatd its own Redis: when it is full, the nodes cannot communicate",
        "redis.memory",
    )
    fix = "set maxmemory-policy noeviction and raise maxmemory; then reset the count with `redis-cli config resetstat`"
    yield Finding("Redis evictions", not evicted, f"{evicted} keys since the start of Redis", fix, "redis.evictions")


def judge_persistence(info: Info) -> Finding:
    """Check persistence. It may be off; if it is on and fails, Redis refuses writes."""
    names = ("rdb_last_bgsave_status", "aof_last_write_status", "aof_last_bgrewrite_status")
    failing = [name for name in names if info.get(name, "ok") != "ok"]
    kept = "in an append-only file" if info.get("aof_enabled") else "none: after a restart the nodes restore the data"
    fix = "check its log and its free disk space: a Redis that cannot save refuses writes"
    return Finding("Redis persistence", not failing, ", ".join(failing) or kept, fix, "redis.persistence")
