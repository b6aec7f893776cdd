"""Which bytes a request asks for (RFC 9110, section 14)."""

import re

ONE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})\Z")


class Unsatisfiable(Exception):
    """There are no such bytes."""


def wanted(header: str, size: int) -> tuple[int, int] | None:
    """First byte and the one behind the last; None for all of it. Several ranges, and what is no range, are not looked
    at.

    Raises Unsatisfiable.
    """
    found = ONE.match(header.replace(" ", ""))
    if found is None or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(size, int(last) + 1) if last else size
        if last and int(last) < start:
            return None
    if start >= size or start >= end:
        raise Unsatisfiable
    return start, end


def matches(header: str, etag: str) -> bool:
    """Whether one of the tags of If-None-Match is this one."""
    return any(tag.strip().removeprefix("W/") in (etag, "*") for tag in header[:4096].split(","))
