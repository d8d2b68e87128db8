"""Signal to noise and agreement, on numbers that are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from quantized_cases import images, quantized

from mbench.networks import quality
from mbench.networks.graph_builder import GraphBuilder


@pytest.mark.parametrize(
    ("reference", "found", "expected"),
    [
        ([1.0, -1.0], [1.1, -1.1], 20.0),
        ([3.0, 4.0], [3.0, 4.5], 20.0),
        ([2.0], [1.0], 20 * math.log10(2)),
        ([1.0, 2.0], [1.0, 2.0], math.inf),
        ([0.0, 0.0], [0.0, 0.0], math.inf),
    ],
)
def test_signal_to_noise(reference: list[float], found: list[float], expected: float) -> None:
    assert quality.sqnr_db(np.array(reference), np.array(found)) == pytest.approx(expected)


def test_noise_without_a_signal_has_no_ratio() -> None:
    assert math.isnan(quality.sqnr_db(np.zeros(2), np.ones(2)))


def test_a_uniform_rounding_has_the_noise_that_theory_predicts() -> None:
    """The noise of a step is its square / 12, of a number that is uniform over 256 steps: 48.2 dB."""
    numbers = np.random.default_rng(0).uniform(-1, 1, 100_000)
    found = quality.sqnr_db(numbers, np.rint(numbers * 128) / 128)
    assert found == pytest.approx(20 * math.log10(256), abs=0.05)


def test_agreement_is_of_rows() -> None:
    reference, found = np.array([[1, 2, 3], [5, 1, 1], [0, 9, 8]]), np.array([[0, 0, 1], [0, 0, 1], [0, 5, 4]])
    assert quality.agreement(reference, found).tolist() == [True, False, True]


def test_a_network_is_compared_value_by_value() -> None:
    builder = GraphBuilder()
    x = builder.convolution("conv", builder.input("x", (2, 3, 6, 6)), 8, norm=None, activation="hard_swish")
    pooled = builder.add("reshape", "flat", builder.add("global_avg_pool", "pool", x), shape=(2, 8))
    case = quantized(builder.graph(builder.linear("fc", pooled, 5)))
    found = quality.compared(case.graph, case.parameters, case.network, images(case.graph, 3, seed=1))
    assert [each.name for each in found.values] == ["x", "conv", "conv.hard_swish", "pool", "flat"]
    assert all(25 < each.sqnr_db < 60 for each in (*found.values, *found.outputs))
    assert found.values[0].sqnr_db > found.values[1].sqnr_db
    assert found.agreement is not None
    assert found.agreement > 0.5
    assert found.images == 6  # three batches of two


def test_outputs_that_are_no_rows_have_no_agreement() -> None:
    builder = GraphBuilder()
    case = quantized(builder.graph(builder.convolution("conv", builder.input("x", (1, 3, 6, 6)), 8, norm=None)))
    found = quality.compared(case.graph, case.parameters, case.network, images(case.graph, 1, seed=5))
    assert found.agreement is None
