"""Conditions of commands that the types of their fields cannot express, and the patterns of cursors."""

from chatd.people.commands import QueryUsers
from chatd.people.updates import UpdateUser
from chatd.wire.reference.conditions import changes
from chatd.wire.reference.description import Condition

CONDITIONS = (
    Condition(UpdateUser, changes(UpdateUser)),
    Condition(QueryUsers, fields={"changed_since": {"pattern": r"^[0-9a-f.]{1,40}:(0|[1-9][0-9]{0,17})$"}}),
)
