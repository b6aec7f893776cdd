"""Settings of presence."""

from typing import Annotated

from chatd.core.config import Declaration, Seconds, Section, Settings, doc


class PresenceSettings(Section, frozen=True):
    grace: Annotated[
        Seconds, doc("Seconds after a user's last connection ends until others see the user as offline.")
    ] = 20.0


SETTINGS: tuple[Declaration, ...] = (Settings("presence", PresenceSettings),)
