"""The server API: commands with which the backend of an app manages users, conversations and messages."""

from chatd.app.subsystem import Subsystem
from chatd.server_api import (
    conversations,
    lists,
    members,
    messages,
    moderation,
    openapi,
    reading,
    routes,
    user_lifecycle,
    users,
)

SERVER_API = Subsystem(
    name="server_api",
    about="commands of the backend of an app, with service tokens",
    commands=(users, user_lifecycle, conversations, members, messages, moderation, reading, lists),
    routes=(routes.add_routes,),
    openapi=openapi.ROUTES,
    conditions=openapi.CONDITIONS,
)
