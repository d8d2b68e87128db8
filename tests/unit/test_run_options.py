"""Options are checked when they are made, and take what people write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import mbench
from mbench.core.errors import UsageError


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"threads": 0}, "--threads 0 is out of range; expected 1 to 1024"),
        ({"threads": "2"}, "--threads '2' cannot be; expected int"),
        ({"batch": 0}, "--batch 0 is out of range; expected 1 to 65536"),
        ({"batch": (1, 0)}, "--batch [1, 0] is out of range; expected 1 to 65536"),
        ({"batch": ()}, "--batch [] is out of range"),
        ({"repeat": 2}, "--repeat 2 is out of range; expected 3 to 100000"),
        ({"timeout_s": 0}, "--timeout 0 is out of range; expected more than 0, up to 86400"),
        ({"timeout_s": float("nan")}, "--timeout nan is out of range"),
        ({"output": 3}, "--output 3 cannot be; expected a path, got int"),
        ({"compile_only": 1}, "--compile-only 1 cannot be; expected bool"),
        ({"target_dirs": "mine"}, "--targets 'mine' cannot be; expected array"),
    ],
)
def test_options_out_of_range_are_refused_when_they_are_made(given: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        mbench.RunOptions(**given)
    assert said in str(caught.value)


def test_options_take_what_people_write() -> None:
    options = mbench.RunOptions(output="results", target_dirs=["a", Path("b")], batch=[8, 1, 8], timeout_s=5)  # type: ignore[arg-type]
    assert (options.output, options.target_dirs) == (Path("results"), (Path("a"), Path("b")))
    assert (options.batches, options.timeout_s) == ((8, 1), 5.0)


def test_options_are_frozen_and_by_name_alone() -> None:
    with pytest.raises(AttributeError):
        mbench.RunOptions().threads = 3  # type: ignore[misc]
    with pytest.raises(TypeError):
        mbench.RunOptions("local")  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        mbench.TuneOptions(thread=1)  # type: ignore[call-arg]
