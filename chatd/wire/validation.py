"""What types cannot say: NUL in texts, not-a-number, integers past a bigint, extension types, depth and size of free-form maps.

A negative zero becomes 0.0, because Postgres has no other and what is accepted must be what is read back. Postgres or another
client could not take the rest. Looking at every value is slow, so for each type of command it is known which fields can hold
such a thing at all; a NUL, which any text can hold, is searched for in the bytes first.
"""

from functools import cache
from math import inf, isfinite
from typing import Any

import msgspec
from msgspec import Struct, inspect

from chatd.core.errors import Refused

# 64 KiB hold 60,000 empty maps, which take 20 ms to look at. Nobody means that.
MOST_VALUES = 2000
SMALLEST, LARGEST = -(2**63), 2**63 - 1


class LooseEnds:
    """What the type of a command leaves open."""

    __slots__ = ("loose", "typed")

    def __init__(self, kind: type[Struct]) -> None:
        form = inspect.type_info(kind)
        assert isinstance(form, inspect.StructType)
        self.loose = tuple(field.name for field in form.fields if is_loose(field.type))
        self.typed = tuple(field.name for field in form.fields if not is_loose(field.type))

    def check(self, command: Struct, max_depth: int, *, nul: bool) -> None:
        """Raises Refused: `bad_request` with the path. The command itself is the first of `max_depth` levels.

        With `nul` there may be one in any text, so all fields are looked at.
        """
        for name in self.loose:
            value = getattr(command, name)
            if value:
                Look(MOST_VALUES).at(value, max_depth - 1, f"$.{name}")
        if nul:
            for name in self.typed:
                Look(inf).at(getattr(command, name), max_depth - 1, f"$.{name}")


@cache
def loose_ends(kind: type[Struct]) -> LooseEnds:
    """Those of this type, which several codecs and REST share."""
    return LooseEnds(kind)


def is_loose(form: inspect.Type) -> bool:
    match form:
        case inspect.StrType() | inspect.BoolType() | inspect.NoneType() | inspect.LiteralType():
            return False
        case inspect.Metadata():
            return is_loose(form.type)
        case inspect.IntType():
            return form.ge is None or form.le is None or form.ge < SMALLEST or form.le > LARGEST
        case inspect.ListType():
            return is_loose(form.item_type)
        case inspect.UnionType():
            return any(is_loose(part) for part in form.types)
        case inspect.StructType():
            return any(is_loose(field.type) for field in form.fields)
    return True


class Look:
    """One look through all values of a field, of which there may be so many."""

    __slots__ = ("_left",)

    def __init__(self, most: float) -> None:
        self._left = most

    def at(self, value: Any, depth: int, path: str) -> None:
        self._left -= 1
        if depth < 0:
            raise refused(path, "nested too deeply")
        if self._left < 0:
            raise refused(path, f"more than {MOST_VALUES} values")
        if isinstance(value, str):
            check_text(value, path)
        elif isinstance(value, dict):
            self._at_map(value, depth, path)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                self.at(item, depth - 1, f"{path}[{index}]")
                drop_sign_of_zero(value, index, item)
        elif isinstance(value, Struct):
            for name in value.__struct_fields__:
                self.at(getattr(value, name), depth - 1, f"{path}.{name}")
        else:
            check_scalar(value, path)

    def _at_map(self, value: dict[Any, Any], depth: int, path: str) -> None:
        for key, item in value.items():
            if not isinstance(key, str):
                raise refused(path, "keys must be str")
            check_text(key, path)
            self.at(item, depth - 1, f"{path}.{key[:32]}")
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
