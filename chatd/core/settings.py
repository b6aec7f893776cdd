"""Loads the configuration from defaults, chatd.toml, CHATD_* variables and secret files; later sources take precedence.

A variable contains a TOML value. A string needs no quotes, and a list may be separated by commas.

All errors are reported together, each with its key, its value, and its source: file and line, or variable.
"""

import re
import secrets
import stat
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec
from msgspec.structs import replace

from chatd.core import setting_rules
from chatd.core.config import KERNEL, Admin, Config, NamedSettings, Section
from chatd.core.errors import OperatorError
from chatd.core.setting_names import FILE_VARIABLE, PREFIX, SettingNames, variable_of

HEADER, KEY = re.compile(r"\[([^\[\]]+)\]"), re.compile(r"[A-Za-z0-9_-]+")
TRUE, FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


class ConfigError(Exception):
    """Problems of the configuration, one line each."""


@dataclass
class ConfigSources:
    """Values by `section.key` (of named sections: `tenants.name.key`), the source of each, and the problems."""

    names: SettingNames
    values: dict[str, Any] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def put(self, key: str, value: Any, source: str) -> None:
        self.values[key] = value
        self.sources[key] = source


class SettingSources(dict[str, str]):
    """The source of each setting that is not a default, by `section.key`. Found in `Node.services`."""


@dataclass(frozen=True)
class Loaded:
    """The configuration, and the source of each value that is not a default."""

    config: Config
    names: SettingNames
    sources: Mapping[str, str]
    path: Path | None
    # Problems that do not prevent a start.
    warnings: Sequence[str] = ()


def load(path: Path | None, environment: Mapping[str, str], names: SettingNames) -> Loaded:
    """Read all sources. Raises ConfigError."""
    found = ConfigSources(names)
    path = path or find_file(environment)
    if path is not None:
        read_file(path, found)
    read_environment(environment, found)
    read_secret_files(found)
    config = build(found)
    if found.problems or config is None:
        raise ConfigError("\n".join(found.problems))
    return Loaded(config, names, found.sources, path, [*found.warnings, *any_origin(config)])


def find_file(environment: Mapping[str, str]) -> Path | None:
    if environment.get(FILE_VARIABLE):
        return Path(environment[FILE_VARIABLE])
    here = Path("chatd.toml")
    return here if here.exists() else None


def read_file(path: Path, found: ConfigSources) -> None:
    try:
        text = path.read_text(encoding="utf8")
        tables = tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not TOML: {error}") from None
    lines = line_numbers(text)
    if any(found.names.is_secret(key) and value for key, value in flat(tables, found.names)):
        warn_of_readers(path, found)
    for key, value in flat(tables, found.names):
        found.put(key, value, f"{path}:{lines.get(key, 1)}")


def flat(tables: Mapping[str, Any], names: SettingNames) -> Iterator[tuple[str, Any]]:
    """Each `section.key` and its value; one more level below `tenants` and other families."""
    for section, table in tables.items():
        if not isinstance(table, dict):
            yield section, table
        elif section in names.families:
            for name, one in table.items():
                pairs = one.items() if isinstance(one, dict) else [("", one)]
                yield from ((f"{section}.{name}.{key}", value) for key, value in pairs)
        else:
            yield from ((f"{section}.{key}", value) for key, value in table.items())


def line_numbers(text: str) -> dict[str, int]:
    """The line number of each key, if headers and keys are on lines of their own."""
    lines, section = {}, ""
    for number, line in enumerate(text.splitlines(), start=1):
        key, equals, _ = map(str.strip, line.partition("="))
        if header := HEADER.match(line.strip()):
            section = header[1].strip().replace('"', "")
        elif equals and KEY.fullmatch(key):
            lines[f"{section}.{key}" if section else key] = number
    return lines


def read_environment(environment: Mapping[str, str], found: ConfigSources) -> None:
    """Read CHATD_SECTION__KEY, and CHATD_TENANTS__NAME__KEY.

    A variable that resembles a setting is an error; all others are ignored.
    """
    for name in sorted(environment):
        if name.startswith(PREFIX) and "__" in name and not name.startswith(f"{PREFIX}_"):
            key = name[len(PREFIX) :].lower().replace("__", ".")
            found.put(key, from_text(environment[name], found.names.type_of(key)), name)
        elif (meant := found.names.meant_variable(name, environment[name])) is not None:
            found.problems.append(f"{name}: unknown variable; did you mean {meant}?")


def from_text(text: str, kind: Any) -> Any:
    """Convert a variable to this type. A value that does not fit is returned unchanged, and reported later with the
    others.
    """
    bare = text.strip()
    if kind is bool and bare.lower() in TRUE + FALSE:
        return bare.lower() in TRUE
    if get_origin(kind) is list and not bare.startswith("["):
        return [part.strip() for part in bare.split(",") if part.strip()]
    is_text = kind in (None, str) or get_origin(kind) is Literal
    if is_text and not (len(bare) > 1 and bare[0] == bare[-1] and bare[0] in "\"'"):
        return text
    return from_toml(bare, text)


def from_toml(bare: str, text: str) -> Any:
    try:
        return tomllib.loads(f"value = {bare}\n")["value"] if "\n" not in bare else text
    except (tomllib.TOMLDecodeError, RecursionError):
        return text


def read_secret_files(found: ConfigSources) -> None:
    """Read `secret_file` and similar settings: the content of the file is the value of the key without `_file`."""
    for key, name in list(found.values.items()):
        if key.endswith("_file") and name and not problem_with(found.names, key, name):
            try:
                text = Path(name).read_text(encoding="utf8").removesuffix("\n")
            except (OSError, UnicodeDecodeError) as error:
                found.problems.append(f"{key} = {name!r} ({found.sources[key]}): cannot be read: {error}")
            else:
                key_of_content = key.removesuffix("_file")
                if found.names.is_secret(key_of_content):
                    warn_of_readers(Path(name), found)
                value = lines_of(text) if found.names.type_of(key_of_content) == list[str] else text
                found.put(key_of_content, value, f"{name} (from {found.sources[key]})")


def warn_of_readers(path: Path, found: ConfigSources) -> None:
    """Warn about a secret that other users of the machine can read."""
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        found.warnings.append(f"{path} contains a secret, and other users can access it. Run: chmod 600 {path}")


def any_origin(config: Config) -> Iterator[str]:
    """Warn about "*": any web page in the browser of a user could then use the credentials that it finds."""
    for key, origins in (("gateway.origins", config.gateway.origins), ("http.cors_origins", config.http.cors_origins)):
        if "*" in origins:
            yield f'{key} contains "*": any web page may connect. List your own origins instead'


def lines_of(text: str) -> list[str]:
    """A list in a file: one item per line; empty lines and lines that begin with # are skipped."""
    return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]


def build(found: ConfigSources) -> Config | None:
    """Build the structs, and note every problem."""
    names, tables = found.names, dict[str, dict[str, Any]]()
    for key, value in found.values.items():
        problem = problem_with(names, key, value, found.sources[key])
        if problem:
            where = one_line(found.sources[key])
            found.problems.append(f"{one_line(key)} = {redacted(names, key, value)} ({where}): {problem}")
            continue
        section, _, name = key.rpartition(".")
        tables.setdefault(section, {})[name] = value
    return None if found.problems else config_of(names, tables)


def config_of(names: SettingNames, tables: Mapping[str, Mapping[str, Any]]) -> Config:
    """Build the configuration from valid values by section, or `family.name`, and setting."""
    kernel = {}
    sections: dict[type[Section], Section] = {}
    families: dict[type[Section], dict[str, Section]] = {}
    for declared in names.declared:
        kind = declared.kind
        if isinstance(declared, NamedSettings):
            start = f"{declared.family}."
            value: Any = {key.removeprefix(start): part(kind, tables[key]) for key in tables if key.startswith(start)}
        else:
            value = part(kind, tables.get(declared.section, {}))
        if declared in KERNEL:
            kernel[declared.family if isinstance(declared, NamedSettings) else declared.section] = value
        elif isinstance(declared, NamedSettings):
            families[kind] = value
        else:
            sections[kind] = value
    return Config(**kernel, sections=sections, families=families)


def part(kind: type[Section], values: Mapping[str, Any]) -> Section:
    """The settings of one class in its section."""
    return msgspec.convert({name: value for name, value in values.items() if name in kind.__struct_fields__}, kind)


def problem_with(names: SettingNames, key: str, value: Any, source: str = "") -> str:
    """The problem of a value; empty if it is valid."""
    kind, name = names.kind_of(key), key.rpartition(".")[2]
    if kind is None:
        close = names.similar_key(key)
        variable = f" Its variable is {variable_of(close)}." if close and source.startswith(PREFIX) else ""
        return f"unknown setting{f'; did you mean {close}?{variable}' if close else ''}"
    try:
        msgspec.convert({name: value}, kind)
        apply_rules(names.type_of(key, rules=True), value)
        if value == "" and getattr(kind(), name):
            return "it is empty; omit it to use the default"
    except msgspec.ValidationError as error:
        return str(error).partition(" - at")[0]
    except ValueError as error:
        return str(error)
    return ""


def apply_rules(hint: Any, value: Any) -> None:
    """Check rules that types cannot express; an empty text counts as not set. Raises ValueError."""
    if isinstance(value, str):
        setting_rules.text(value)
    if get_origin(hint) is list:
        for one in value:
            apply_rules(get_args(hint)[0], one)
            if not one:
                raise ValueError("the list contains an empty string")
    elif get_origin(hint) is Annotated:
        apply_rules(get_args(hint)[0], value)
        for meta in hint.__metadata__:
            if value and "rule" in (meta.extra or {}):
                meta.extra["rule"](value)


def one_line(text: str) -> str:
    """An external name in one line, for an error message."""
    return "".join(sign if sign.isprintable() else "?" for sign in text)


def redacted(names: SettingNames, key: str, value: Any) -> str:
    """A value for display: secrets are masked, also under a misspelled key."""
    return ("[secret]" if value else '""') if names.may_be_secret(key) else one_line(repr(value))


def effective(loaded: Loaded) -> Iterator[tuple[str, str, str]]:
    """Key, value and source of every setting; secrets are masked."""
    yield from shown_settings(loaded.names, loaded.config, loaded.sources)


def shown_settings(names: SettingNames, config: Config, sources: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """Key, value and source of every setting of a configuration; secrets are masked."""
    for key, value in effective_values(names, config):
        yield key, redacted(names, key, value), sources.get(key, "default")


def effective_values(names: SettingNames, config: Config) -> Iterator[tuple[str, Any]]:
    for section, fields in names.sections.items():
        yield from (
            (f"{section}.{name}", getattr(section_of(config, section, kind), name)) for name, kind in fields.items()
        )
    for family, fields in names.families.items():
        named = {kind: family_of(config, kind) for kind in fields.values()}
        for one in dict.fromkeys(one for sections in named.values() for one in sections):
            values = ((name, named[kind].get(one, kind())) for name, kind in fields.items())
            yield from ((f"{family}.{one}.{name}", getattr(section, name)) for name, section in values)


def section_of(config: Config, section: str, kind: type[Section]) -> Section:
    kernel = getattr(config, section, None)
    return kernel if isinstance(kernel, kind) else config.get(kind)


def family_of(config: Config, kind: type[Section]) -> Mapping[str, Section]:
    return config.admins if kind is Admin else config.named(kind)


def ensure_installation_secret(config: Config, *, make: bool = True) -> Config:
    """With the embedded Postgres, a secret that is not configured is generated once and stored in the data folder.

    Nodes that share a database must share their secrets, so none is generated for them. Without `make` nothing is
    written: a secret that does not exist yet is then valid for this process only. Raises OperatorError.
    """
    config = with_installation_secret(config, make=make and is_alone(config))
    if is_alone(config) and not config.data.secret:
        config = replace(config, data=replace(config.data, secret=secrets.token_urlsafe(48)))
    return config


def is_alone(config: Config) -> bool:
    """Whether no other node can use the same database."""
    return not config.postgres.dsn


def with_installation_secret(config: Config, *, make: bool) -> Config:
    """The configuration with the secret of the installation, from the configuration or the data folder. `make`:
    generate a missing one.
    """
    secret = config.data.secret or kept(config, "installation_secret", make=make)
    return replace(config, data=replace(config.data, secret=secret))


def kept(config: Config, name: str, *, make: bool) -> str:
    """A secret in a file of the data folder, or "" if there is none. `make`: create it then. Raises OperatorError."""
    path = Path(config.data.dir) / name
    try:
        if secret := path.read_text(encoding="utf8").strip():
            return secret
        raise OperatorError(f"{path} is empty: restore the secret, or delete the file to generate a new one")
    except (FileNotFoundError, NotADirectoryError):
        if not make:
            return ""
    except (OSError, UnicodeDecodeError) as error:
        fix = "run chatd as the owner of data.dir, or set data.dir to a folder that you own"
        raise OperatorError(f"{path} cannot be read ({reason_of(error)}): {fix}") from None
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
        path.write_text(secret := secrets.token_urlsafe(48), encoding="utf8")
    except OSError as error:
        fix = "make it writable for chatd, or set data.dir to a writable folder"
        raise OperatorError(f"{path} cannot be written ({reason_of(error)}): {fix}") from None
    return secret


def reason_of(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
