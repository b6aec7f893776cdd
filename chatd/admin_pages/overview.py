"""The overview: live charts, the nodes, and what waits for an admin."""

from typing import Any

from msgspec import to_builtins
from quart import Response

from chatd.admin_pages.http_rules import HEADERS
from chatd.admin_pages.live import LiveSamples, Sample, series_of
from chatd.admin_pages.page import Page, PageRequest
from chatd.core.identity import AdminScope
from chatd.http.responses import json_response


async def overview(page: PageRequest) -> Response:
    samples = await page.node.get(LiveSamples).read(0)
    series, last = series_of(samples.items), last_of(samples.items)
    waiting = await page.run("reports", limit=50) if page.may("reports") else None
    return await page.render(
        "overview.html",
        nodes=last,
        queues=queues_of(last, page.scope),
        now={name: (values or [None])[-1] for name, values in to_builtins(series).items()},
        reports=waiting,
        is_alone=samples.is_alone,
    )


async def live(page: PageRequest) -> Response:
    """The figures since a time, which the overview requests every two seconds."""
    text = page.argument("since", "0")
    since = int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0
    samples = await page.node.get(LiveSamples).read(since)
    last = last_of(samples.items)
    return json_response(
        {
            "at": max((sample.at for sample in samples.items), default=0),
            "alone": samples.is_alone,
            "series": series_of(samples.items),
            "nodes": [row_of(sample) for sample in last],
            "queues": queues_of(last, page.scope),
        },
        headers=HEADERS,
    )


def last_of(samples: list[Sample]) -> list[Sample]:
    """The last sample of each node that still writes some, in the order of their names."""
    found = {sample.line.node: sample for sample in samples}
    newest = max((sample.at for sample in samples), default=0)
    return [found[name] for name in sorted(found) if found[name].at > newest - 10_000]


def row_of(sample: Sample) -> dict[str, Any]:
    """A node in the table of the overview."""
    line = sample.line
    return {
        "node": line.node,
        "address": line.address,
        "state": line.state,
        "connections": line.connections,
        "messages": round(line.messages * 60, 1),
        "deliveries": round(line.deliveries * 60, 1),
        "refusals": round(line.refusals * 60, 1),
        "commands_p99": line.commands.p99,
        "commits_p99": line.commits.p99,
        "lag_p99": line.lag.p99,
        "log_waiting": line.message_log_waiting,
        "bus_waiting": line.bus_waiting,
        "cpu": round(line.cpu * 100),
        "memory": line.rss_bytes >> 20,
    }


def queues_of(samples: list[Sample], scope: AdminScope) -> list[tuple[str, str, int]]:
    """The longest queues of the match pool that the admin may see: tenant, queue, waiting."""
    found = next((sample.pool.queues for sample in samples if sample.pool.owner), [])
    return [queue for queue in found if scope.all_tenants or queue[0] == scope.tenant]


PAGES = (
    Page("/admin", overview, title="Overview"),
    Page("/admin/live.json", live, counts_as_use=False),
)
