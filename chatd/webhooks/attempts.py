"""One attempt to deliver an event, and what follows from it."""

from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from random import random

from msgspec import Struct

from chatd.db.http_client import Outbound, OutboundError
from chatd.webhooks.directory import Endpoint
from chatd.webhooks.signing import signed_headers
from chatd.webhooks.tunables import WebhookTunables

MAX_ANSWER_BYTES = 65_536
GONE = 410


class Attempt(Struct, frozen=True):
    """The result of an attempt. `error`: why it failed; empty if it did not. `is_gone`: the endpoint wants no events.
    `retry_after_s`: the wait that the endpoint asks for.
    """

    error: str = ""
    is_gone: bool = False
    retry_after_s: float = 0.0


async def attempt(
    outbound: Outbound, endpoint: Endpoint, event: str, body: bytes, timeout_s: float, clock: Callable[[], int]
) -> Attempt:
    """Send an event once."""
    now_s = clock() // 1000
    headers = signed_headers(endpoint.secrets, event, now_s, body)
    try:
        answer = await outbound.ask(
            "POST", endpoint.url, timeout=timeout_s, headers=headers, body=body, most=MAX_ANSWER_BYTES
        )
    except OutboundError as error:
        return Attempt(str(error))
    if 200 <= answer.status < 300:
        return Attempt()
    return Attempt(
        reason_of(answer.status), answer.status == GONE, retry_after_s(answer.headers.get("retry-after", ""), now_s)
    )


def reason_of(status: int) -> str:
    """Why an answer is a failure."""
    if 300 <= status < 400:
        return f"HTTP {status}: redirects are not followed; change the URL of the endpoint"
    return f"HTTP {status}: the endpoint is gone" if status == GONE else f"HTTP {status}"


def retry_after_s(text: str, now_s: int) -> float:
    """The value of Retry-After (RFC 9110, section 10.2.3) in seconds; 0 if there is none, or no valid one."""
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        at = parsedate_to_datetime(text)
    except (TypeError, ValueError):
        return 0.0
    at = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return max(0.0, (at - datetime.fromtimestamp(now_s, tz=UTC)).total_seconds())


def wait_ms(attempts: int, asked_s: float, left_ms: int, tunables: WebhookTunables) -> int:
    """The wait until the next attempt. `attempts`: how many have failed before this one; `left_ms`: the time until the
    event is parked, in which there is another attempt at its end.
    """
    grown_s = tunables.first_retry_s * tunables.retry_factor ** min(attempts, 100)
    wait_s = min(grown_s, tunables.max_retry_s) * (1 + tunables.jitter * (2 * random() - 1))  # noqa: S311
    asked_s = min(asked_s, tunables.max_retry_after_s)
    return min(round(max(wait_s, asked_s) * 1000), max(0, left_ms))
