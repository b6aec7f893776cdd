"""Metrics of people."""

from chatd.app.metrics import Metric, number
from chatd.people.announcements import Announcements, Deliveries

METRICS: tuple[Metric, ...] = (
    number(
        "chatd_profile_changes_announced_total",
        "Changed profiles that this node announced to the members of the user's conversations.",
        lambda node: node.get(Announcements).announced,
    ),
    number(
        "chatd_profile_changes_waiting",
        "Changed profiles that wait to be announced; changes of one user within some seconds are announced once.",
        lambda node: len(node.get(Announcements)),
    ),
    number(
        "chatd_profile_events_total",
        "Events `user.updated` that were sent to other users on this node.",
        lambda node: node.get(Deliveries).sent,
    ),
    number(
        "chatd_profile_changes_dropped_total",
        "Changed profiles that were not announced because too many waited; clients find them with `user.query`.",
        lambda node: node.get(Announcements).dropped + node.get(Deliveries).dropped,
    ),
)
