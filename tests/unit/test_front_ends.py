"""Which texts of the command line name a network of the user's, and what reads them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from network_files import model, node, written

from mbench.core.errors import UsageError
from mbench.networks.importers import front_ends


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("model.onnx", True), ("./a b/Model.ONNX", True), ("net.pt2", True), ("package.module:function", True),
        ("module:function", True), ("package:Class.make", True), ("mobilenet_v2_1.0_224", False),
        ("mobilenet_v1_{0.5,1.0}_224", False), ("model.pt", False), ("C:\\model", False), (":function", False),
        ("module:", False), ("a b:c", False), ("", False), ("onnx", False),
    ],
)  # fmt: skip
def test_is_source(text: str, expected: bool) -> None:
    assert front_ends.is_source(text) is expected


def test_what_is_no_network() -> None:
    with pytest.raises(UsageError, match=r"expected FILE.onnx, FILE.pt2 or package.module:function"):
        front_ends.read("mobilenet", shapes={}, batch=None, examples={})


def test_examples_are_completed_and_checked(tmp_path: Path) -> None:
    path = written(tmp_path, model([node("Add", "x b")], inputs={"x": (2, 3), "b": (3,)}))
    found = front_ends.read(str(path), shapes={}, batch=None, examples={"b": np.array([1.0, 2.0, 3.0])})
    assert found.examples["b"].tolist() == [1, 2, 3]
    assert found.examples["x"].shape == (2, 3)
    with pytest.raises(UsageError, match="no such input"):
        front_ends.read(str(path), shapes={}, batch=None, examples={"c": np.zeros(3)})
