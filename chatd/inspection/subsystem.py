"""Inspection: what admins see of users, conversations and settings."""

from chatd.app.subsystem import Subsystem
from chatd.inspection import conversations, settings_command, users

INSPECTION = Subsystem(
    name="inspection",
    about="admin commands that find and show users, conversations and settings",
    commands=(users, conversations, settings_command),
)
