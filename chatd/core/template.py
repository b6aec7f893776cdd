"""chatd.toml as `chatd init` writes it: every setting with its default, its meaning above it."""

from collections.abc import Mapping
from typing import Annotated, Any, get_origin, get_type_hints

import msgspec
from msgspec import Meta

from chatd.core.config import Section
from chatd.core.settings import SECTIONS

HEAD = """\
# chatd: every setting, with its default.
# A variable CHATD_SECTION__KEY, such as CHATD_GATEWAY__PORT=9000, wins over this file. `chatd check --show` prints what counts.
# Units are in the names; times without one are seconds.
"""
TENANTS = """
# More tenants, each with its own users and its own key:
# [tenants.acme]
# secret = "at least 32 bytes"

# A tenant with filters of its own, instead of those of [filters]:
# [tenant_filters.acme]
# links = "none"

# Queues with rules of their own; any other name of a queue has those of [match]:
# [queues.trios]
# size = 3

# Who may use /admin on the HTTP door; the name is what the audit log says. Without any there is no /admin:
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
        lines.append(f"# {meaning(hints[name])}\n{name} = {toml(value)}\n")
    return "".join(lines)


def meaning(hint: Any) -> str:
    """The doc line of a field."""
    metas = hint.__metadata__ if get_origin(hint) is Annotated else ()
    return " ".join(meta.description for meta in metas if isinstance(meta, Meta) and meta.description)


def toml(value: Any) -> str:
    """JSON is TOML for the types that settings have."""
    return msgspec.json.encode(value).decode()
