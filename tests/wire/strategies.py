"""Any value that a wire type allows, from the type itself."""

from math import inf
from typing import Any, TypeVar

from hypothesis import strategies as st
from msgspec import Struct, inspect

from chatd.core.ids import UUID_PATTERN

# Made here, at the bottom of the stack: Python 3.11 compiles wrongly high up on it.
st.randoms().validate()

T = TypeVar("T", bound=Struct)
TEXT = st.characters(codec="utf-8", exclude_characters="\x00")
BIGINT = st.integers(-(2**63), 2**63 - 1)
SCALARS = st.none() | st.booleans() | BIGINT | st.floats(allow_nan=False, allow_infinity=False) | st.text(TEXT)


def anything(kind: type[T]) -> st.SearchStrategy[T]:
    """Structs of this type, as they may arrive."""
    form = inspect.type_info(kind)
    assert isinstance(form, inspect.StructType)
    return st.builds(kind, **{field.name: values_of(field.type) for field in form.fields})


def values_of(form: inspect.Type) -> st.SearchStrategy[Any]:
    match form:
        case inspect.Metadata():
            return values_of(form.type)
        case inspect.UnionType():
            return st.one_of([values_of(part) for part in form.types])
        case inspect.ListType():
            return st.lists(
                values_of(form.item_type), min_size=form.min_length or 0, max_size=min(form.max_length or 4, 4)
            )
        case inspect.DictType():
            return st.dictionaries(values_of(form.key_type), values_of(form.value_type), max_size=4)
        case inspect.IntType():
            return st.integers(-(2**63) if form.ge is None else form.ge, 2**63 - 1 if form.le is None else form.le)
        case inspect.StrType():
            return texts(form)
        case inspect.FloatType():
            return st.floats(form.ge, form.le, allow_nan=False, allow_infinity=False)
        case inspect.AnyType():
            return free_form()
        case inspect.StructType():
            return anything(form.cls)
        case inspect.LiteralType():
            return st.sampled_from(form.values)
        case inspect.BoolType():
            return st.booleans()
        case inspect.LiteralType():
            return st.sampled_from(form.values)
        case inspect.NoneType():
            return st.none()
    raise NotImplementedError(form)


def texts(form: inspect.StrType) -> st.SearchStrategy[str]:
    if form.pattern == UUID_PATTERN:
        return st.uuids().map(str)
    if form.pattern is not None:
        most = inf if form.max_length is None else form.max_length
        found = st.from_regex(form.pattern, fullmatch=True, alphabet=TEXT)
        return found.filter(lambda text: len(text) <= most)
    return st.text(TEXT, min_size=form.min_length or 0, max_size=form.max_length or 30)


def free_form() -> st.SearchStrategy[Any]:
    """What JSON can hold, not too deep."""
    return st.recursive(
        SCALARS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(TEXT, max_size=5), inner, max_size=3),
        max_leaves=8,
    )
