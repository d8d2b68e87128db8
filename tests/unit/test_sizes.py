"""Width multipliers, resolutions and grids as text."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbench.core.errors import UsageError
from mbench.networks import sizes


@given(hundredths=st.integers(1, 200), pixels=st.integers(32, 4096))
def test_every_size_in_range_is_read_as_it_is_written(hundredths: int, pixels: int) -> None:
    width = hundredths / 100
    assert sizes.width(str(width), "it") == width
    assert sizes.resolution(str(pixels), "it") == pixels


@pytest.mark.parametrize(
    ("text", "is_size", "is_width"),
    [
        ("0.75", True, True), ("1", True, True), ("1.0", True, True), ("-0.5", True, True), ("0.00", True, True),
        ("224", True, False), ("32", True, False), ("-224", True, False), ("0160", True, False),
        ("", False, False), ("wide", False, False), ("1e-1", False, False), ("0.5.0", False, False),
        ("b8", False, False),
    ],
)  # fmt: skip
def test_a_size_that_stands_alone_is_a_width_by_its_form(text: str, is_size: bool, is_width: bool) -> None:
    assert (sizes.is_size(text), sizes.is_width(text)) == (is_size, is_width)


@pytest.mark.parametrize("text", ["0", "0.009", "2.01", "-1", "inf", "nan", "", "1e0", " 1.0"])
def test_no_other_width_is_read(text: str) -> None:
    with pytest.raises(UsageError, match=r"variant 'it': width multiplier .*expected a number from 0\.01 to 2\.0"):
        sizes.width(text, "it")


@pytest.mark.parametrize("text", ["0", "31", "4097", "224.0", "", "9" * 5000, "-32"])
def test_no_other_resolution_is_read(text: str) -> None:
    with pytest.raises(UsageError, match=r"variant 'it': resolution .*expected a whole number from 32 to 4096"):
        sizes.resolution(text, "it")


def test_braces_are_every_choice_in_order() -> None:
    expected = [f"{width}_{pixels}x" for width, pixels in itertools.product(("0.5", "1.0"), ("", "192", "224"))]
    assert list(sizes.expanded("{0.5,1.0}_{,192,224}x")) == expected
    assert list(sizes.expanded("plain")) == ["plain"]


def test_a_grid_without_end_is_not_made_before_it_is_asked_for() -> None:
    assert list(itertools.islice(sizes.expanded("{0,1}" * 200), 2)) == ["0" * 200, "0" * 199 + "1"]


@pytest.mark.parametrize("pattern", ["{a", "a}", "{a,{b}}", "}{"])
def test_braces_that_do_not_close_are_refused(pattern: str) -> None:
    with pytest.raises(UsageError, match="a brace is not closed or is nested"):
        sizes.expanded(pattern)
