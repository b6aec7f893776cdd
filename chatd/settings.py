"""Where the configuration comes from: defaults, chatd.toml, CHATD_* variables, secret files; later ones win.

Every mistake is named with its key, its value, and the file and line or the variable it came from; all of them at once.
"""

import difflib
import re
import secrets
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_type_hints

import msgspec
from msgspec.structs import replace

from chatd.config import NAMED, Config, Section, is_secret

PREFIX = "CHATD_"
FILE_VARIABLE = "CHATD_CONFIG"
SECTIONS: dict[str, type[Section]] = {name: kind for name, kind in get_type_hints(Config).items() if name not in NAMED}
HEADER, KEY = re.compile(r"\[([^\[\]]+)\]"), re.compile(r"[A-Za-z0-9_-]+")
TRUE, FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


class ConfigError(Exception):
    """What is wrong with the configuration, one line each."""


@dataclass
class Found:
    """Values by `section.key` (of named sections: `tenants.name.key`), where each came from, and what was wrong."""

    values: dict[str, Any] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def put(self, key: str, value: Any, source: str) -> None:
        self.values[key] = value
        self.sources[key] = source


@dataclass(frozen=True)
class Loaded:
    """The configuration, and where each value that is not a default came from."""

    config: Config
    sources: Mapping[str, str]
    path: Path | None


def load(path: Path | None, environment: Mapping[str, str]) -> Loaded:
    """Read all sources. Raises ConfigError."""
    found = Found()
    path = path or find_file(environment)
    if path is not None:
        read_file(path, found)
    read_environment(environment, found)
    read_secret_files(found)
    config = build(found)
    if found.problems or config is None:
        raise ConfigError("\n".join(found.problems))
    return Loaded(config, found.sources, path)


def find_file(environment: Mapping[str, str]) -> Path | None:
    if FILE_VARIABLE in environment:
        return Path(environment[FILE_VARIABLE])
    here = Path("chatd.toml")
    return here if here.exists() else None


def read_file(path: Path, found: Found) -> None:
    try:
        text = path.read_text(encoding="utf8")
        tables = tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not TOML: {error}") from None
    lines = line_numbers(text)
    for key, value in flat(tables):
        found.put(key, value, f"{path}:{lines.get(key, 1)}")


def flat(tables: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """`section.key` and its value; one level more below `tenants` and its like."""
    for section, table in tables.items():
        if not isinstance(table, dict):
            yield section, table
        elif section in NAMED:
            for name, one in table.items():
                pairs = one.items() if isinstance(one, dict) else [("", one)]
                yield from ((f"{section}.{name}.{key}", value) for key, value in pairs)
        else:
            yield from ((f"{section}.{key}", value) for key, value in table.items())


def line_numbers(text: str) -> dict[str, int]:
    """The line of each key, as far as headers and keys stand alone on theirs."""
    lines, section = {}, ""
    for number, line in enumerate(text.splitlines(), start=1):
        key, equals, _ = map(str.strip, line.partition("="))
        if header := HEADER.match(line.strip()):
            section = header[1].strip().replace('"', "")
        elif equals and KEY.fullmatch(key):
            lines[f"{section}.{key}" if section else key] = number
    return lines


def read_environment(environment: Mapping[str, str], found: Found) -> None:
    """CHATD_SECTION__KEY, and CHATD_TENANTS__NAME__KEY."""
    for name in sorted(environment):
        if name.startswith(PREFIX) and "__" in name:
            key = name[len(PREFIX) :].lower().replace("__", ".")
            found.put(key, from_text(environment[name], type_of(key)), name)


def type_of(key: str) -> Any:
    """The declared type of a key, or None when there is none."""
    section, _, name = key.rpartition(".")
    kind = kind_of(section)
    return get_type_hints(kind).get(name) if kind else None


def kind_of(section: str) -> type[Section] | None:
    """The struct of a section, by its name or by `tenants.name` and its like."""
    family, dot, _ = section.partition(".")
    return NAMED.get(family) if dot else SECTIONS.get(section)


def from_text(text: str, kind: Any) -> Any:
    """A variable as a value of this type; as it is when it does not fit, to be refused with the rest."""
    if kind is bool and text.lower() in TRUE + FALSE:
        return text.lower() in TRUE
    if kind == list[str]:
        return [part.strip() for part in text.split(",") if part.strip()]
    if kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            return text
    return text


def read_secret_files(found: Found) -> None:
    """`secret_file` and its like: the content of the file is the value of the key without `_file`."""
    for key, name in list(found.values.items()):
        if key.endswith("_file") and name and isinstance(name, str):
            try:
                text = Path(name).read_text(encoding="utf8").removesuffix("\n")
            except (OSError, UnicodeDecodeError) as error:
                found.problems.append(f"{key} = {name!r} ({found.sources[key]}): cannot be read: {error}")
            else:
                key_of_content = key.removesuffix("_file")
                value = lines_of(text) if type_of(key_of_content) == list[str] else text
                found.put(key_of_content, value, f"{name} (from {found.sources[key]})")


def lines_of(text: str) -> list[str]:
    """A list as a file: one a line, without empty ones and those that begin with #."""
    return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]


def build(found: Found) -> Config | None:
    """The structs, with every problem noted."""
    tables: dict[str, dict[str, Any]] = {}
    for key, value in found.values.items():
        problem = problem_with(key, value)
        if problem:
            found.problems.append(f"{key} = {shown(key, value)} ({found.sources[key]}): {problem}")
            continue
        section, _, name = key.rpartition(".")
        family, _, one = section.partition(".")
        home = tables.setdefault(family, {})
        (home.setdefault(one, {}) if one else home)[name] = value
    if found.problems:
        return None
    return msgspec.convert(tables, Config)


def problem_with(key: str, value: Any) -> str:
    """Why this value cannot be; empty when it can."""
    section, _, name = key.rpartition(".")
    kind = kind_of(section)
    if kind is None or name not in kind.__struct_fields__:
        close = difflib.get_close_matches(key, known_keys(), n=1)
        return f"there is no such setting{f'; did you mean {close[0]}?' if close else ''}"
    try:
        msgspec.convert({name: value}, kind)
    except msgspec.ValidationError as error:
        return str(error).partition(" - at")[0]
    return ""


def known_keys() -> list[str]:
    return [f"{section}.{name}" for section, kind in SECTIONS.items() for name in kind.__struct_fields__]


def shown(key: str, value: Any) -> str:
    """A value for people: a secret is never shown."""
    return ("[secret]" if value else '""') if is_secret(key.rpartition(".")[2]) else repr(value)


def effective(loaded: Loaded) -> Iterator[tuple[str, str, str]]:
    """Key, value and source of every setting; secrets hidden."""
    sections = {section: getattr(loaded.config, section) for section in SECTIONS}
    named = {f"{family}.{name}": one for family in NAMED for name, one in getattr(loaded.config, family).items()}
    for section, struct in {**sections, **named}.items():
        for name in struct.__struct_fields__:
            key = f"{section}.{name}"
            yield key, shown(key, getattr(struct, name)), loaded.sources.get(key, "default")


def ensure_secrets(config: Config) -> Config:
    """On a laptop nothing has to be configured: secrets are made once and kept in the data folder.

    Only with the embedded Postgres: nodes that share a database must share their secrets, which one of them cannot invent.
    """
    auth, alone = config.auth, not config.postgres.dsn
    if alone and not auth.secret and auth.algorithm == "HS256":
        config = replace(config, auth=replace(auth, secret=kept(config, "secret", make=True)))
    return with_installation_secret(config, make=alone)


def with_installation_secret(config: Config, *, make: bool) -> Config:
    """With the secret of the installation, from the configuration or the data folder. `make` it when there is none."""
    secret = config.data.secret or kept(config, "installation_secret", make=make)
    return replace(config, data=replace(config.data, secret=secret))


def kept(config: Config, name: str, *, make: bool) -> str:
    """A secret in a file of the data folder, "" where there is none. `make` one then."""
    path = Path(config.data.dir) / name
    if make and not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(48), encoding="utf8")
    return path.read_text(encoding="utf8").strip() if path.exists() else ""
