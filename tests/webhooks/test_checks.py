"""What `chatd check` says of the settings of webhooks."""

from chatd.core.config import Config
from chatd.webhooks.checks import check_settings
from chatd.webhooks.settings import WebhookSettings


async def test_settings_that_contradict_each_other_are_found(config: Config) -> None:
    assert list(check_settings(config)) == []
    for settings, text in (
        (WebhookSettings(concurrency=4, endpoint_concurrency=8), "endpoint_concurrency is larger"),
        (WebhookSettings(timeout=60.0, retry_for=30.0), "timeout is longer"),
    ):
        (finding,) = check_settings(config.using(settings))
        assert text in finding.detail
