"""The generated files that people read are those that the code would write now."""

from pathlib import Path

import pytest

from chatd import __version__
from chatd.wire.reference.files import generated
from tests.golden.vectors import REGISTRY

DOCS = Path(__file__).parents[2] / "docs"
FILES = generated(REGISTRY.description, __version__)


@pytest.mark.parametrize("name", FILES)
def test_a_generated_file_is_fresh(name: str) -> None:
    assert (DOCS / name).read_text() == FILES[name], "stale: run `chatd schema --write docs`"
