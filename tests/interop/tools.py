"""Programs that are not Python. CI installs them (`.ci/run`); elsewhere their tests are skipped with a hint."""

import os
import shutil

import pytest


def tool(name: str, package: str) -> str:
    """The path of a program. In CI, a missing program fails the test."""
    path = shutil.which(name)
    if path is None:
        missing = f"{name} is not installed: apt-get install {package}"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    return path
