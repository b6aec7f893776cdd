"""What `chatd check` examines of the filters."""

from collections.abc import Iterator

from chatd.accounts.settings import TenantSettings
from chatd.accounts.token_rules import DEFAULT_TENANT
from chatd.app.checks import Finding
from chatd.core.config import Config
from chatd.core.settings import one_line
from chatd.filters.service import InvalidFilters, check_filters
from chatd.filters.settings import FilterSettings


def check_settings(config: Config) -> Iterator[Finding]:
    try:
        check_filters(config)
    except InvalidFilters as error:
        yield Finding("filters", False, str(error), "see docs/filters.md", "settings.filters")
    tenants = {DEFAULT_TENANT, *config.named(TenantSettings)}
    for name in config.named(FilterSettings):
        if name not in tenants:
            detail = f"[tenant_filters.{one_line(name)}]: no tenant has this name"
            yield Finding("names", False, detail, "correct the name of the section", "settings.names")
