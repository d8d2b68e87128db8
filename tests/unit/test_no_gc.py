from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from mbench.core.no_gc import not_collected


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    was_on = gc.isenabled()
    yield
    (gc.enable if was_on else gc.disable)()


@pytest.mark.parametrize("on", [True, False])
def test_the_collector_is_off_inside_and_afterwards_as_it_was(on: bool) -> None:
    (gc.enable if on else gc.disable)()
    with not_collected():
        assert not gc.isenabled()
    assert gc.isenabled() is on


def test_an_error_inside_leaves_it_as_it_was() -> None:
    gc.enable()
    with pytest.raises(ZeroDivisionError), not_collected():
        raise ZeroDivisionError
    assert gc.isenabled()
