"""chatd.toml as `chatd init` writes it: every setting with its default, under a comment that explains it."""

from collections.abc import Mapping
from textwrap import wrap
from typing import Annotated, Any, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from chatd.core.config import Section
from chatd.core.settings import SECTIONS

HEAD = """\
# All settings of chatd, with their defaults.
# An environment variable CHATD_SECTION__KEY, such as CHATD_GATEWAY__PORT=9000, overrides this file.
# `chatd check --show` prints the effective values. Durations are in seconds unless the name has another unit.
"""
COMMENT_WIDTH = 120
TENANTS = """
# Additional tenants, each with its own users and its own key:
# [tenants.acme]
# secret = "at least 32 bytes"

# Filters for one tenant, which replace [filters] for it:
# [tenant_filters.acme]
# links = "none"

# Match queues with their own rules; all other queues use [match]:
# [queues.trios]
# size = 3

# Admins, who may use /admin on the HTTP port. The audit log records the name. Without any, /admin does not exist:
# [admins.ann]
# token_file = "/run/secrets/ann"
# tenants = ["acme"]
"""


def template(values: Mapping[str, Any]) -> str:
    """The file, with these values (by `section.key`) instead of the defaults."""
    return HEAD + "".join(section_text(name, kind, values) for name, kind in SECTIONS.items()) + TENANTS


def section_text(section: str, kind: type[Section], values: Mapping[str, Any]) -> str:
    default = kind()
    hints = get_type_hints(kind, include_extras=True)
    lines = [f"\n[{section}]\n"]
    for name in kind.__struct_fields__:
        value = values.get(f"{section}.{name}", getattr(default, name))
        comment = "\n".join(wrap(meaning(hints[name]), COMMENT_WIDTH, initial_indent="# ", subsequent_indent="# "))
        lines.append(f"{comment}\n{name} = {toml(value)}\n")
    return "".join(lines)


def meaning(hint: Any) -> str:
    """The doc line of a field."""
    metas = hint.__metadata__ if get_origin(hint) is Annotated else ()
    return " ".join(meta.description for meta in metas if isinstance(meta, Meta) and meta.description)


def toml(value: Any) -> str:
    """JSON is TOML for the types that settings have."""
    return msgspec.json.encode(value).decode()
