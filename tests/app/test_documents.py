"""The generated tables in docs/ are those of the declarations."""

from pathlib import Path

import pytest

from chatd.app.documents import sections, stored_by, with_sections
from chatd.app.subsystem import Subsystem
from chatd.subsystems import SUBSYSTEMS

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("name", sections(()))
def test_the_generated_tables_are_fresh(name: str) -> None:
    text = (DOCS / name).read_text()
    assert with_sections(text, sections(SUBSYSTEMS)[name]) == text, f"docs/{name} is stale: run `make schema`"


def test_a_document_without_the_marks_of_a_table_is_refused() -> None:
    tables = {"one": "| a |\n"}
    text = "before\n<!-- generated: one -->\nold\n<!-- end of one -->\nafter\n"
    assert with_sections(text, tables) == "before\n<!-- generated: one -->\n\n| a |\n\n<!-- end of one -->\nafter\n"
    for wrong in ("", text + text, text.replace("generated: one", "generated: two"), text.replace("end of", "end")):
        with pytest.raises(ValueError, match="expected"):
            with_sections(wrong, tables)


def test_a_table_is_declared_once() -> None:
    with pytest.raises(ValueError, match="declared twice: audit_log"):
        stored_by([Subsystem(name="again", tables=stored_by([]).tables[1:2])])
