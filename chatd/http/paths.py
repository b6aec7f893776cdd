"""Accepts only paths that all programs read in the same way.

A proxy compares its rules with the path after decoding (RFC 3986, section 6.2.2): percent signs, dot segments, repeated
slashes. A path that does not change by decoding means the same to all programs.
"""

UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
# Characters that a path may contain unencoded (RFC 3986, `pchar`).
PLAIN = UNRESERVED | frozenset(b"!$&'()*+,;=:@")
HEX = frozenset(b"0123456789abcdefABCDEF")
# Characters that must not be percent-encoded: decoding would change the path.
SEPARATORS = frozenset(b"/\\")


def is_canonical(path: bytes) -> bool:
    """Whether decoding and normalization leave this path unchanged. It begins with a slash."""
    first, *segments = path.split(b"/")
    return (
        not first
        and bool(segments)
        and all(map(is_segment, segments[:-1]))
        and (not segments[-1] or is_segment(segments[-1]))
    )


def is_segment(segment: bytes) -> bool:
    """Whether a segment is not empty, `.` or `..`, and has only permitted characters and necessary encodings."""
    if segment in (b"", b".", b".."):
        return False
    plain, *encoded = segment.split(b"%")
    return PLAIN.issuperset(plain) and all(is_encoded(text[:2]) and PLAIN.issuperset(text[2:]) for text in encoded)


def is_encoded(digits: bytes) -> bool:
    """Whether these are the two hexadecimal digits of a byte that must be encoded."""
    if len(digits) != 2 or not HEX.issuperset(digits):
        return False
    byte = int(digits, 16)
    return byte not in UNRESERVED and byte not in SEPARATORS
