"""The tables of webhooks: what bounds their rows, and what they contain about users."""

from chatd.app.storage import Deleted, Limited, Table, UserData, Within
from chatd.db import queries

SQL = queries.load("webhooks/sweep")
QUEUE = queries.load("webhooks/queue")

TABLES = (
    Table(
        "webhook_endpoints",
        (Limited("webhooks.max_endpoints"), Deleted(SQL, "delete_endpoint")),
        UserData(
            what="`bot`: the bot whose endpoint it is",
            kept="until the bot or the endpoint is removed",
            erased="deleted with its events",
        ),
        impersonal=(
            "id",
            "url",
            "types",
            "note",
            "salt",
            "previous_salt",
            "disabled_reason",
            "last_error",
        ),
    ),
    Table(
        "webhook_deliveries",
        (
            Limited("webhooks.max_pending"),
            Limited("webhooks.keep_delivered"),
            Limited("webhooks.keep_parked"),
            Deleted(SQL, "sweep"),
            Deleted(SQL, "delete_events"),
        ),
        UserData(
            what="`user_id`, `actor`, `key`, `subject`: ids of what an event is about; its content is not stored",
            kept="`webhooks.keep_delivered` after it is delivered, `webhooks.keep_parked` if it never was",
            erased="deleted once they are sent or parked; the event about the erasure stays",
            id_stays=("user_id", "actor", "key", "subject"),
        ),
        impersonal=("endpoint", "event", "type", "state", "error"),
    ),
    Table(
        "webhook_streams",
        (Within("webhook_endpoints"), Deleted(QUEUE, "end_stream")),
        UserData(
            what="`key`: the id of a user, if events about them wait",
            kept="until these are delivered or parked",
            erased="stays until then",
            id_stays=("key",),
        ),
        impersonal=("endpoint", "claim"),
    ),
)
