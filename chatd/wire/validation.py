"""Validates what field types cannot declare: NUL in text, NaN, integers beyond a bigint, depth and size of free-form
maps.

Postgres or other clients could not process such values. A negative zero becomes 0.0: Postgres stores no other, and an
accepted value must be read back unchanged. Visiting every value is slow, so the fields that can contain such values are
determined once for each command; a NUL, which any text can contain, is first searched in the bytes.
"""

from functools import cache
from math import inf, isfinite
from typing import Any

import msgspec
from msgspec import Struct, inspect

from chatd.core.errors import Refused

# 64 KiB can contain 60,000 empty maps, which would take 20 ms to visit.
MAX_VALUES = 2000
SMALLEST, LARGEST = -(2**63), 2**63 - 1


class UntypedFields:
    """The fields of a command whose types do not fully constrain their values."""

    __slots__ = ("typed", "untyped")

    def __init__(self, kind: type[Struct]) -> None:
        form = inspect.type_info(kind)
        assert isinstance(form, inspect.StructType)
        self.untyped = tuple(field.name for field in form.fields if is_untyped(field.type))
        self.typed = tuple(field.name for field in form.fields if not is_untyped(field.type))

    def check(self, command: Struct, max_depth: int, *, nul: bool) -> None:
        """Validate the untyped fields of a command. Raises Refused: `bad_request` with the path. The command itself is
        the first of `max_depth` levels.

        `nul`: any text may contain NUL, so all fields are visited.
        """
        for name in self.untyped:
            value = getattr(command, name)
            if value:
                Walker(MAX_VALUES).visit(value, max_depth - 1, f"$.{name}")
        if nul:
            for name in self.typed:
                Walker(inf).visit(getattr(command, name), max_depth - 1, f"$.{name}")


@cache
def untyped_fields(kind: type[Struct]) -> UntypedFields:
    """The untyped fields of a command, shared by codecs and REST."""
    return UntypedFields(kind)


def is_untyped(form: inspect.Type) -> bool:
    match form:
        case inspect.StrType() | inspect.BoolType() | inspect.NoneType() | inspect.LiteralType():
            return False
        case inspect.Metadata():
            return is_untyped(form.type)
        case inspect.IntType():
            return form.ge is None or form.le is None or form.ge < SMALLEST or form.le > LARGEST
        case inspect.ListType():
            return is_untyped(form.item_type)
        case inspect.UnionType():
            return any(is_untyped(part) for part in form.types)
        case inspect.StructType():
            return any(is_untyped(field.type) for field in form.fields)
    return True


class Walker:
    """Visits all values of a field, at most `max_values`."""

    __slots__ = ("_left",)

    def __init__(self, max_values: float) -> None:
        self._left = max_values

    def visit(self, value: Any, depth: int, path: str) -> None:
        self._left -= 1
        if depth < 0:
            raise refused(path, "nested too deeply")
        if self._left < 0:
            raise refused(path, f"more than {MAX_VALUES} values")
        if isinstance(value, str):
            check_text(value, path)
        elif isinstance(value, dict):
            self._visit_map(value, depth, path)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                self.visit(item, depth - 1, f"{path}[{index}]")
                drop_sign_of_zero(value, index, item)
        elif isinstance(value, Struct):
            for name in value.__struct_fields__:
                self.visit(getattr(value, name), depth - 1, f"{path}.{name}")
        else:
            check_scalar(value, path)

    def _visit_map(self, value: dict[Any, Any], depth: int, path: str) -> None:
        for key, item in value.items():
            if not isinstance(key, str):
                raise refused(path, "keys must be str")
            check_text(key, path)
            self.visit(item, depth - 1, f"{path}.{key[:32]}")
            drop_sign_of_zero(value, key, item)


def drop_sign_of_zero(container: Any, place: Any, item: Any) -> None:
    if item.__class__ is float and item == 0:
        container[place] = 0.0


def check_text(value: str, path: str) -> None:
    if "\x00" in value:
        raise refused(path, "NUL is not allowed in text")


def check_scalar(value: Any, path: str) -> None:
    if value is None or isinstance(value, bool) or value is msgspec.UNSET:
        return
    if isinstance(value, float) and isfinite(value):
        return
    if isinstance(value, int) and SMALLEST <= value <= LARGEST:
        return
    raise refused(path, f"{type(value).__name__} with this value is not allowed")


def refused(path: str, why: str) -> Refused:
    return Refused("bad_request", f"{path[:200]}: {why}")
