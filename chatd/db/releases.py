"""The oldest release of each server series without known vulnerabilities that concern chatd. Pure.

Distributions patch older releases under the same number, so an old one is a warning, not an error.
"""

import re

Version = tuple[int, ...]

FLOORS: dict[str, dict[Version, int]] = {
    # CVE-2025-8714, -8715 (pg_dump), CVE-2025-12817, -12818 (libpq).
    "postgres": {(15,): 15, (16,): 11, (17,): 7, (18,): 1},
    # CVE-2025-49844, -46817 and older ones of Lua. No release of 7.0 has the patches; Debian 12 patches 7.0.15.
    "redis": {(6, 2): 20, (7, 0): 15, (7, 2): 11, (7, 4): 6, (8, 0): 4, (8, 2): 2},
    "valkey": {(7, 2): 11, (8, 0): 6, (8, 1): 4},
}


def is_old(kind: str, version: Version) -> bool:
    """Whether a release is known to be vulnerable: of an ended series, or below the floor of its series."""
    floors, series = FLOORS[kind], version[:-1]
    return version[-1] < floors[series] if series in floors else series < max(floors)


def parse_version(text: str, count: int = 3) -> Version:
    """The first numbers of `7.0.15-debian` or `PostgreSQL 18.1`; missing ones are 0."""
    numbers = [int(number) for number in re.findall(r"\d+", text)]
    return tuple((numbers + [0] * count)[:count])


def warning(kind: str, version: Version) -> str:
    """The warning about a vulnerable release; empty if it is none."""
    shown = ".".join(map(str, version))
    return (
        f"{shown} has known vulnerabilities unless your distribution has patched them: update it"
        if is_old(kind, version)
        else ""
    )
