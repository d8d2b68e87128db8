from __future__ import annotations

import numpy as np
import pytest

from mbench.core import dtypes
from mbench.core.errors import MeasureError
from mbench.measure import numerics
from mbench.measure.numerics import Expected

EXPECTED = np.linspace(-4, 5, 1000, dtype="float32").reshape(1, 1000)
TOLERANCE = 1e-4


def with_one(value: float) -> np.ndarray:
    output = EXPECTED.copy()
    output[0, 123] = value
    return output


def test_equal_outputs_pass() -> None:
    seen = numerics.compare(EXPECTED.copy(), EXPECTED, TOLERANCE)
    assert (seen.passed, seen.max_abs_error, seen.max_rel_error, seen.detail) == (True, 0.0, 0.0, None)
    assert seen.tolerance == TOLERANCE


def test_the_error_is_relative_to_the_largest_magnitude() -> None:
    expected = np.array([[-8.0, 1.0, 0.001]], "float32")
    seen = numerics.compare(np.array([[-8.0, 1.5, 0.001]], "float32"), expected, TOLERANCE)
    assert seen.max_abs_error == 0.5
    assert seen.max_rel_error == 0.0625  # 0.5 of 8


@pytest.mark.parametrize(("factor", "passes"), [(0.99, True), (1.01, False)])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_tolerance_is_the_limit(factor: float, passes: bool, sign: int) -> None:
    error = sign * factor * TOLERANCE * 5  # 5 is the largest magnitude
    seen = numerics.compare(EXPECTED + np.where(np.arange(1000) == 0, error, 0).astype("float32"), EXPECTED, TOLERANCE)
    assert seen.passed is passes
    assert (seen.detail is None) is passes


def test_what_failed_is_said() -> None:
    seen = numerics.compare(with_one(10.0), EXPECTED, TOLERANCE)
    assert seen.detail is not None
    assert seen.detail.startswith("max_rel_error is ")
    assert seen.detail.endswith(", above the tolerance 0.0001")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_output_that_is_not_finite_fails(value: float) -> None:
    seen = numerics.compare(with_one(value), EXPECTED, TOLERANCE)
    assert not seen.passed
    assert seen.detail == "1 of 1000 outputs are not finite"
    assert seen.max_abs_error is None
    assert seen.max_rel_error is None


@pytest.mark.parametrize("shape", [(1000,), (1, 999), (2, 1000), (1000, 1)])
def test_another_shape_fails(shape: tuple[int, ...]) -> None:
    seen = numerics.compare(np.zeros(shape, "float32"), EXPECTED, TOLERANCE)
    assert not seen.passed
    assert seen.detail == f"output has shape {'x'.join(map(str, shape))}, the reference's has 1x1000"


@pytest.mark.parametrize("value", [0.0, 0.3])
def test_a_constant_reference_is_no_test(value: float) -> None:
    constant = np.full((1, 1000), value, "float32")
    seen = numerics.compare(constant, constant, TOLERANCE)
    assert not seen.passed
    assert seen.detail == "the reference's output is constant: it would pass whatever the kernels do"


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_reference_that_is_not_finite_never_passes(value: float) -> None:
    assert not numerics.compare(EXPECTED.copy(), with_one(value), TOLERANCE).passed


def test_an_image_of_a_batch_that_is_wrong_fails() -> None:
    expected = np.concatenate([EXPECTED, 2 * EXPECTED])
    swapped = expected[::-1].copy()
    assert not numerics.compare(swapped, expected, TOLERANCE).passed


def test_a_reference_that_is_not_finite_is_no_reference() -> None:
    expected = np.array([[1.0, np.nan]], "float32")
    seen = numerics.compare(np.ones((1, 2), "float32"), expected, 1e-4)
    assert not seen.passed
    assert seen.detail == "the reference's own output is not finite: nothing to compare with"


def test_what_is_required_passes_or_is_an_error() -> None:
    numerics.require([EXPECTED.copy()], Expected(outputs=(EXPECTED,)), TOLERANCE)
    with pytest.raises(MeasureError, match=r"^wrong result: max_rel_error is 1\.78, .*; it is not timed$"):
        numerics.require([with_one(6.0)], Expected(outputs=(EXPECTED,)), TOLERANCE)


SECOND = np.arange(6, dtype="float32").reshape(2, 3)
TWO = Expected(outputs=(EXPECTED, SECOND), names=("scores", "boxes"), reference="a runtime 1.0")


def test_every_output_is_compared_and_the_worst_is_named() -> None:
    good = numerics.worst([EXPECTED.copy(), SECOND + np.float32(1e-5)], TWO, TOLERANCE)
    assert (good.passed, good.detail, good.reference) == (True, None, "a runtime 1.0")
    assert good.max_rel_error == pytest.approx(2e-6, rel=0.1)  # of 5, in the second alone
    wrong = numerics.worst([EXPECTED.copy(), SECOND + 1], TWO, TOLERANCE)
    assert not wrong.passed
    assert wrong.detail == "output boxes: max_rel_error is 0.2, above the tolerance 0.0001"
    worse = numerics.worst([with_one(np.nan), SECOND + 1], TWO, TOLERANCE)
    assert worse.detail == "output scores: 1 of 1000 outputs are not finite"


@pytest.mark.parametrize("outputs", [(EXPECTED,), (EXPECTED, SECOND, SECOND), (SECOND, EXPECTED)])
def test_outputs_that_are_missing_or_in_another_order_fail(outputs: tuple[np.ndarray, ...]) -> None:
    assert not numerics.worst(outputs, TWO, TOLERANCE).passed


def test_of_several_outputs_one_may_be_constant() -> None:
    zeros = np.zeros((1, 4), "float32")
    both = Expected(outputs=(EXPECTED, zeros))
    assert numerics.worst([EXPECTED.copy(), zeros], both, TOLERANCE).passed
    assert not numerics.worst([EXPECTED.copy(), zeros + np.float32(0.01)], both, TOLERANCE).passed
    assert not numerics.worst([zeros, zeros], Expected(outputs=(zeros, zeros)), TOLERANCE).passed


def test_a_reference_is_as_exact_as_the_type_that_it_computed_in() -> None:
    near = EXPECTED * np.float32(1.01)
    half = Expected(outputs=(EXPECTED,), dtype="float16")
    assert not numerics.worst([near], Expected(outputs=(EXPECTED,)), TOLERANCE).passed
    seen = numerics.worst([near], half, TOLERANCE)
    assert (seen.passed, seen.tolerance) == (True, dtypes.of("float16").network_tolerance)
    assert not numerics.worst([EXPECTED * np.float32(1.1)], half, TOLERANCE).passed


def test_what_a_reference_does_not_tell_apart_is_tolerated_and_no_more() -> None:
    small = EXPECTED * np.float32(1e-6 / np.abs(EXPECTED).max())
    known = Expected(outputs=(small,), resolution=1e-8)
    near, far = small + np.float32(0.9e-8), small + np.float32(1.2e-8)
    seen = numerics.worst([near], known, TOLERANCE)
    assert seen.passed
    assert seen.tolerance == pytest.approx(TOLERANCE + 0.01)
    assert not numerics.worst([near], Expected(outputs=(small,)), TOLERANCE).passed
    assert not numerics.worst([far], known, TOLERANCE).passed


def test_a_reference_that_distinguishes_nothing_passes_nothing() -> None:
    """What is tolerated would be more than the outputs themselves: zeros would do."""
    small = EXPECTED * np.float32(1e-9 / np.abs(EXPECTED).max())
    known = Expected(outputs=(small,), resolution=1e-8)
    for output in (small.copy(), np.zeros_like(small)):
        seen = numerics.worst([output], known, TOLERANCE)
        assert not seen.passed
        assert "whatever the kernels do" in (seen.detail or "")
    assert numerics.worst([small, EXPECTED], Expected(outputs=(small, EXPECTED), resolution=1e-8), TOLERANCE).passed


def test_a_single_number_is_compared_as_it_is() -> None:
    two, more = (np.array([[number]], "float32") for number in (2.0, 2.1))
    assert numerics.compare(two.copy(), two, TOLERANCE).passed
    assert not numerics.compare(more, two, TOLERANCE).passed


def test_of_indices_the_share_that_differs_counts() -> None:
    expected = np.arange(100_000).reshape(1, -1)
    few, many = expected.copy(), expected.copy()
    few[0, :9] += 50_000
    many[0, :11] += 1
    assert numerics.compare(few, expected, TOLERANCE).max_rel_error == pytest.approx(9e-5)
    assert numerics.compare(few, expected, TOLERANCE).passed
    assert not numerics.compare(many, expected, TOLERANCE).passed
    truths = np.array([[True, False, True]])
    assert numerics.compare(truths.copy(), truths, TOLERANCE).passed
    assert not numerics.compare(~truths, truths, TOLERANCE).passed
