"""A reconciler with the checks of all subsystems, for tests without a daemon."""

from types import SimpleNamespace
from typing import Any

from chatd.accounts.reconciliation import AccountChecks
from chatd.cluster.reconciler import Reconciler
from chatd.conversations.reconciliation import ConversationChecks
from chatd.db.postgres import Postgres
from chatd.realtime.hub import Hub


def reconciler_of(hub: Hub, db: Postgres) -> Reconciler:
    """Bans close no connection: there is no cluster."""
    made, topics = Reconciler(hub, db), ConversationChecks(hub, db)
    no_cluster: Any = SimpleNamespace(close_sessions_here=lambda *_: None)
    made.register(topics.check)
    made.watch_topics(topics)
    made.register(AccountChecks(hub, no_cluster, db, lambda: 0).check, always=True)
    return made
