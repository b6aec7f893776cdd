"""The conditions of `message.search` that field types cannot express: the pattern of its cursor."""

from chatd.search.commands import SearchMessages
from chatd.wire.reference.conditions import UUID
from chatd.wire.reference.description import Condition

CURSOR = {"pattern": rf"^[0-9]{{1,16}}\.{UUID}\.[0-9]{{1,18}}\.[0-9a-f]{{32}}$"}
CONDITIONS = (Condition(SearchMessages, fields={"cursor": CURSOR}),)
