"""What bounds a container of the server, for `test_containers`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Most:
    """At most as many entries as the constant `module.NAME`, or a field of it, says, times the number of objects."""

    constant: str


@dataclass(frozen=True)
class Setting:
    """At most as many entries as a setting says."""

    name: str


@dataclass(frozen=True)
class Fixed:
    """The entries are created at start: their number does not depend on use."""


@dataclass(frozen=True)
class Passing:
    """Entries belong to these, see `OWNERS` in `test_containers`, and are removed with them."""

    owner: str


@dataclass(frozen=True)
class OneEach:
    """At most one entry for each of these, which are bounded elsewhere."""

    what: str


Rule = Most | Setting | Fixed | Passing | OneEach
