"""Where the configuration comes from: defaults, chatd.toml, CHATD_* variables, secret files; later ones win.

A variable holds a value of TOML. A text needs no quotes, and a list may be written with commas.

Every mistake is named with its key, its value, and the file and line or the variable it came from; all of them at once.
"""

import difflib
import re
import secrets
import stat
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec.structs import replace

from chatd.core import setting_rules
from chatd.core.config import NAMED, SECRETS, Config, Section, is_secret
from chatd.core.errors import OperatorError

PREFIX = "CHATD_"
FILE_VARIABLE = "CHATD_CONFIG"
SECTIONS: dict[str, type[Section]] = {name: kind for name, kind in get_type_hints(Config).items() if name not in NAMED}
HEADER, KEY = re.compile(r"\[([^\[\]]+)\]"), re.compile(r"[A-Za-z0-9_-]+")
# What Kubernetes and Docker give a container beside a service called chatd: CHATD_HTTP_PORT=tcp://10.0.0.1:8081.
LINK = re.compile("(tcp|udp|sctp)://")
OF_SERVICES = re.compile(r"_(SERVICE_HOST|SERVICE_PORT|PORT)(_|$)")
# How much of a name must be right to be meant, unless it begins with a section: CHATD_POSTGRES_URL.
CLOSE = 0.85
# What other programs call the address of a server, or a part of it.
OTHER_NAMES = {
    **{f"postgres{name}": "postgres.dsn" for name in ("url", "uri", "host", "port", "user", "username", "password", "database")},
    **dict.fromkeys(("databaseurl", "databaseuri", "databasedsn", "postgresqlurl", "pgdsn"), "postgres.dsn"),
    **dict.fromkeys(("redisdsn", "redisuri", "redisaddress"), "redis.url"),
}
# Names of settings under which clients of chatd may keep its address and a token.
OF_CLIENTS = ("url", "token")
TRUE, FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


class ConfigError(Exception):
    """What is wrong with the configuration, one line each."""


@dataclass
class Found:
    """Values by `section.key` (of named sections: `tenants.name.key`), where each came from, and what was wrong."""

    values: dict[str, Any] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def put(self, key: str, value: Any, source: str) -> None:
        self.values[key] = value
        self.sources[key] = source


@dataclass(frozen=True)
class Loaded:
    """The configuration, and where each value that is not a default came from."""

    config: Config
    sources: Mapping[str, str]
    path: Path | None
    # What is well enough to go on with, and should be mended.
    warnings: Sequence[str] = ()


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
    return Loaded(config, found.sources, path, [*found.warnings, *any_origin(config)])


def find_file(environment: Mapping[str, str]) -> Path | None:
    if environment.get(FILE_VARIABLE):
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
    if any(is_secret(key.rpartition(".")[2]) and value for key, value in flat(tables)):
        warn_of_readers(path, found)
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
    """CHATD_SECTION__KEY, and CHATD_TENANTS__NAME__KEY. What is nearly the name of a setting is refused; the rest is not ours."""
    for name in sorted(environment):
        if name.startswith(PREFIX) and "__" in name and not name.startswith(f"{PREFIX}_"):
            key = name[len(PREFIX) :].lower().replace("__", ".")
            found.put(key, from_text(environment[name], type_of(key)), name)
        elif (meant := meant_variable(name, environment[name])) is not None:
            found.problems.append(f"{name}: there is no such variable; did you mean {meant}?")


def meant_variable(name: str, value: str) -> str | None:
    """The right name of a variable that is nearly a setting."""
    letters = letters_of(name)
    if name == FILE_VARIABLE or not letters.startswith("chatd") or (name.endswith("_PORT") and LINK.match(value)):
        return None
    letters = letters.removeprefix("chatd")
    if letters.startswith("config"):
        return FILE_VARIABLE
    if incomplete := " or ".join(map(variable_of, keys_without_section(letters))):
        return incomplete
    known = {letters_of(key): key for key in known_keys()} | OTHER_NAMES
    for family, kind in NAMED.items():
        for field_name in kind.__struct_fields__:
            start, end = letters_of(family), letters_of(field_name)
            if letters.startswith(start) and letters.endswith(end) and len(letters) > len(start + end):
                known[letters] = f"{family}.{letters.removeprefix(start).removesuffix(end)}.{field_name}"
    begins_like_ours = any(name.startswith(f"{PREFIX}{section.upper()}_") for section in SECTIONS)
    cutoff = 0.0 if begins_like_ours and not OF_SERVICES.search(name) else CLOSE
    close = difflib.get_close_matches(letters, known, n=1, cutoff=cutoff)
    return variable_of(known[close[0]]) if close else None


def keys_without_section(letters: str) -> list[str]:
    """The settings of this name, of whatever section; or the first one of the section of this name."""
    found = [key for key in known_keys() if letters_of(key.rpartition(".")[2]) == letters and letters not in OF_CLIENTS]
    found += [f"{section}.{kind.__struct_fields__[0]}" for section, kind in SECTIONS.items() if letters_of(section) == letters]
    return found + [
        f"{family}.NAME.{kind.__struct_fields__[0]}" for family, kind in NAMED.items() if letters_of(family) == letters
    ]


def letters_of(name: str) -> str:
    """A name without what is between its words."""
    return re.sub("[^a-z0-9]", "", name.lower())


def variable_of(key: str) -> str:
    return PREFIX + key.upper().replace(".", "__")


@cache
def hints_of(kind: type[Section], *, rules: bool = False) -> dict[str, Any]:
    """The types of the settings of a section, with their rules or without."""
    return get_type_hints(kind, include_extras=rules)


def type_of(key: str) -> Any:
    """The declared type of a key, or None when there is none."""
    section, _, name = key.rpartition(".")
    kind = kind_of(section)
    return hints_of(kind).get(name) if kind else None


def kind_of(section: str) -> type[Section] | None:
    """The struct of a section, by its name or by `tenants.name` and its like."""
    family, dot, one = section.partition(".")
    return (NAMED.get(family) if one else None) if dot else SECTIONS.get(section)


def from_text(text: str, kind: Any) -> Any:
    """A variable as a value of this type; as it is when it does not fit, to be refused with the rest."""
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


def read_secret_files(found: Found) -> None:
    """`secret_file` and its like: the content of the file is the value of the key without `_file`."""
    for key, name in list(found.values.items()):
        if key.endswith("_file") and name and not problem_with(key, name):
            try:
                text = Path(name).read_text(encoding="utf8").removesuffix("\n")
            except (OSError, UnicodeDecodeError) as error:
                found.problems.append(f"{key} = {name!r} ({found.sources[key]}): cannot be read: {error}")
            else:
                key_of_content = key.removesuffix("_file")
                if is_secret(key_of_content.rpartition(".")[2]):
                    warn_of_readers(Path(name), found)
                value = lines_of(text) if type_of(key_of_content) == list[str] else text
                found.put(key_of_content, value, f"{name} (from {found.sources[key]})")


def warn_of_readers(path: Path, found: Found) -> None:
    """A secret that other users of the machine can read."""
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        found.warnings.append(f"{path} holds a secret and is open to other users: chmod 600 {path}")


def any_origin(config: Config) -> Iterator[str]:
    """Any page in the browser of a user may then act with what it can get hold of."""
    for key, origins in (("gateway.origins", config.gateway.origins), ("http.cors_origins", config.http.cors_origins)):
        if "*" in origins:
            yield f'{key} has "*": every web page may connect; name the origins of yours'


def lines_of(text: str) -> list[str]:
    """A list as a file: one a line, without empty ones and those that begin with #."""
    return [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]


def build(found: Found) -> Config | None:
    """The structs, with every problem noted."""
    tables: dict[str, dict[str, Any]] = {}
    for key, value in found.values.items():
        problem = problem_with(key, value, found.sources[key])
        if problem:
            found.problems.append(f"{one_line(key)} = {shown(key, value)} ({one_line(found.sources[key])}): {problem}")
            continue
        section, _, name = key.rpartition(".")
        family, _, one = section.partition(".")
        home = tables.setdefault(family, {})
        (home.setdefault(one, {}) if one else home)[name] = value
    if found.problems:
        return None
    return msgspec.convert(tables, Config)


def problem_with(key: str, value: Any, source: str = "") -> str:
    """Why this value cannot be; empty when it can."""
    section, _, name = key.rpartition(".")
    kind = kind_of(section)
    if kind is None or not is_setting(key):
        close = similar_key(key)
        variable = f" Its variable is {variable_of(close)}." if close and source.startswith(PREFIX) else ""
        return f"there is no such setting{f'; did you mean {close}?{variable}' if close else ''}"
    try:
        msgspec.convert({name: value}, kind)
        apply_rules(hints_of(kind, rules=True)[name], value)
        if value == "" and getattr(kind(), name):
            return "it is empty: leave it out for the default"
    except msgspec.ValidationError as error:
        return str(error).partition(" - at")[0]
    except ValueError as error:
        return str(error)
    return ""


def apply_rules(hint: Any, value: Any) -> None:
    """What a type cannot say; an empty text is one that is not set. Raises ValueError."""
    if isinstance(value, str):
        setting_rules.text(value)
    if get_origin(hint) is list:
        for one in value:
            apply_rules(get_args(hint)[0], one)
            if not one:
                raise ValueError("a text of the list is empty")
    elif get_origin(hint) is Annotated:
        apply_rules(get_args(hint)[0], value)
        for meta in hint.__metadata__:
            if value and meta.extra:
                meta.extra["rule"](value)


def similar_key(key: str) -> str | None:
    """The setting that is meant by one that is not there. Of another section only one of the same name that is no secret."""
    section, _, name = key.rpartition(".")
    if letters_of(key) in OTHER_NAMES:
        return OTHER_NAMES[letters_of(key)]
    kind = kind_of(section)
    if kind and (close := difflib.get_close_matches(name, kind.__struct_fields__, n=1)):
        return f"{section}.{close[0]}"
    if section in SECTIONS:
        return next((known for known in known_keys() if known.endswith(f".{name}") and not is_secret(name)), None)
    return similar_named(*key.split(".")) or next(iter(difflib.get_close_matches(key, known_keys(), n=1)), None)


def similar_named(family: str, *rest: str) -> str | None:
    """The same for sections that have names: `tenant.acme.secret`, `admins.token`, `queues.trios_size`."""
    families = [family] if family in NAMED else difflib.get_close_matches(family, NAMED, n=1, cutoff=CLOSE)
    if not families or not rest or family in SECTIONS:
        return None
    fields = NAMED[families[0]].__struct_fields__
    one, field_name = (rest[0], "_".join(rest[1:])) if len(rest) > 1 else divided(rest[0], fields)
    close = difflib.get_close_matches(field_name, fields, n=1) if field_name else fields
    return f"{families[0]}.{one or 'NAME'}.{close[0]}" if close else None


def divided(text: str, fields: Sequence[str]) -> tuple[str, str]:
    """The name of a section and of a setting that are joined, or only one of the two."""
    if text in fields:
        return "NAME", text
    ends = [name for name in fields if text.endswith(f"_{name}")]
    longest = max(ends, key=len, default="")
    return text.removesuffix(f"_{longest}") if longest else text, longest


def one_line(text: str) -> str:
    """A name from outside, for an error message."""
    return "".join(sign if sign.isprintable() else "?" for sign in text)


def known_keys() -> list[str]:
    return [f"{section}.{name}" for section, kind in SECTIONS.items() for name in kind.__struct_fields__]


def shown(key: str, value: Any) -> str:
    """A value for people: a secret is never shown, nor what may have been meant as one."""
    name = key.rpartition(".")[2]
    hidden = is_secret(name) if is_setting(key) else any(word in f"{name} {similar_key(key)}" for word in SECRETS)
    return ("[secret]" if value else '""') if hidden else one_line(repr(value))


def is_setting(key: str) -> bool:
    section, _, name = key.rpartition(".")
    kind = kind_of(section)
    return kind is not None and name in kind.__struct_fields__


def effective(loaded: Loaded) -> Iterator[tuple[str, str, str]]:
    """Key, value and source of every setting; secrets hidden."""
    sections = {section: getattr(loaded.config, section) for section in SECTIONS}
    named = {f"{family}.{name}": one for family in NAMED for name, one in getattr(loaded.config, family).items()}
    for section, struct in {**sections, **named}.items():
        for name in struct.__struct_fields__:
            key = f"{section}.{name}"
            yield key, shown(key, getattr(struct, name)), loaded.sources.get(key, "default")


def ensure_secrets(config: Config, *, make: bool = True) -> Config:
    """On a laptop nothing has to be configured: secrets are made once and kept in the data folder.

    Only with the embedded Postgres: nodes that share a database must share their secrets, which one of them cannot invent.
    Without `make` nothing is written: a secret that is not there yet is one for this process. Raises OperatorError.
    """
    auth, alone = config.auth, not config.postgres.dsn
    if alone and not auth.secret and auth.algorithm == "HS256":
        config = replace(config, auth=replace(auth, secret=kept(config, "secret", make=make) or secrets.token_urlsafe(48)))
    config = with_installation_secret(config, make=make and alone)
    if alone and not config.data.secret:
        config = replace(config, data=replace(config.data, secret=secrets.token_urlsafe(48)))
    return config


def with_installation_secret(config: Config, *, make: bool) -> Config:
    """With the secret of the installation, from the configuration or the data folder. `make` it when there is none."""
    secret = config.data.secret or kept(config, "installation_secret", make=make)
    return replace(config, data=replace(config.data, secret=secret))


def kept(config: Config, name: str, *, make: bool) -> str:
    """A secret in a file of the data folder, "" where there is none. `make` one then. Raises OperatorError."""
    path = Path(config.data.dir) / name
    try:
        if secret := path.read_text(encoding="utf8").strip():
            return secret
        raise OperatorError(f"{path} is empty: put the secret back, or remove the file for a new one")
    except (FileNotFoundError, NotADirectoryError):
        if not make:
            return ""
    except (OSError, UnicodeDecodeError) as error:
        fix = "run chatd as the owner of data.dir, or set data.dir to a folder of yours"
        raise OperatorError(f"{path} cannot be read ({reason_of(error)}): {fix}") from None
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
        path.write_text(secret := secrets.token_urlsafe(48), encoding="utf8")
    except OSError as error:
        fix = "let chatd write there, or set data.dir to a folder that it can write to"
        raise OperatorError(f"{path} cannot be written ({reason_of(error)}): {fix}") from None
    return secret


def reason_of(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
