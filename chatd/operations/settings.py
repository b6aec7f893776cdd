"""Settings of operations."""

from typing import Annotated

from msgspec import Meta

from chatd.core.config import SECRET, Declaration, Section, Settings, doc


class MetricsSettings(Section, frozen=True):
    token: Annotated[
        str,
        SECRET,
        Meta(pattern=r"^(\S{16,})?\Z"),
        doc("Token for /metrics, at least 16 bytes; without it only requests from localhost are answered."),
    ] = ""
    token_file: Annotated[str, doc("File that contains the token, instead of token.")] = ""


SETTINGS: tuple[Declaration, ...] = (Settings("metrics", MetricsSettings),)
