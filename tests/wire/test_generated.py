"""The generated files in the repository are up to date."""

from pathlib import Path

from chatd import __version__
from chatd.wire.reference.files import generated
from chatd.wire.reference.typescript import client_routes
from tests.golden.vectors import REGISTRY

DOCS = Path(__file__).parents[2] / "docs"


def test_the_generated_files_are_fresh() -> None:
    for name, text in generated(REGISTRY.description, __version__).items():
        assert (DOCS / name).read_text() == text, f"{name} is stale: run `chatd schema --write docs`"


def test_the_routes_of_the_javascript_client_are_fresh() -> None:
    routes = (DOCS.parent / "web/client/src/routes.ts").read_text()
    assert routes == client_routes(REGISTRY.description), "run `make schema`"
