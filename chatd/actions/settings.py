"""Settings of buttons."""

from typing import Annotated

from chatd.core.config import Count, Declaration, Duration, Section, Settings, doc


class ActionSettings(Section, frozen=True):
    keep: Annotated[
        Duration,
        doc(
            "Seconds for which a pressed button is kept: until then a bot that was offline gets it, and pressing again "
            "with the same `client_id` is the same action."
        ),
    ] = 3600.0
    pending_per_bot: Annotated[
        Count, doc("Maximum actions that a bot has not taken; further presses are refused as `rate_limited`.")
    ] = 1000
    answer_within: Annotated[Duration, doc("Seconds within which a bot can answer an action to the user.")] = 30.0
    per_user_per_minute: Annotated[Count, doc("Maximum buttons that a user presses within a minute.")] = 60
    per_message_per_minute: Annotated[
        Count, doc("Maximum buttons of one message that a user presses within a minute.")
    ] = 20


SETTINGS: tuple[Declaration, ...] = (Settings("actions", ActionSettings),)
