"""The whole of it on a network that is trained here, on scikit-learn's digits: the accuracy that is left in 8 bits."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trained_digits
from benchmark_scripts import needs, script
from conftest import require
from network_files import computed, imported
from quantized_cases import by_onnx_runtime
from trained_digits import Trained

from mbench.networks import calibration, quality, quantize
from mbench.networks.quantize import QuantizedNetwork, QuantizeOptions

ACCURATE = 0.92
"""Of digits that were not trained on; chance is 0.1."""


@pytest.fixture(scope="module")
def trained() -> Trained:
    require(*needs("sklearn", "onnx", "onnxruntime"))
    return trained_digits.trained()


def quantized(trained: Trained, **options: Any) -> QuantizedNetwork:
    ranges = calibration.ranges(trained.graph, trained.parameters, trained.calibration)
    return quantize.quantized(trained.graph, trained.parameters, ranges, QuantizeOptions(**options))


def logits(trained: Trained, found: QuantizedNetwork) -> list[np.ndarray]:
    return [computed(found.graph, found.parameters, batch)[0] for batch in trained.batches()]


@pytest.mark.parametrize(
    "options", [{}, {"activations": "int8", "residual": "rounded"}, {"largest_weight": 63}], ids=["u8", "s8", "7 bits"]
)
def test_accuracy_in_8_bits_is_that_in_float32_and_that_of_onnx_runtime(
    trained: Trained, options: dict[str, Any]
) -> None:
    floats = [computed(trained.graph, trained.parameters, batch)[0] for batch in trained.batches()]
    assert trained.accuracy(floats) > ACCURATE
    found = quantized(trained, **options)
    mine = logits(trained, found)
    theirs = [by_onnx_runtime(found.qdq, batch)["fc"] for batch in trained.batches()]
    assert found.left_float == ()
    assert trained.accuracy(mine) == trained.accuracy(theirs)
    assert trained.accuracy(mine) >= trained.accuracy(floats) - 0.01


def test_the_file_of_it_has_the_same_accuracy(trained: Trained, tmp_path: Path) -> None:
    found = quantized(trained)
    read = imported(tmp_path, script("qdq_writer").model(found.qdq))
    again = [computed(read.graph, read.parameters, batch)[0] for batch in trained.batches()]
    assert trained.accuracy(again) == trained.accuracy(logits(trained, found))


def test_quality_on_a_trained_network(trained: Trained) -> None:
    found = quality.compared(trained.graph, trained.parameters, quantized(trained), trained.batches()[:2])
    assert found.agreement is not None
    assert found.agreement >= 0.98
    assert found.outputs[0].sqnr_db > 25


def test_a_wrong_zero_point_costs_the_accuracy(trained: Trained) -> None:
    """These tests can fail: one zero point that is off."""
    found = quantized(trained)
    nodes = tuple(
        dataclasses.replace(node, attributes={**node.attributes, "zero_point": node.attributes["zero_point"] ^ 64})
        if node.name == "project"
        else node
        for node in found.graph.nodes
    )
    wrong = dataclasses.replace(found, graph=dataclasses.replace(found.graph, nodes=nodes))
    assert trained.accuracy(logits(trained, wrong)) < trained.accuracy(logits(trained, found)) - 0.02
