"""The names of all settings, and suggestions for misspelled names."""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Annotated, Any, get_origin, get_type_hints

from msgspec import Meta

from chatd.core.config import KERNEL, Declaration, NamedSettings, Section

PREFIX = "CHATD_"
FILE_VARIABLE = "CHATD_CONFIG"
# Variables that Kubernetes and Docker set next to a service named chatd: CHATD_HTTP_PORT=tcp://10.0.0.1:8081.
LINK = re.compile("(tcp|udp|sctp)://")
OF_SERVICES = re.compile(r"_(SERVICE_HOST|SERVICE_PORT|PORT)(_|\Z)")
# Minimum similarity of a misspelt name. A variable that begins with a section, such as CHATD_POSTGRES_URL, needs none.
CLOSE = 0.85
# Names that other programs use for the address of a server, or a part of it.
OTHER_NAMES = {
    **{
        f"postgres{name}": "postgres.dsn"
        for name in ("url", "uri", "host", "port", "user", "username", "password", "database")
    },
    **dict.fromkeys(("databaseurl", "databaseuri", "databasedsn", "postgresqlurl", "pgdsn"), "postgres.dsn"),
    **dict.fromkeys(("redisdsn", "redisuri", "redisaddress"), "redis.url"),
}
# Names of settings under which clients of chatd may keep its address and a token.
OF_CLIENTS = ("url", "token")
# The class that declares each setting of a section.
Fields = Mapping[str, type[Section]]


class SettingNames:
    """All settings that the kernel and these subsystems declare. Raises ValueError if one is declared twice."""

    def __init__(self, declared: Iterable[Declaration] = ()) -> None:
        self.declared = (*KERNEL, *declared)
        self.sections: dict[str, dict[str, type[Section]]] = {}
        self.families: dict[str, dict[str, type[Section]]] = {}
        for one in self.declared:
            if isinstance(one, NamedSettings):
                add_fields(one.family, one.kind, self.families)
            else:
                add_fields(one.section, one.kind, self.sections)
        if both := self.sections.keys() & self.families.keys():
            raise ValueError(f"declared as a section and as a family of sections: {', '.join(sorted(both))}")
        self.secrets = frozenset(key.rpartition(".")[2] for key in self._all_keys() if self.is_secret(key))

    def fields_of(self, section: str) -> Fields | None:
        """The settings of `section`, or of `family.name`; None if there is no such section."""
        family, dot, name = section.partition(".")
        return (self.families.get(family) if name else None) if dot else self.sections.get(section)

    def kind_of(self, key: str) -> type[Section] | None:
        """The class that declares a setting; None if there is no such setting."""
        section, _, name = key.rpartition(".")
        return (self.fields_of(section) or {}).get(name)

    def type_of(self, key: str, *, rules: bool = False) -> Any:
        """The type of a setting, with its rules or without; None if there is no such setting."""
        kind = self.kind_of(key)
        return hints_of(kind, rules=rules)[key.rpartition(".")[2]] if kind else None

    def is_secret(self, key: str) -> bool:
        """Whether the value of this setting must not be shown."""
        hint = self.type_of(key, rules=True)
        metas = hint.__metadata__ if get_origin(hint) is Annotated else ()
        return any(isinstance(meta, Meta) and (meta.extra or {}).get("secret") for meta in metas)

    def may_be_secret(self, key: str) -> bool:
        """Whether the value must not be shown, because the key is a secret or resembles one."""
        if self.kind_of(key):
            return self.is_secret(key)
        return any(name in f"{key.rpartition('.')[2]} {self.similar_key(key)}" for name in self.secrets)

    def keys(self) -> list[str]:
        """All settings of sections without a name of their own."""
        return [f"{section}.{name}" for section, fields in self.sections.items() for name in fields]

    def _all_keys(self) -> Iterator[str]:
        yield from self.keys()
        yield from (f"{family}.NAME.{name}" for family, fields in self.families.items() for name in fields)

    def meant_variable(self, name: str, value: str) -> str | None:
        """The intended variable, if a name resembles that of a setting."""
        letters = letters_of(name)
        if name == FILE_VARIABLE or not letters.startswith("chatd") or (name.endswith("_PORT") and LINK.match(value)):
            return None
        letters = letters.removeprefix("chatd")
        if letters.startswith("config"):
            return FILE_VARIABLE
        if incomplete := " or ".join(map(variable_of, self._keys_without_section(letters))):
            return incomplete
        known = {letters_of(key): key for key in self.keys()} | OTHER_NAMES
        for family, fields in self.families.items():
            for field_name in fields:
                start, end = letters_of(family), letters_of(field_name)
                if letters.startswith(start) and letters.endswith(end) and len(letters) > len(start + end):
                    known[letters] = f"{family}.{letters.removeprefix(start).removesuffix(end)}.{field_name}"
        begins_like_ours = any(name.startswith(f"{PREFIX}{section.upper()}_") for section in self.sections)
        cutoff = 0.0 if begins_like_ours and not OF_SERVICES.search(name) else CLOSE
        close = difflib.get_close_matches(letters, known, n=1, cutoff=cutoff)
        return variable_of(known[close[0]]) if close else None

    def _keys_without_section(self, letters: str) -> list[str]:
        """The settings of this name in any section, or the first setting of the section of this name."""
        found = [
            key for key in self.keys() if letters_of(key.rpartition(".")[2]) == letters and letters not in OF_CLIENTS
        ]
        found += [
            f"{section}.{next(iter(fields))}"
            for section, fields in self.sections.items()
            if letters_of(section) == letters
        ]
        return found + [
            f"{family}.NAME.{next(iter(fields))}"
            for family, fields in self.families.items()
            if letters_of(family) == letters
        ]

    def similar_key(self, key: str) -> str | None:
        """The setting that an unknown key may mean.

        A setting of another section only if it has the same name and is not a secret.
        """
        section, _, name = key.rpartition(".")
        if letters_of(key) in OTHER_NAMES:
            return OTHER_NAMES[letters_of(key)]
        fields = self.fields_of(section)
        if fields and (close := difflib.get_close_matches(name, fields, n=1)):
            return f"{section}.{close[0]}"
        if section in self.sections:
            return next(
                (known for known in self.keys() if known.endswith(f".{name}") and not self.is_secret(known)), None
            )
        return self._similar_named(*key.split(".")) or next(
            iter(difflib.get_close_matches(key, self.keys(), n=1)), None
        )

    def _similar_named(self, family: str, *rest: str) -> str | None:
        """The same for families: `tenant.acme.secret`, `admins.token`, `queues.trios_size`."""
        families = (
            [family] if family in self.families else difflib.get_close_matches(family, self.families, n=1, cutoff=CLOSE)
        )
        if not families or not rest or family in self.sections:
            return None
        fields = tuple(self.families[families[0]])
        one, field_name = (rest[0], "_".join(rest[1:])) if len(rest) > 1 else divided(rest[0], fields)
        close = difflib.get_close_matches(field_name, fields, n=1) if field_name else fields
        return f"{families[0]}.{one or 'NAME'}.{close[0]}" if close else None


def add_fields(section: str, kind: type[Section], sections: dict[str, dict[str, type[Section]]]) -> None:
    """Add the settings of a class to its section. Raises ValueError."""
    fields = sections.setdefault(section, {})
    if twice := fields.keys() & set(kind.__struct_fields__):
        raise ValueError(f"the setting {section}.{min(twice)} is declared twice")
    fields.update(dict.fromkeys(kind.__struct_fields__, kind))


@cache
def hints_of(kind: type[Section], *, rules: bool = False) -> dict[str, Any]:
    """The types of the settings of a class, with their rules or without."""
    return get_type_hints(kind, include_extras=rules)


def divided(text: str, fields: Sequence[str]) -> tuple[str, str]:
    """Split the joined name of a section and a setting; one of them may be missing."""
    if text in fields:
        return "NAME", text
    ends = [name for name in fields if text.endswith(f"_{name}")]
    longest = max(ends, key=len, default="")
    return text.removesuffix(f"_{longest}") if longest else text, longest


def letters_of(name: str) -> str:
    """A name without separators."""
    return re.sub("[^a-z0-9]", "", name.lower())


def variable_of(key: str) -> str:
    return PREFIX + key.upper().replace(".", "__")
