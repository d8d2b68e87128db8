"""A file of the user's through the command line: listed, run with its standard twin, gone on with when it is gone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from running_mbench import finished, warm_cache

from mbench.core import record_files

onnx = pytest.importorskip("onnx", reason="needs onnx and onnxruntime: pip install 'mobilenet-bench[onnx]'")
NAME = "My net <i>"


def write(path: Path) -> None:
    """Write a file of a network with a depthwise-separable block, two inputs, two outputs and an open batch."""
    from onnx import TensorProto, helper, numpy_helper

    draw = np.random.default_rng(7)
    weights = {
        "stem.weight": draw.normal(0, 0.4, (8, 3, 3, 3)), "dw.weight": draw.normal(0, 0.4, (8, 1, 3, 3)),
        "pw.weight": draw.normal(0, 0.4, (8, 8, 1, 1)), "fc.weight": draw.normal(0, 0.4, (5, 8)),
    }  # fmt: skip
    pads = {"pads": [1, 1, 1, 1]}
    nodes = [
        helper.make_node("Conv", ["image", "stem.weight"], ["a"], strides=[2, 2], **pads),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "dw.weight"], ["c"], group=8, **pads),
        helper.make_node("Relu", ["c"], ["d"]),
        helper.make_node("Conv", ["d", "pw.weight"], ["features"]),
        helper.make_node("GlobalAveragePool", ["features"], ["e"]),
        helper.make_node("Flatten", ["e"], ["f"]),
        helper.make_node("Add", ["f", "hint"], ["g"]),
        helper.make_node("Gemm", ["g", "fc.weight"], ["scores"], transB=1),
    ]
    typed: dict[str, Any] = {"image": ["n", 3, "h", 16], "hint": ["n", 8], "scores": ["n", 5], "features": None}
    values = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in typed.items()}
    graph = helper.make_graph(
        nodes, "net", [values["image"], values["hint"]], [values["scores"], values["features"]],
        [numpy_helper.from_array(value.astype("float32"), name) for name, value in weights.items()],
    )  # fmt: skip
    model = helper.make_model(graph, producer_name="a test", opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, path)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return warm_cache(tmp_path_factory.getbasetemp())


def test_a_file_goes_all_the_way(cache: Path, tmp_path: Path) -> None:
    file = tmp_path / f"{NAME}.onnx"
    write(file)
    shape = ("--input-shape", "image=1,3,16,16")
    code, seen = finished("variants", file.name, *shape, "--json", cache=cache, cwd=tmp_path)
    listed = json.loads(seen.out)
    assert (code, [layer["name"] for layer in listed["layers"]][:3]) == (0, ["stem", "dw", "pw"])
    assert [layer["macs"] for layer in listed["layers"][:3]] == [64 * 27 * 8, 64 * 9 * 8, 64 * 8 * 8]
    code, seen = finished("run", file.name, cache=cache, cwd=tmp_path)
    assert (code, seen.out) == (2, "")
    assert "leaves side 3 of 4 (h) open" in seen.err
    code, seen = finished("run", file.name, *shape, "--standard", "--quick", "--quiet", cache=cache, cwd=tmp_path)
    assert code == 0, seen.err
    [path] = (tmp_path / "mbench-results").glob("*.json")
    record = record_files.read(path)
    assert [result.variant.name for result in record.results] == ["My-net-i", "My-net-i_standard"]
    ours, theirs = (result.numerics for result in record.results)
    assert ours is not None
    assert theirs is not None
    assert (ours.passed, theirs.passed) == (True, True)
    assert ours.reference.startswith("ONNX Runtime")
    assert theirs.reference.startswith("PyTorch")
    assert record.imported == tuple(msgspec.structs.replace(each.variant, digest=None) for each in record.results)
    for text in (path.read_text(), path.with_suffix(".html").read_text()):
        assert str(tmp_path) not in text
        assert file.name not in text
    file.unlink()
    unfinished = msgspec.structs.replace(record, results=record.results[:1])
    record_files.write(path, unfinished)
    code, seen = finished("run", "--resume", path, "--quiet", cache=cache, cwd=tmp_path)
    assert code == 0, seen.err
    assert len(record_files.read(path).results) == 2
