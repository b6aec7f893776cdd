"""The job that measures what no counter has: users of a week and a month, and what became of sampled messages.

One node does it, every ten minutes, for today and the two days before. So the figures of a day are final two days after
its end, and a message that is not delivered by then counts as not delivered.
"""

from chatd.accounts.keys import Keyring
from chatd.analytics.days import day_of
from chatd.analytics.settings import AnalyticsSettings
from chatd.app.context import Node
from chatd.app.jobs import is_due
from chatd.db import queries
from chatd.db.batches import delete_all

SQL = queries.load("analytics/rollup")
EVERY_MS = 600_000
# Days that are measured: today, yesterday, and the day before.
MEASURED_DAYS = 3


async def roll_up(node: Node, *, every_ms: int = EVERY_MS) -> bool:
    """Measure the last days of all tenants, and delete old figures."""
    if not node.config.get(AnalyticsSettings).enabled or not await is_due(node.db, "analytics", every_ms):
        return False
    now = node.clock()
    today = day_of(now)
    for tenant in node.get(Keyring).tenants:
        for day in range(today - MEASURED_DAYS + 1, today + 1):
            await node.db.run(SQL.count_users, tenant, day)
            await node.db.run(SQL.measure, tenant, day, now)
    await sweep(node, today)
    return False


async def sweep(node: Node, today: int) -> None:
    oldest = today - node.config.get(AnalyticsSettings).keep_days
    await delete_all(node.db, SQL.sweep_samples, today - MEASURED_DAYS)
    await delete_all(node.db, SQL.sweep_days, oldest)
    await delete_all(node.db, SQL.sweep_cohorts, oldest)
