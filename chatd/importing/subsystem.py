"""Imports of users, conversations and messages of another product. `chatd import` runs them."""

from chatd.app.subsystem import Subsystem
from chatd.importing.tables import TABLES

IMPORTING = Subsystem(
    name="importing", about="imports of users, conversations and messages from other products", tables=TABLES
)
