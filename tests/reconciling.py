"""A reconciler with the checks of all subsystems, for tests without a daemon."""

from types import SimpleNamespace
from typing import Any

from chatd.accounts.reconciliation import AccountChecks
from chatd.cluster.reconciler import Reconciler
from chatd.conversations.reconciliation import ConversationChecks
from chatd.core.config import ClusterTimes
from chatd.db.postgres import Postgres
from chatd.realtime.hub import Hub


def reconciler_of(hub: Hub, db: Postgres) -> Reconciler:
    """There is no other node."""
    made, topics = Reconciler(hub, db, ClusterTimes()), ConversationChecks(hub, db)
    cluster: Any = SimpleNamespace(hub=hub)
    made.register(topics.check)
    made.use_topics(topics)
    made.register(AccountChecks(hub, cluster, db, lambda: 0).check, always=True)
    return made
