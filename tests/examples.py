"""How many examples Hypothesis makes."""

import os

# The run of each night makes ten times as many (.github/workflows/ci.yml).
DEPTH = int(os.environ.get("CHATD_TEST_DEPTH", "1"))


def examples(count: int) -> int:
    """The number of examples in a usual run."""
    return count * DEPTH
