"""Identifiers: UUIDv7 strings (RFC 9562, section 5.7), lower case, sortable by the millisecond they were made in."""

import os
import re

HEX = "[0-9a-f]"
# In Python `$` lets a final newline pass, which is not part of an id.
PYTHON_END = r"(?!\n)$"
# The form of an id within a larger pattern, and as a pattern by itself.
UUID = f"{HEX}{{8}}-{HEX}{{4}}-{HEX}{{4}}-{HEX}{{4}}-{HEX}{{12}}"
UUID_PATTERN = f"^{UUID}{PYTHON_END}"
IS_UUID = re.compile(UUID)
# The nil UUID (RFC 9562, section 5.9): not the id of any row, and less than every other.
NIL = "00000000-0000-0000-0000-000000000000"


def is_uuid(text: str) -> bool:
    """Whether a text has the form of an id."""
    return IS_UUID.fullmatch(text) is not None


def uuid7(now_ms: int) -> str:
    """A new id for something made at `now_ms`, milliseconds since 1970 UTC."""
    raw = bytearray((now_ms & 0xFFFF_FFFF_FFFF).to_bytes(6, "big") + os.urandom(10))
    raw[6] = 0x70 | raw[6] & 0x0F
    raw[8] = 0x80 | raw[8] & 0x3F
    return text_of(raw)


def first_id(at_ms: int) -> str:
    """The least id that can be made at `at_ms` or later."""
    return text_of(max(0, at_ms).to_bytes(6, "big") + bytes(10))


def text_of(raw: bytes | bytearray) -> str:
    """16 bytes in the form of an id."""
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def made_at(id_: str) -> int:
    """The creation time in an id, in milliseconds."""
    return int(id_[:8] + id_[9:13], 16)
