"""Generates chatd.toml for `chatd init`: every setting with its default, below a comment that explains it."""

from collections.abc import Mapping
from textwrap import wrap
from typing import Annotated, Any, get_origin

import msgspec
from msgspec import Meta

from chatd.core.config import NamedSettings
from chatd.core.setting_names import SettingNames

HEAD = """\
# All settings of chatd, with their defaults.
# An environment variable CHATD_SECTION__KEY, such as CHATD_GATEWAY__PORT=9000, overrides this file.
# `chatd check --show` prints the effective values. Durations are in seconds unless the name has another unit.
"""
COMMENT_WIDTH = 120


def template(names: SettingNames, values: Mapping[str, Any]) -> str:
    """The text of chatd.toml, with these values (by `section.key`) instead of the defaults."""
    sections = (section_text(names, section, values) for section in names.sections)
    examples = (
        f"\n{declared.example}"
        for declared in names.declared
        if isinstance(declared, NamedSettings) and declared.example
    )
    return HEAD + "".join(sections) + "".join(examples)


def section_text(names: SettingNames, section: str, values: Mapping[str, Any]) -> str:
    lines = [f"\n[{section}]\n"]
    for name, kind in names.sections[section].items():
        key = f"{section}.{name}"
        text = meaning(names.type_of(key, rules=True))
        comment = "\n".join(wrap(text, COMMENT_WIDTH, initial_indent="# ", subsequent_indent="# "))
        lines.append(f"{comment}\n{name} = {toml(values.get(key, getattr(kind(), name)))}\n")
    return "".join(lines)


def meaning(hint: Any) -> str:
    """The doc line of a field."""
    metas = hint.__metadata__ if get_origin(hint) is Annotated else ()
    return " ".join(meta.description for meta in metas if isinstance(meta, Meta) and meta.description)


def toml(value: Any) -> str:
    """A value as TOML. JSON is valid TOML for the types of settings."""
    return msgspec.json.encode(value).decode()
