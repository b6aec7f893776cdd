"""Metrics of link previews."""

from collections.abc import Mapping

from chatd.app.context import Node
from chatd.app.metrics import numbers_by
from chatd.link_previews.service import LinkPreviews

OUTCOMES = (
    *("attached", "changed", "known", "limited", "host_limited", "dropped", "unavailable"),
    *("failed", "timeout", "status", "not_html", "redirects", "address", "charset", "no_title", "filtered"),
)


def outcomes(node: Node) -> Mapping[str, float]:
    previews = node.services.find(LinkPreviews)
    return {} if previews is None else previews.outcomes


METRICS = (
    numbers_by(
        "outcome",
        "chatd_link_previews_total",
        "Links in messages by what became of their preview. `attached`: it was added; `changed`: the message does not "
        "have the link any more; `known`: the page had none shortly before; `limited`, `host_limited`, `dropped`: too "
        "many links of one user, to one host, of all users; `unavailable`: no database; the others are what was wrong "
        "with the page.",
        OUTCOMES,
        outcomes,
    ),
)
