"""Times and sizes of webhooks that are no settings."""

from msgspec import Struct


class WebhookTunables(Struct, frozen=True, kw_only=True):
    """`poll_s`: how often a node looks for events of other nodes; `idle_poll_s`: while there are no endpoints.
    `gather_s`: the time after a change until it is handled, together with those that follow. `refresh_s`: how often the
    endpoints are read. `watch_s`: how often the age of the queue is read.

    `route_batch`: rows of the outbox that are taken at once; `route_deliveries`: events for endpoints that are made of
    them at most. `claim_endpoints`: endpoints whose streams are claimed at once. `slice_events`, `slice_s`: how many
    events of a stream are sent, and for how long, until the result is stored. `claim_margin_s`: the time beyond that,
    and beyond the timeout of a request, after which another node takes over from one that has failed.

    `first_retry_s`, `retry_factor`, `max_retry_s`: the wait after the first failed attempt, how it grows, and its
    maximum; `jitter`: the part of the wait that is random. `max_retry_after_s`: the longest wait that an endpoint can
    ask for. `end_s`: the time to store the results of a slice.
    """

    poll_s: float = 1.0
    idle_poll_s: float = 3.0
    gather_s: float = 0.02
    refresh_s: float = 5.0
    watch_s: float = 10.0
    route_batch: int = 1000
    route_deliveries: int = 20_000
    claim_endpoints: int = 200
    slice_events: int = 20
    slice_s: float = 5.0
    claim_margin_s: float = 5.0
    first_retry_s: float = 5.0
    retry_factor: float = 3.0
    max_retry_s: float = 3600.0
    jitter: float = 0.2
    max_retry_after_s: float = 86_400.0
    end_s: float = 5.0


TUNABLES = WebhookTunables()
