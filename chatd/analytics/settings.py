"""Settings of analytics."""

from typing import Annotated

from chatd.core.config import Count, Declaration, Section, Settings, doc


class AnalyticsSettings(Section, frozen=True):
    enabled: Annotated[bool, doc("Count active users, messages and matches per tenant and day.")] = True
    keep_days: Annotated[Count, doc("Days for which the figures of a day are kept.")] = 800


SETTINGS: tuple[Declaration, ...] = (Settings("analytics", AnalyticsSettings),)
