"""What `chatd check` examines of matching."""

import re
from collections.abc import Iterator

from chatd.app.checks import Finding
from chatd.core.config import Config
from chatd.core.settings import one_line
from chatd.matching.settings import QueueSettings

# What `queue` of match.find can name.
QUEUE = re.compile(r"[a-z0-9_-]{1,32}")


def check_settings(config: Config) -> Iterator[Finding]:
    for name in config.named(QueueSettings):
        if QUEUE.fullmatch(name) is None:
            detail = f"[queues.{one_line(name)}]: expected small letters, digits, - and _, at most 32"
            yield Finding("names", False, detail, "correct the name of the section", "settings.names")
