"""The outbox: notes about committed changes, written in the transaction of the change, for consumers that act on them
later.

`append_messages()` and triggers (sql/webhooks/schema/functions.sql) write it, for the tenants and types of changes in
which a consumer is interested; nothing is written for others. A consumer moves its rows into a queue of its own.
"""

from chatd.app.subsystem import Subsystem
from chatd.outbox.tables import TABLES

OUTBOX = Subsystem(name="outbox", about="notes about committed changes, for consumers such as webhooks", tables=TABLES)
