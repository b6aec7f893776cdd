"""The server API: commands with which the backend of an app manages users, conversations and messages."""

from chatd.app.subsystem import Subsystem
from chatd.server_api import conversations, members, messages, moderation, reading

SERVER_API = Subsystem(
    name="server_api",
    about="commands of the backend of an app, with service tokens",
    commands=(conversations, members, messages, moderation, reading),
)
