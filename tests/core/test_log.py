"""Log lines: masked credentials, escapes, bounded length."""

import json
import logging

import pytest

from chatd.core.log import MAX_CHARS, JsonLines, TextLines, clean

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"


def record(message: str, **extra: object) -> logging.LogRecord:
    made = logging.makeLogRecord({"msg": message, "levelname": "INFO", "name": "chatd.test"})
    vars(made).update(extra)
    return made


@pytest.mark.parametrize(
    "text",
    [
        f"Authorization: Bearer {JWT}",
        f"GET /v1/ws?token={JWT}&x=1",
        "GET /v1/ws?ticket=ct_abcdefghijklmnopqrstuvwxyz123456",
        f"Sec-WebSocket-Protocol: chatd.v1.json, bearer.{JWT}",
        "refresh cr_abcdefghijklmnopqrstuvwxyz123456",
        "Bearer opaque-but-secret",
    ],
)
def test_credentials_are_masked_at_any_position(text: str) -> None:
    secret = text.split()[-1].rpartition("=")[2].removeprefix("bearer.") if "&" not in text else JWT
    for line in (clean(text), JsonLines().format(record(text)), JsonLines().format(record("x", header=text))):
        assert secret not in line
        assert "[secret]" in line


@pytest.mark.parametrize(
    "form",
    [
        "eyJ{}",
        "eyJhbGciOiJIUzI1NiJ9.{}.c2ln",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.{}",
        "Bearer {}",
        "bearer {}",
        "Authorization: Bearer x.{}",
        "chatd.v1.json, bearer.{}",
        "GET /v1/ws?token={}&x=1",
        "GET /v1/ws?ticket=ct_{}",
        "refresh cr_{}",
        "join by ci_{}",
    ],
)
@pytest.mark.parametrize("length", [22, 201, 4097, 60_000])
def test_long_credential_is_masked_completely(form: str, length: int) -> None:
    secret = ("SECRET" * (length // 6 + 1))[:length]
    text = form.format(secret)
    try:
        raise ValueError(text)
    except ValueError as error:
        made = record(text, exc_info=(ValueError, error, error.__traceback__), header=text)
    for line in (clean(text), JsonLines().format(made), TextLines().format(made)):
        assert "SECRET" not in line.replace("SECRETS", "")
        assert "[secret]" in line


@pytest.mark.parametrize(
    "form",
    ["token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.{}", "Bearer {}", "ws?token={}", "ws?ticket=ct_{}", "cr_{}", "'ci_{}"],
)
def test_truncated_credential_is_masked_completely(form: str) -> None:
    """By the limit of a line, wherever that falls, and by the caller before."""
    secret = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
    text = form.format(secret)
    for before in range(MAX_CHARS - len(text) - 2, MAX_CHARS + 2):
        line = clean("x" * (before - 1) + " " + text)
        assert not any(secret[at : at + 3] in line for at in range(len(secret) - 2)), line[-60:]
    for length in range(text.index(secret) + 3, len(text)):
        for line in (clean(text[:length]), clean(f"{text[:length]!r}")):
            assert not any(secret[at : at + 3] in line for at in range(len(secret) - 2)), line


def test_credential_in_an_exception_is_masked() -> None:
    try:
        raise ValueError(JWT)
    except ValueError as error:
        made = record("failed", exc_info=(ValueError, error, error.__traceback__))
    for form in (JsonLines(), TextLines()):
        shown = form.format(made)
        assert JWT not in shown
        assert "ValueError" in shown


def test_control_characters_are_escaped() -> None:
    evil = 'x\n{"level":"error"}\x1b[2J\u2028\x00'
    line = JsonLines().format(record(evil, field=evil))
    assert "\n" not in line
    assert "\x1b" not in line
    assert json.loads(line)["message"] == evil
    assert "\n" not in TextLines().format(record(evil, field=evil))
    assert "\x1b" not in TextLines().format(record(evil, field=evil))


def test_log_line_length_is_bounded() -> None:
    assert len(JsonLines().format(record("x" * 10**6, field="y" * 10**6))) < 5000
