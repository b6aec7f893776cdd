"""What webhooks store about a user: ids. An export does not contain events, because their content is not stored."""

from chatd.app.personal_data import PersonalData, Remains
from chatd.db import queries

SQL = queries.load("webhooks/personal_data")
PERSONAL_DATA = PersonalData(
    forget=(SQL.forget, SQL.forget_endpoints),
    remains=(
        Remains(
            "the id, in events for your backend that wait, and in the one about the erasure",
            "`webhook_deliveries`, `webhook_streams`, `outbox`",
            "`webhooks.keep_delivered` after it is delivered, `webhooks.keep_parked` if it never is",
        ),
    ),
)
