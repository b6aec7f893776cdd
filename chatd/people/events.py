"""Events about profiles."""

from chatd.people.entities import User
from chatd.wire.base import Event


class UserUpdated(Event, tag="user.updated"):
    """The profile of a user has changed: your own, on another device, or that of a member of your conversations.

    Changes of one user in quick succession are one event. It may be missing, or come twice: `profile_version` tells
    which profile is the newer one. Of other users it does not contain the status and the profile.
    """

    user: User
