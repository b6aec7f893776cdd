"""Settings of webhooks."""

from typing import Annotated

from chatd.core.config import Count, Declaration, Duration, Seconds, Section, Settings, doc


class WebhookSettings(Section, frozen=True):
    max_endpoints: Annotated[Count, doc("Maximum webhook endpoints of one tenant.")] = 20
    timeout: Annotated[Duration, doc("Seconds within which an endpoint must answer completely.")] = 15.0
    concurrency: Annotated[Count, doc("Maximum requests of this node at the same time, to all endpoints.")] = 100
    endpoint_concurrency: Annotated[
        Count,
        doc("Maximum requests of this node at the same time to one endpoint."),
        doc("An endpoint gets one at a time while it fails, or while half of concurrency is in use."),
    ] = 8
    retry_for: Annotated[
        Duration, doc("Seconds for which an event is retried; after that it is parked, and only sent by a replay.")
    ] = 259_200.0
    disable_after: Annotated[
        Duration, doc("Seconds without any success after which an endpoint that fails is disabled.")
    ] = 432_000.0
    rotation_overlap: Annotated[
        Seconds, doc("Seconds after a rotation for which the previous secret of an endpoint signs too.")
    ] = 86_400.0
    max_pending: Annotated[
        Count, doc("Maximum events that wait for an endpoint; one with more of them is disabled.")
    ] = 1_000_000
    keep_delivered: Annotated[Seconds, doc("Seconds for which a delivered event is kept, for replays.")] = 259_200.0
    keep_parked: Annotated[Seconds, doc("Seconds for which a parked event is kept, for replays.")] = 2_592_000.0
    allow_private: Annotated[
        bool, doc("Allow endpoints on private addresses, and http without TLS. For tests and your own network only.")
    ] = False


SETTINGS: tuple[Declaration, ...] = (Settings("webhooks", WebhookSettings),)
