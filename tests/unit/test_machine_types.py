"""Types of a target and a machine: a figure says where it is from."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from mbench.core.machine_types import Cache, Figure


@pytest.mark.parametrize("origin", [{"source": "a data sheet"}, {"estimate": "half of the next"}])
def test_a_figure_is_published_or_estimated(origin: dict[str, Any]) -> None:
    assert Figure(value=4.0, **origin).value == 4.0


@pytest.mark.parametrize("origin", [{}, {"source": ""}, {"source": "a data sheet", "estimate": "half of the next"}])
def test_a_figure_that_says_neither_or_both_is_refused(origin: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"a figure needs `source` .* or `estimate` .*, one of the two"):
        Figure(value=4.0, **origin)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"value": 4.0, **origin}, Figure)


def test_a_field_that_is_not_known_is_refused() -> None:
    figure = {"value": 32768, "source": "a data sheet"}
    assert msgspec.convert({"bytes": figure}, Cache).shared_by == 1
    with pytest.raises(msgspec.ValidationError, match="unknown field `shared`"):
        msgspec.convert({"bytes": figure, "shared": 2}, Cache)
