"""The cluster: maintenance mode, drains, and the settings of the node."""

from typing import Any

from quart import Response

from chatd.admin_pages.forms import Action, Field, FormValues, confirm, hidden, plain
from chatd.admin_pages.live import LiveSamples
from chatd.admin_pages.overview import last_of
from chatd.admin_pages.page import Page, PageRequest
from chatd.app.maintenance import Maintenance

OPENING = (("", "unknown"), ("300", "5 minutes"), ("900", "15 minutes"), ("3600", "1 hour"), ("14400", "4 hours"))
OVER = (("5", "5 seconds"), ("30", "30 seconds"), ("60", "1 minute"), ("300", "5 minutes"))


async def cluster(page: PageRequest) -> Response:
    maintenance = page.node.get(Maintenance)
    nodes = last_of((await page.node.get(LiveSamples).last()).items)
    return await page.render("cluster.html", maintenance=maintenance, nodes=nodes)


async def settings(page: PageRequest) -> Response:
    shown = await page.run("settings")
    changed = page.argument("changed") == "yes"
    items = [one for one in shown.items if not changed or one.source != "default"]
    return await page.render("settings.html", shown=shown, items=items, changed=changed)


def switch(fields: tuple[Field, ...], values: FormValues) -> dict[str, Any]:
    return plain(fields, values) | {"on": True}


ACTIONS = (
    Action(
        "maintenance-on", "maintenance", "Start maintenance mode", "Maintenance mode is on.",
        (
            Field("message", "Message for users", "area", required=False),
            Field("lasts", "Expected duration", "select", required=False, choices=OPENING),
        ),
        is_dangerous=True, build=switch,
    ),
    Action("maintenance-off", "maintenance", "End maintenance mode", "Maintenance mode is off.", (hidden("on"),)),
    Action(
        "drain", "drain", "Drain and stop", "The drain has begun.",
        (
            hidden("node"),
            Field("over", "Over", "select", choices=OVER),
            confirm("Stop the node when its clients have left"),
        ),
        is_dangerous=True,
    ),
)  # fmt: skip
PAGES = (
    Page("/admin/cluster", cluster, title="Cluster", role="operator"),
    Page("/admin/settings", settings, ("settings",), title="Settings"),
)
