"""What `chatd check` examines of webhooks."""

from collections.abc import Iterator

from chatd.app.checks import Finding
from chatd.core.config import Config
from chatd.webhooks.settings import WebhookSettings

FIX = "see docs/webhooks.md"


def check_settings(config: Config) -> Iterator[Finding]:
    """Settings that contradict each other."""
    settings = config.get(WebhookSettings)
    if settings.endpoint_concurrency > settings.concurrency:
        detail = (
            "webhooks.endpoint_concurrency is larger than webhooks.concurrency: one endpoint could delay all others"
        )
        yield Finding("webhooks", False, detail, FIX, "settings.webhooks")
    if settings.timeout > settings.retry_for:
        detail = "webhooks.timeout is longer than webhooks.retry_for: events would be parked after one attempt"
        yield Finding("webhooks", False, detail, FIX, "settings.webhooks")
