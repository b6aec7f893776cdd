"""The generated files in the repository are up to date."""

from pathlib import Path

from chatd import __version__
from chatd.wire.reference.files import generated
from tests.golden.vectors import REGISTRY

DOCS = Path(__file__).parents[2] / "docs"


def test_the_generated_files_are_fresh() -> None:
    for name, text in generated(REGISTRY.description, __version__).items():
        assert (DOCS / name).read_text() == text, f"{name} is stale: run `chatd schema --write docs`"
