"""Arrays as tensors of torch, which has none that are read-only."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from benchmark_scripts import script
from network_files import imported, written
from quantized_cases import images, quantized

import mbench
from mbench.networks import quantized_weights, tensors
from mbench.networks.graph_builder import GraphBuilder


@pytest.fixture(autouse=True)
def no_warning() -> Iterator[None]:
    """Make every warning of torch an error, also those that it gives once in a process."""
    before = torch.is_warn_always_enabled()
    torch.set_warn_always(True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            yield
    finally:
        torch.set_warn_always(before)


def test_torch_warns_of_memory_that_is_read_only() -> None:
    with pytest.raises(UserWarning, match="array is not writable"):
        torch.from_numpy(np.frombuffer(bytes(8), np.float32))


def test_memory_is_shared_unless_it_is_read_only() -> None:
    own = np.arange(4.0)
    tensors.of(own)[0] = 7
    assert own[0] == 7
    own.flags.writeable = False
    copy = tensors.of(own)
    assert copy.tolist() == own.tolist()
    copy[0] = 9
    assert own[0] == 7


def test_a_quantised_file_is_computed_without_a_warning(tmp_path: Path) -> None:
    builder = GraphBuilder()
    x = builder.convolution("stem", builder.input("image", (1, 3, 6, 6)), 8, kernel=3)
    case = quantized(builder.graph(builder.convolution("head", x, 4)), keep_float=("head",))
    path = written(tmp_path, script("qdq_writer").model(case.network.qdq))
    model = onnx.load(path)
    for each in model.graph.initializer:  # as all tools but onnx's own helper write them
        each.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(each), each.name))
    found = imported(tmp_path, model)
    assert not all(each.flags.writeable for each in found.parameters.values()), "onnx gives what lies in the file"
    image = images(case.graph, 1, seed=4)[0]
    expected = quantized_weights.exact_outputs(case.network.graph, case.network.parameters, image)
    [got] = quantized_weights.exact_outputs(found.graph, found.parameters, image)
    assert np.allclose(got, expected[0], rtol=1e-5)


def test_no_other_module_makes_tensors_of_arrays() -> None:
    package = Path(mbench.__file__).parent
    found = [path.name for path in package.rglob("*.py") if "from_numpy(" in path.read_text(encoding="utf-8")]
    assert found == ["tensors.py"]
