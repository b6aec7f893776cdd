"""A served path has the same meaning for a proxy in front."""

import posixpath
import re
from itertools import product
from urllib.parse import quote, unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatd.http.paths import is_canonical

GOOD = [
    "/",
    "/healthz",
    "/v1/conversations/0190a3c4-6d00-7000-8000-00000000c001/messages",
    "/v1/x/reactions/" + quote("👍"),
    "/v1/x/reactions/" + quote("👍").lower(),
    "/v1/users/auth0%7C12@x:y,z;w",
    "/v1/users/100%25",
    "/v1/...",
    "/v1/.well-known",
    "/v1/conversations/",
]
BAD = [
    "",
    "admin",
    "//admin",
    "/v1//admin",
    "/admin//",
    "/v1/../admin",
    "/v1/./admin",
    "/v1/..",
    "/.",
    "/%61dmin",
    "/adm%69n/bans",
    "/%2561dmin/..",
    "/admin%2f",
    "/admin%2Fbans",
    "/v1/%2e%2e/admin",
    "/v1/.%2e/admin",
    "/v1/%2E/admin",
    "/v1/..%2fadmin",
    "/v1\\..\\admin",
    "/v1/%5c..%5cadmin",
    "/admin%",
    "/admin%2",
    "/admin%zz",
    "/admin#x",
    '/admin"',
    "/admin bans",
    "/v1/\xe9",
    "/%7Euser",
]


@pytest.mark.parametrize("path", GOOD)
def test_ordinary_paths_are_canonical(path: str) -> None:
    assert is_canonical(path.encode("latin-1"))


@pytest.mark.parametrize("path", BAD)
def test_ambiguous_paths_are_not_canonical(path: str) -> None:
    assert not is_canonical(path.encode("latin-1"))


def as_nginx_sees_it(path: bytes) -> bytes:
    """The path that nginx compares with `location`: decoded, slashes merged, dot segments resolved."""
    decoded = re.sub(rb"/+", b"/", unquote_to_bytes(path))
    end = b"/" if decoded.endswith((b"/", b"/.", b"/..")) else b""
    return posixpath.normpath(decoded).removesuffix(b"/") + end if decoded.startswith(b"/") else decoded


PIECES = [
    "/",
    "//",
    "/.",
    "/..",
    "%2e",
    "%2F",
    "%61",
    "a",
    "admin",
    "v1",
    "\\",
    "%5C",
    "%25",
    "%C3%A9",
    ";",
    "%00",
    "...",
]


def check(path: bytes) -> None:
    if is_canonical(path):
        assert as_nginx_sees_it(path) == unquote_to_bytes(path)


def test_nginx_and_chatd_see_the_same_path() -> None:
    for count in (1, 2, 3, 4):
        for pieces in product(PIECES, repeat=count):
            check("".join(("/", *pieces)).encode())


@given(st.lists(st.sampled_from(PIECES) | st.text(alphabet="/.%2ef61admin\\;", max_size=4), max_size=12))
def test_nginx_and_chatd_see_the_same_generated_path(pieces: list[str]) -> None:
    check("".join(("/", *pieces)).encode())
