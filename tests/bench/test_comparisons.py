"""The comparisons with other servers in `bench/` run to their end with the present server."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHORT = ("--rounds", "1", "--events", "50", "--json")


@pytest.mark.parametrize(
    "options", [("--pairs", "3"), ("--pairs", "3", "--unanswered"), ("--members", "5")], ids=" ".join
)
def test_typing_is_delivered_to_the_end(options: tuple[str, ...]) -> None:
    """A repetition that the server does not send on would be waited for without end."""
    command = [sys.executable, "-m", "bench.typing", *SHORT, *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["bench"] == "typing"
