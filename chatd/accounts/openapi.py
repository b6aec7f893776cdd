"""Conditions of commands that field types cannot declare."""

from chatd.accounts.ban_commands import AddBan
from chatd.wire.reference.conditions import given
from chatd.wire.reference.description import Condition, Schema

USER_OR_ADDRESS: Schema = {
    "anyOf": [
        {**given("user"), "not": given("address")},
        {
            **given("address"),
            "not": {"anyOf": [given("user"), {"required": ["devices"], "properties": {"devices": {"enum": [True]}}}]},
        },
    ]
}
CONDITIONS = (Condition(AddBan, USER_OR_ADDRESS),)
