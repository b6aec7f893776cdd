"""What a client is told about a body of the wrong form: where it is wrong, and what is expected there."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta, Struct, inspect

from chatd.app.registry import Row
from chatd.core.ids import PYTHON_END
from chatd.subsystems import load_registry
from chatd.wire.base import Id
from chatd.wire.codec import tag_of
from chatd.wire.explanations import explain

ROWS = tuple(load_registry().commands.values())
Colour = Literal["red", "green", "blue"]


class Circle(Struct, tag="circle", forbid_unknown_fields=True):
    """One of two shapes."""

    colour: Colour = "red"
    weights: list[Literal[1, 2]] = []


class Square(Struct, tag="square"):
    """The other one."""

    name: Annotated[str, Meta(pattern=f"^[a-z]{PYTHON_END}", description="A letter")] | None = None


class Drawing(Struct):
    """Shapes at several depths."""

    shapes: list[Circle | Square] = []
    frame: Circle | None = None
    owner: Id | None = None
    plain: Annotated[str, Meta(pattern="^x$")] = "x"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"frame": {"type": "circle", "colour": "pink"}}, "$.frame.colour: expected blue, green or red, got 'pink'"),
        (
            {"shapes": [{"type": "square"}, {"type": "circle", "weights": [1, 3]}]},
            "$.shapes[1].weights[1]: expected 1 or 2, got 3",
        ),
        ({"shapes": [{"type": "cube"}]}, "$.shapes[0].type: expected circle or square, got 'cube'"),
        ({"shapes": [{"type": "square", "name": "ab"}]}, "$.shapes[0].name: expected a letter"),
        ({"owner": "x"}, "$.owner: expected UUID"),
        ({"plain": "y"}, "$.plain: expected str matching regex '^x$'"),
        ({"frame": {"type": "circle", "colour": 5}}, "$.frame.colour: expected str, got int"),
        (5, "$: expected object, got int"),
    ],
)
def test_choices_and_forms_are_named(body: Any, expected: str) -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert(body, Drawing)
    assert explain(caught.value, Drawing) == expected


def test_values_of_the_client_are_shortened() -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert({"frame": {"type": "circle", "colour": "x" * 5000}}, Drawing)
    assert len(explain(caught.value, Drawing)) < 300


def patterns_in(form: inspect.Type) -> Iterator[tuple[str, bool]]:
    """The patterns of a type, and whether they have a description."""
    match form:
        case inspect.Metadata(type=inspect.StrType(pattern=str(pattern)), extra_json_schema=schema):
            yield pattern, "description" in (schema or {})
        case inspect.Metadata():
            yield from patterns_in(form.type)
        case inspect.StrType(pattern=str(pattern)):
            yield pattern, False
        case inspect.UnionType():
            yield from (found for part in form.types for found in patterns_in(part))
        case inspect.ListType():
            yield from patterns_in(form.item_type)
        case inspect.DictType():
            yield from patterns_in(form.key_type)
            yield from patterns_in(form.value_type)
        case inspect.StructType():
            yield from (found for field in form.fields for found in patterns_in(field.type))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row.tag))
def test_patterns_have_a_description_and_refuse_a_final_newline(row: Row) -> None:
    """In Python `$` lets a final newline pass. A regular expression is no help to those who read a refusal."""
    for pattern, is_described in patterns_in(inspect.type_info(row.command)):
        assert is_described, f"{tag_of(row.command)}: give {pattern} a Meta(description=...)"
        assert pattern.endswith(PYTHON_END), f"{tag_of(row.command)}: end {pattern} with PYTHON_END"
