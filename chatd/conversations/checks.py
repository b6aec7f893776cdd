"""What `chatd check` examines of conversations."""

from collections.abc import Iterator

from chatd.accounts.settings import TenantSettings
from chatd.accounts.token_rules import DEFAULT_TENANT
from chatd.app.checks import Finding
from chatd.conversations.messages.screening import CannotScreen, check_screening
from chatd.conversations.settings import FilterSettings
from chatd.core.config import Config
from chatd.core.settings import one_line


def check_settings(config: Config) -> Iterator[Finding]:
    try:
        check_screening(config)
    except CannotScreen as error:
        yield Finding("filters", False, str(error), "see docs/filters.md", "settings.filters")
    tenants = {DEFAULT_TENANT, *config.named(TenantSettings)}
    for name in config.named(FilterSettings):
        if name not in tenants:
            detail = f"[tenant_filters.{one_line(name)}]: no tenant has this name"
            yield Finding("names", False, detail, "correct the name of the section", "settings.names")
