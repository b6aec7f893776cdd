"""docs/capacity.md agrees with the calculation, and its commands exist."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from bench.capacity import ASSUMED, MEASURED, defaults, plan, rows

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "capacity.md").read_text()
COMMANDS = sorted(set(re.findall(r"(?:python -m bench\.\w+|chatd bench \w+)(?: --[^`\n]*)?", TEXT)))


def test_the_table_is_what_the_calculation_gives() -> None:
    users = (10_000, 100_000, 1_000_000)
    for row in [["users", *(f"{count:,}" for count in users)], *rows(users, defaults())]:
        assert f"| {' | '.join(row)} |" in TEXT


def test_the_figures_are_the_defaults() -> None:
    for name, (value, _) in MEASURED.items():
        assert re.search(rf"\| `--{name}` \| {value:,g} ", TEXT), name


def test_more_users_never_need_less() -> None:
    """And at some number of them a node could do nothing but read what the others publish."""
    plans = [plan(10.0**power, defaults()) for power in range(3, 9)]
    for name in plans[0]:
        known = [value for one in plans if (value := one[name]) is not None]
        assert known == sorted(known)
    assert plans[0]["nodes (one core each)"] == 1
    assert plans[-1]["nodes (one core each)"] is None


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_exists_with_its_options(command: str) -> None:
    words = shlex.split(command.replace("chatd bench", "python -m chatd bench"))
    options = [word for word in words if word.startswith("--")]
    program = words[1 : 5 if "chatd" in words else 3]
    done = subprocess.run([sys.executable, *program, "--help"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert all(option in done.stdout for option in options)


def test_every_assumption_can_be_changed() -> None:
    command = [sys.executable, "-m", "bench.capacity", "--users", "1000"]
    changed = [word for name in {**ASSUMED, **MEASURED} for word in (f"--{name}", "1")]
    done = subprocess.run([*command, *changed], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "cores of Postgres" in done.stdout
