"""The base of server commands, which the backend of an app sends with a service token."""

from typing import Literal

from chatd.wire.base import Command

Scope = Literal["users:write", "messages:write", "conversations:write", "moderation", "bots:write", "read"]
# What each scope allows, in the order of the documentation.
SCOPES: dict[str, str] = {
    "read": "read users, conversations, members and messages, and export users",
    "users:write": "create, update, deactivate and erase users, issue their tokens and end their logins",
    "conversations:write": "create and change conversations, their members and roles",
    "messages:write": "post, edit and delete messages; in the name of a user only together with `users:write`",
    "moderation": "bans and strikes",
    "bots:write": "add, change, list and remove bots, and issue their tokens",
}
ROOT = "/v1/server"


class ServerCommand(Command):
    """A command of an app's backend. The tenant is that of the service token."""
