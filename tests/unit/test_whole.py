"""That a graph which lost something of its file is refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from network_files import imported, model, node

from mbench.core.errors import UsageError
from mbench.networks.importers import onnx_elements, onnx_operations, whole
from mbench.networks.importers.graph_writer import GraphValue
from mbench.networks.importers.imported import Imported
from mbench.networks.importers.onnx_layer import Made, OnnxLayer

MACS = {"a": 2 * 4 * 4 * 6 * 8 * 9}


@pytest.fixture
def found(tmp_path: Path) -> Imported:
    nodes = [node("Conv", "x w", "a", pads=[1, 1, 1, 1]), node("Relu", "a")]
    weights = np.random.default_rng(0).standard_normal((8, 4, 3, 3)).astype(np.float32)
    return imported(tmp_path, model(nodes, constants={"w": weights}))


def test_the_multiply_adds_of_the_file_are_those_of_the_graph(found: Imported) -> None:
    whole.check(found.graph, found.parameters, MACS, where="file")


def test_a_graph_that_lost_a_layer_is_refused(found: Imported) -> None:
    cut = found.graph.rewritten(lambda each: () if each.op == "conv2d" else (each,), renamed={"a": "x"})
    with pytest.raises(UsageError, match="a network of 0 multiply-adds, and the file's layers have 13824"):
        whole.check(cut, {}, MACS, where="file")


def test_a_reader_that_drops_what_a_layer_reads_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As TVM's front end did, and the network still imported."""
    monkeypatch.setitem(onnx_operations.OPERATIONS, "Erf", lambda layer: layer.writer.add("relu", given[0]))
    nodes = [node("Conv", "x w", "a"), node("Erf", "a", "b"), node("Conv", "b v")]
    constants = {"w": np.ones((4, 4, 1, 1), np.float32), "v": np.ones((2, 4, 1, 1), np.float32)}
    given: list[GraphValue] = []

    def keep(layer: OnnxLayer) -> Made:
        given.append(layer.x)
        return onnx_windows_conv(layer)

    onnx_windows_conv = onnx_operations.OPERATIONS["Conv"]
    monkeypatch.setitem(onnx_operations.OPERATIONS, "Conv", keep)
    with pytest.raises(UsageError, match="this is a defect of mbench"):
        imported(tmp_path, model(nodes, constants=constants))
    assert "Erf" in onnx_elements.OPERATIONS


def test_weights_have_to_be_numbers(found: Imported) -> None:
    spoiled = {**found.parameters, "w": np.full_like(found.parameters["w"], np.nan)}
    with pytest.raises(UsageError, match="288 of 288 numbers of 'w'"):
        whole.check(found.graph, spoiled, MACS, where="file")


def test_what_is_finished_has_roles_and_operations_recognised(found: Imported) -> None:
    read = whole.ReadGraph(graph=found.graph, parameters=found.parameters, macs=MACS)
    graph, parameters = whole.finished(read, "file")
    assert [each.role for each in graph.nodes] == ["stem", "stem"]
    assert list(parameters) == ["w"]
    with pytest.raises(UsageError, match="defect"):
        whole.finished(dataclasses.replace(read, macs={"a": 1}), "file")
