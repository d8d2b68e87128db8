"""What a figure of hardware can be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from mbench.core import bounds, machine_types
from mbench.hardware import targets


def numbers(kind: type[Any], names: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the fields of a target that hold a number, with those that lead to them."""
    found = msgspec.inspect.type_info(kind)
    assert isinstance(found, msgspec.inspect.StructType)
    for field in found.fields:
        yield from _of_type(field.type, (*names, field.encode_name))


def _of_type(found: msgspec.inspect.Type, names: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if isinstance(found, msgspec.inspect.StructType):
        yield from ((names,) if found.cls is machine_types.Figure else numbers(found.cls, names))
    elif isinstance(found, msgspec.inspect.UnionType):
        yield from (path for one in found.types for path in _of_type(one, names))
    elif isinstance(found, msgspec.inspect.DictType):
        yield from _of_type(found.value_type, names)
    elif isinstance(found, msgspec.inspect.IntType | msgspec.inspect.FloatType):
        yield names


def test_every_figure_of_a_target_has_bounds_and_no_others_have() -> None:
    paths = [path for path in numbers(machine_types.Target) if path != ("tvm",)]
    keys = {next(key for key in (".".join(path[-2:]), path[-1]) if key in bounds.BOUNDS) for path in paths}
    assert keys == set(bounds.BOUNDS)


@pytest.mark.parametrize("name", targets.available())
def test_what_ships_is_within_the_bounds(name: str) -> None:
    assert list(bounds.beyond(targets.load(name))) == []
