"""The weights as arrays, beside torch's own modules; and the process that draws them."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import imported_networks as networks
import msgspec
import numpy as np
import psutil
import pytest
import torch
from one_operation import onnx

from mbench.core.children import Died
from mbench.core.records import Variant
from mbench.networks import architectures, folding, torch_network, variants, weights
from mbench.networks import graph as graphs
from mbench.networks.graph_builder import GraphBuilder

VARIANT = variants.parse("mobilenet_v1_0.25_32")


@pytest.mark.parametrize("name", ["mobilenet_v1_0.33_33", "mobilenet_v1_0.25_32_standard", "mobilenet_v2_0.35_32"])
def test_they_are_those_of_the_folded_graph_and_give_what_the_trained_one_does(name: str) -> None:
    variant = variants.parse(name)
    drawn, graph = weights.draw(variant), architectures.folded(variant).graph
    assert {key: value.shape for key, value in drawn.parameters.items()} == {
        key: given.shape for key, given in graph.parameters.items()
    }
    examples = {key: torch.from_numpy(value) for key, value in drawn.examples.items()}
    [seen] = torch_network.run(graph, drawn.parameters, examples)
    np.testing.assert_allclose(seen.numpy(), drawn.expected[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_what_they_are_checked_against_is_torchs_own_in_float32(dtype: str) -> None:
    variant = variants.parse(VARIANT.name, batch=2, dtype=dtype)
    drawn, graph = weights.draw(variant), architectures.graph(variant)
    images = torch_network.example_inputs(graph)
    with torch.no_grad():
        expected = torch_network.TorchNetwork(graph, torch_network.draw(graph))(*images.values()).numpy()
    np.testing.assert_array_equal(drawn.examples["image"], images["image"].numpy().astype(dtype))
    np.testing.assert_allclose(drawn.expected[0], expected, rtol=1e-5, atol=1e-4)  # threads sum in another order
    assert drawn.expected[0].dtype == "float32"
    assert {str(value.dtype) for value in drawn.parameters.values()} == {"float32"}


# ---------------------------------------------------------------------------------------------- in a process of its own
def drawing_processes() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "spawn_main" in " ".join(child.cmdline())]


def test_another_process_draws_the_same_and_is_kept_and_replaced_when_it_dies() -> None:
    first, here = weights.begin(VARIANT).result(), weights.draw(VARIANT)
    assert first.parameters.keys() == here.parameters.keys()
    assert all(np.array_equal(first.parameters[name], here.parameters[name]) for name in here.parameters)
    np.testing.assert_array_equal(first.expected[0], here.expected[0])
    [process] = drawing_processes()
    dying = weights.begin(VARIANT)
    process.kill()
    with pytest.raises(Died):
        dying.result()
    np.testing.assert_array_equal(weights.begin(VARIANT).result().expected[0], here.expected[0])
    [other] = drawing_processes()
    assert other.pid != process.pid
    other.kill()
    os.waitpid(other.pid, 0)  # as who looks after all children does; multiprocessing does not learn that it has ended
    np.testing.assert_array_equal(weights.begin(VARIANT).result().expected[0], here.expected[0])


DRAWN = f"""
import sys

from mbench.networks import variants, weights


def drawn():
    drawing = weights.begin(variants.parse({VARIANT.name!r}))
    import tvm

    drawing.result()
    return sys.modules.get("torch")
"""
BUILDER = """
import sys

import psutil

sys.path.insert(0, sys.argv[1])
from task import drawn

from mbench.build import builders

if __name__ == "__main__":
    with builders.children() as pool:
        assert pool.submit(drawn).result() is None
        assert len(psutil.Process().children(recursive=True)) > 2  # a builder, and torch
    left = [" ".join(each.cmdline()) for each in psutil.Process().children(recursive=True)]
    assert not [each for each in left if "spawn_main" in each], left
"""


def test_a_builder_that_has_them_drawn_imports_no_torch_and_leaves_no_process_behind(tmp_path: Path) -> None:
    program = tmp_path / "builder.py"
    program.write_text(BUILDER)
    (tmp_path / "task.py").write_text(DRAWN)
    subprocess.run([sys.executable, program, tmp_path], check=True, timeout=120)


def test_a_process_that_may_start_none_draws_them_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the workers of `multiprocessing.Pool` are, and of clusters."""
    monkeypatch.setattr(multiprocessing.current_process(), "_config", {"daemon": True})
    monkeypatch.setattr(weights, "_beside", lambda: pytest.fail("a process was started"))
    np.testing.assert_array_equal(weights.begin(VARIANT).result().expected[0], weights.draw(VARIANT).expected[0])


# ------------------------------------------------------------------------------------------------- of imported networks
@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Variant:
    monkeypatch.setenv("MBENCH_CACHE_DIR", str(tmp_path / "cache"))
    return networks.kept()


def test_a_runtime_tells_apart_what_its_functions_do(own: Variant) -> None:
    """Oracle: ONNX Runtime's sigmoid and tanh beside numpy's in float64."""
    assert weights.draw(own).reference_resolution == 0.0
    for op, kind in (("sigmoid", "Sigmoid"), ("tanh", "Tanh")):
        builder = GraphBuilder()
        x = builder.convolution("conv", builder.input("image", (1, 3, 8, 8)), 4, norm=None)
        y = builder.add("slice", "part", builder.add(op, "bounded", x), axis=1, begin=1, end=3)
        graph = builder.graph(builder.add("reshape", "flat", y, shape=(1, 128)))
        resolution = weights.draw(networks.kept(graph)).reference_resolution
        points = np.linspace(-40, 40, 100_001).astype(np.float32)
        found = onnx(kind, points).astype(np.float64)
        exact = {"sigmoid": 1 / (1 + np.exp(-points.astype(np.float64))), "tanh": np.tanh(points.astype(np.float64))}
        assert np.abs(found - exact[op]).max() < resolution < 1e-6


def test_those_of_an_imported_network_are_the_files_own(own: Variant) -> None:
    network, drawn = networks.imported(), weights.draw(own)
    expected = folding.fold(network.graph).parameters(network.parameters)
    assert drawn.parameters.keys() == expected.keys()
    assert all(np.array_equal(drawn.parameters[name], expected[name]) for name in expected)
    np.testing.assert_array_equal(drawn.expected[0], network.run(drawn.examples)[0])
    assert drawn.reference == network.reference
    assert drawn.reference_dtype == "float32"
    halves = graphs.retyped(network.graph, "float16")
    in_halves = networks.kept(halves, run=lambda _: network.run(drawn.examples))
    assert weights.draw(in_halves).reference_dtype == "float16"
    half = weights.draw(msgspec.structs.replace(own, dtype="float16"))
    assert half.examples["image"].dtype == "float16"
    assert half.expected[0].dtype == "float32"


def test_a_standard_twin_has_the_files_weights_but_where_its_standard_convolutions_are(own: Variant) -> None:
    twin = variants.paired_with(own)
    assert twin is not None
    graph, drawn, parameters = architectures.graph(twin), weights.draw(twin), networks.imported().parameters
    replaced = {each.layer for each in architectures.replaced(twin)}
    assert replaced == {"one.conv", "two.conv"}
    for name in ("stem.weight", "fc.weight", "fc.bias"):
        file, folded = parameters[name], drawn.parameters[name]
        assert np.array_equal(file, folded) == (name != "stem.weight")  # which has its BatchNorm folded into it
    [output] = drawn.expected
    assert np.isfinite(output).all()
    assert output.std() > 0.01
    given = {name: torch.from_numpy(value) for name, value in drawn.examples.items()}
    [seen] = torch_network.run(architectures.folded(twin).graph, drawn.parameters, given)
    np.testing.assert_allclose(seen.numpy(), output, rtol=1e-4, atol=1e-5)
    assert all(graph.shape(f"{name}.weight") == (8, 8, 3, 3) for name in replaced)
    assert drawn.reference.startswith(f"PyTorch {torch.__version__} on the imported graph")


def test_those_of_a_file_need_no_torch(own: Variant) -> None:
    code = (
        "import sys, msgspec\nfrom mbench.core.records import Variant\nfrom mbench.networks import weights\n"
        f"own = msgspec.json.decode({msgspec.json.encode(own)!r}, type=Variant)\n"
        "print(weights.begin(own).result().expected[0].shape, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["(1,", "10)", "False"]
