"""H3: no pattern of ours can be made to think for long, and nobody else's is ever compiled."""

import importlib
import pkgutil
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

import chatd

EVIL = (
    "a" * 50_000 + "!",
    "." * 50_000 + "!",
    "eyJ" * 17_000,
    "-" * 50_000 + "\n",
    "0" * 50_000 + "g",
    " " * 50_000 + "x",
    "=" * 50_000,
)


def patterns() -> Iterator[tuple[str, "re.Pattern[Any]"]]:
    for info in pkgutil.walk_packages(chatd.__path__, "chatd."):
        if info.name.endswith("__main__"):
            continue
        for name, value in vars(importlib.import_module(info.name)).items():
            if isinstance(value, re.Pattern):
                yield f"{info.name}.{name}", value


@pytest.mark.parametrize("pattern", [pytest.param(value, id=name) for name, value in patterns()])
def test_a_pattern_is_linear(pattern: "re.Pattern[Any]") -> None:
    for text in EVIL:
        given = text.encode() if isinstance(pattern.pattern, bytes) else text
        before = time.thread_time()
        for _ in pattern.finditer(given):
            pass
        pattern.fullmatch(given)
        assert time.thread_time() - before < 0.5
