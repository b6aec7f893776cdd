"""The escalation from strikes to bans."""

import json
from pathlib import Path

import pytest

from chatd.core.settings import ConfigError, load
from chatd.moderation.escalation import Step, parse_step, step_for
from chatd.moderation.settings import ModerationSettings
from chatd.subsystems import setting_names

ESCALATION = ["8:ever", "3:1d", "5:90m"]


@pytest.mark.parametrize(
    ("strikes", "seconds"), [(3, 86_400), (4, 86_400), (5, 5400), (7, 5400), (8, None), (1000, None)]
)
def test_highest_reached_step_applies(strikes: int, seconds: int | None) -> None:
    step = step_for(ESCALATION, strikes)
    assert step is not None
    assert step.seconds == seconds


def test_no_ban_below_the_first_step() -> None:
    assert [step_for(ESCALATION, strikes) for strikes in (0, 1, 2)] == [None] * 3
    assert step_for([], 100) is None


def test_default_escalation_is_valid() -> None:
    assert [parse_step(text) for text in ModerationSettings().strikes] == [
        Step(3, 86_400),
        Step(5, 604_800),
        Step(8, None),
    ]


@pytest.mark.parametrize(
    "text", ["3", "3:", ":1d", "0:1d", "3:1w", "3:-1d", "x:1d", "3:1d\n", "3:ever more", "1000:1d"]
)
def test_invalid_step_is_reported(tmp_path: Path, text: str) -> None:
    path = tmp_path / "chatd.toml"
    path.write_text(f"[moderation]\nstrikes = {json.dumps([text, '5:7d'])}\n")
    with pytest.raises(ConfigError, match=r"moderation\.strikes = .*chatd\.toml:2"):
        load(path, {}, setting_names())


def test_escalation_is_read_from_a_variable() -> None:
    loaded = load(None, {"CHATD_MODERATION__STRIKES": "1:30s, 2:ever"}, setting_names())
    assert loaded.config.get(ModerationSettings).strikes == ["1:30s", "2:ever"]
