"""What `chatd check` examines of people."""

from collections.abc import Iterator

from chatd.app.checks import Finding
from chatd.core.config import Config
from chatd.core.settings import one_line
from chatd.people.handles import EXPECTED, handle_form
from chatd.people.settings import PeopleSettings


def check_settings(config: Config) -> Iterator[Finding]:
    for handle in config.get(PeopleSettings).reserved_handles:
        try:
            handle_form(handle)
        except ValueError:
            detail = f"people.reserved_handles: {one_line(handle)!r} cannot be a handle"
            yield Finding("handles", False, detail, EXPECTED, "settings.handles")
