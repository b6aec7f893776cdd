"""What strikes lead to."""

import json
from pathlib import Path

import pytest

from chatd.core.settings import ConfigError, load
from chatd.moderation.escalation import Rung, parse_rung, rung_of
from chatd.moderation.settings import ModerationSettings
from chatd.subsystems import setting_names

LADDER = ["8:ever", "3:1d", "5:90m"]


@pytest.mark.parametrize(("strikes", "seconds"), [(3, 86_400), (4, 86_400), (5, 5400), (7, 5400), (8, None), (1000, None)])
def test_the_highest_rung_that_is_reached(strikes: int, seconds: int | None) -> None:
    rung = rung_of(LADDER, strikes)
    assert rung is not None
    assert rung.seconds == seconds


def test_below_the_first() -> None:
    assert [rung_of(LADDER, strikes) for strikes in (0, 1, 2)] == [None] * 3
    assert rung_of([], 100) is None


def test_the_default_can_be_read() -> None:
    assert [parse_rung(text) for text in ModerationSettings().strikes] == [Rung(3, 86_400), Rung(5, 604_800), Rung(8, None)]


@pytest.mark.parametrize("text", ["3", "3:", ":1d", "0:1d", "3:1w", "3:-1d", "x:1d", "3:1d\n", "3:ever more", "1000:1d"])
def test_what_is_no_rung_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "chatd.toml"
    path.write_text(f"[moderation]\nstrikes = {json.dumps([text, '5:7d'])}\n")
    with pytest.raises(ConfigError, match=r"moderation\.strikes = .*chatd\.toml:2"):
        load(path, {}, setting_names())


def test_from_a_variable() -> None:
    loaded = load(None, {"CHATD_MODERATION__STRIKES": "1:30s, 2:ever"}, setting_names())
    assert loaded.config.get(ModerationSettings).strikes == ["1:30s", "2:ever"]
