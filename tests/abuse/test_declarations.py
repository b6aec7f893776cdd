"""The collection of what subsystems declare for tests."""

from types import SimpleNamespace
from typing import Any

import pytest

from tests.declarations import declared


def module(**constants: Any) -> Any:
    return SimpleNamespace(__name__="tests.wrong.declares", **constants)


def test_constants_of_all_subsystems_and_of_others_are_collected() -> None:
    found = declared("ANYBODYS", [module(ANYBODYS={("some.command", "user")})])
    assert {("some.command", "user"), ("user.block", "user")} < set(found)


def test_an_unknown_constant_and_a_second_declaration_are_refused() -> None:
    with pytest.raises(ValueError, match=r"tests\.wrong\.declares: unknown \['FACTORYS'\]"):
        declared("FACTORIES", [module(FACTORYS={})])
    with pytest.raises(ValueError, match="declared elsewhere too"):
        declared("FACTORIES", [module(FACTORIES={"user": None})])
