"""Parses the Range header of a request (RFC 9110, section 14)."""

import re

ONE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})\Z")


class Unsatisfiable(Exception):
    """The range is outside of the file."""


def wanted(header: str, size: int) -> tuple[int, int] | None:
    """The first byte and the one after the last; None for the whole file. Multiple and malformed ranges are ignored.

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
    """Whether If-None-Match contains this tag."""
    return any(tag.strip().removeprefix("W/") in (etag, "*") for tag in header[:4096].split(","))
