"""The tables of the outbox: what bounds their rows, and what they contain about users."""

from chatd.app.storage import Deleted, OneFor, Table, UserData
from chatd.db import queries

SQL = queries.load("outbox/outbox")
QUEUE = queries.load("webhooks/queue")

TABLES = (
    Table(
        "outbox_interests",
        (Deleted(SQL, "set_interests"), OneFor("consumer, type of change and tenant")),
        impersonal=("type", "consumer"),
    ),
    Table(
        "outbox",
        (Deleted(QUEUE, "route"),),
        UserData(
            what="`user_id`, `actor`, `key`, `subject`: ids",
            kept="until a node takes it, usually for less than a second",
            erased="stays until a node takes it",
            id_stays=("user_id", "actor", "key", "subject"),
        ),
        impersonal=("consumer", "type"),
    ),
)
