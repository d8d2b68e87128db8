"""Networks computed by torch: weights that keep every layer alive, the same on every machine."""

from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from mbench.core import dtypes
from mbench.core.records import Variant
from mbench.measure import numerics
from mbench.networks import architectures, torch_network, variants
from mbench.networks.graph import Graph
from mbench.networks.graph_builder import GraphBuilder

TOLERANCE = dtypes.of("float32").network_tolerance
CORRUPTED = ("mobilenet_v1_0.25_64", "mobilenet_v1_0.25_64_standard", "mobilenet_v2_0.35_64")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Keep torch from waiting for its own threads where others use the processors."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def every_value(variant: Variant) -> dict[str, torch.Tensor]:
    """Return what each node gives for the example input, by its name."""
    graph = architectures.graph(variant)
    whole = Graph(
        inputs=graph.inputs, parameters=graph.parameters, nodes=graph.nodes,
        outputs=tuple(node.name for node in graph.nodes),
    )  # fmt: skip
    outputs = torch_network.run(whole, torch_network.draw(graph), torch_network.example_inputs(graph))
    return dict(zip(whole.outputs, outputs, strict=True))


@pytest.mark.parametrize(
    "name",
    [*(f"mobilenet_v1_{name}" for name in ("1.0_224", "0.25_64", "0.25_32", "0.33_33", "0.5_128", "1.4_96",
                                           "0.25_40_standard", "0.5_96_shallow")),
     "mobilenet_v2_0.35_64", "mobilenet_v2_1.0_96_standard"],
)  # fmt: skip
def test_every_layer_is_alive(name: str) -> None:
    activations = {node.name for node in architectures.graph(variants.parse(name)).nodes if "relu" in node.op}
    assert len(activations) > 7
    for layer, output in every_value(variants.parse(name)).items():
        if layer not in activations:
            continue
        assert 0.3 < output.std() < 2.5, layer
        dead = (output.amax((0, 2, 3)) == 0).sum() / output.shape[1]
        if output[0, 0].numel() > 4:  # a few pixels may all lie below a ReLU's threshold and say nothing
            assert dead <= 0.05, layer
        assert dead < 0.5, layer


@pytest.mark.parametrize(
    "name", ["mobilenet_v1_1.0_224", "mobilenet_v1_0.25_32", "mobilenet_v1_0.25_40_standard", "mobilenet_v2_0.5_96"]
)
def test_logits_have_unit_scale_and_vary_over_classes_and_images(name: str) -> None:
    variant = variants.parse(name, batch=2)
    graph = architectures.graph(variant)
    drawn = torch_network.draw(graph)
    [logits] = torch_network.run(graph, drawn, torch_network.example_inputs(graph))
    assert 0.3 < logits.std(1).min() <= logits.std(1).max() < 3
    assert (logits[0] - logits[1]).abs().max() > 100 * TOLERANCE * logits.abs().max()
    bias = torch.from_numpy(drawn["fc.bias"])
    assert (logits - bias).std() > bias.std()


@pytest.mark.parametrize("name", ["mobilenet_v1_0.25_64", "mobilenet_v1_0.5_160_standard", "mobilenet_v2_1.0_96"])
def test_the_number_of_threads_changes_no_weight_and_is_as_before(name: str) -> None:
    graph, drawn = architectures.graph(variants.parse(name)), []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        with torch_network.one_thread():
            drawn.append(torch_network.draw(graph))
        assert torch.get_num_threads() == threads
    assert drawn[0].keys() == set(graph.parameters)
    assert [key for key, value in drawn[0].items() if not np.array_equal(value, drawn[1][key])] == []


def test_another_process_with_another_seed_draws_the_same() -> None:
    program = (
        "import sys, torch; torch.manual_seed(int(sys.argv[1]))\n"
        "from mbench.networks import architectures, torch_network, variants\n"
        "graph = architectures.graph(variants.parse('mobilenet_v2_0.35_32'))\n"
        "with torch_network.one_thread(): drawn = torch_network.draw(graph)\n"
        "arrays = [*drawn.values(), *(x.numpy() for x in torch_network.example_inputs(graph).values())]\n"
        "sys.stdout.buffer.write(b''.join(array.tobytes() for array in arrays))\n"
    )
    seen = {
        subprocess.run([sys.executable, "-c", program, seed], capture_output=True, check=True).stdout
        for seed in ("7", "8")
    }
    graph = architectures.graph(variants.parse("mobilenet_v2_0.35_32"))
    drawn = torch_network.draw(graph)
    arrays = [*drawn.values(), *(x.numpy() for x in torch_network.example_inputs(graph).values())]
    assert seen == {b"".join(array.tobytes() for array in arrays)}


def test_layers_of_one_network_have_weights_of_their_own() -> None:
    drawn = torch_network.draw(architectures.graph(variants.parse("mobilenet_v1_0.25_32")))
    assert drawn["block8.pw.weight"].shape == drawn["block9.pw.weight"].shape
    assert not np.array_equal(drawn["block8.pw.weight"], drawn["block9.pw.weight"])


def test_a_module_of_a_graph_computes_the_same() -> None:
    graph = architectures.graph(variants.parse("mobilenet_v2_0.35_32"))
    drawn, examples = torch_network.draw(graph), torch_network.example_inputs(graph)
    module = torch_network.TorchNetwork(graph, drawn)
    assert not module.training
    with torch.no_grad():
        assert torch.equal(module(*examples.values()), torch_network.run(graph, drawn, examples)[0])


# ------------------------------------------------------------------------------------------------- torch's own modules
STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
"""Of the depthwise convolutions. Source: arXiv:1704.04861, table 1; the last one as the sides of its row demand."""


def test_mobilenet_v1_is_torchs_own_modules_one_after_the_other() -> None:
    """Convolution, BatchNorm, ReLU as torch has them, with the weights moved over: nothing is added."""
    graph = architectures.graph(variants.parse("mobilenet_v1_0.25_33"))
    drawn, examples = torch_network.draw(graph), torch_network.example_inputs(graph)
    given = {name: torch.from_numpy(value) for name, value in drawn.items()}
    modules = nn.Sequential(*_convolution(given, "conv0", stride=2))
    for number, stride in enumerate(STRIDES, start=1):
        modules.extend(_convolution(given, f"block{number}.dw", stride=stride))
        modules.extend(_convolution(given, f"block{number}.pw", stride=1))
    linear = nn.Linear(given["fc.weight"].shape[1], 1000)
    linear.weight.data, linear.bias.data = given["fc.weight"], given["fc.bias"]
    modules.extend([nn.AdaptiveAvgPool2d(1), nn.Flatten(), linear])
    with torch.no_grad():
        expected = modules.eval()(examples["image"])
    torch.testing.assert_close(torch_network.run(graph, drawn, examples)[0], expected)


def _convolution(given: dict[str, torch.Tensor], name: str, *, stride: int) -> list[nn.Module]:
    weight = given[f"{name}.weight"]
    outputs, inputs, side, _ = weight.shape
    groups = outputs if name.endswith("dw") else 1
    convolution = nn.Conv2d(inputs * groups, outputs, side, stride, side // 2, groups=groups, bias=False)
    convolution.weight.data, norm = weight, nn.BatchNorm2d(outputs)
    norm.weight.data, norm.bias.data = given[f"{name}.norm.weight"], given[f"{name}.norm.bias"]
    norm.running_mean, norm.running_var = given[f"{name}.norm.mean"], given[f"{name}.norm.variance"]
    return [convolution, norm, nn.ReLU()]


# ---------------------------------------------------------------------------- the numerics check sees any broken layer
def weighted_layers() -> list[tuple[str, str]]:
    return [
        (name, node.name)
        for name in CORRUPTED
        for node in architectures.graph(variants.parse(name)).nodes
        if node.op in ("conv2d", "linear")
    ]


def reducing_layers() -> list[tuple[str, str]]:
    return [(name, layer) for name, layer in weighted_layers() if not layer.endswith("dw")]


@functools.cache
def right(name: str) -> tuple[Graph, dict[str, np.ndarray], torch_network.Values, torch.Tensor]:
    """Return a network, its parameters, an example and the network's logits."""
    graph = architectures.graph(variants.parse(name))
    drawn, examples = torch_network.draw(graph), torch_network.example_inputs(graph)
    return graph, drawn, examples, torch_network.run(graph, drawn, examples)[0]


def logits_after(name: str, layer: str, corrupt: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the network's logits, and those with one layer's weights corrupted."""
    graph, drawn, examples, expected = right(name)
    weight = drawn[f"{layer}.weight"].copy()
    if corrupt == "zeroed":
        weight[...] = 0
    else:  # the reduction stops one input channel early: the slip that a wrong loop bound makes
        weight[:, -1] = 0
    wrong = torch_network.run(graph, drawn | {f"{layer}.weight": weight}, examples)[0]
    return expected.numpy(), wrong.numpy()


@pytest.mark.parametrize(("name", "layer"), weighted_layers())
def test_a_layer_of_zeros_moves_the_logits_far_beyond_the_tolerance(name: str, layer: str) -> None:
    expected, wrong = logits_after(name, layer, "zeroed")
    assert np.abs(wrong - expected).max() / np.abs(expected).max() > 100 * TOLERANCE
    assert not numerics.compare(wrong, expected, TOLERANCE).passed
    assert numerics.compare(expected.copy(), expected, TOLERANCE).passed


@pytest.mark.parametrize(("name", "layer"), reducing_layers())
def test_one_missing_step_of_a_reduction_moves_the_logits_far_beyond_the_tolerance(name: str, layer: str) -> None:
    expected, wrong = logits_after(name, layer, "last channel missing")
    assert np.abs(wrong - expected).max() / np.abs(expected).max() > 20 * TOLERANCE
    assert not numerics.compare(wrong, expected, TOLERANCE).passed


# -------------------------------------------------------------------------------------------- operations, one by one
ELEMENTWISE: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "hard_sigmoid": lambda x: np.clip(x + 3, 0, 6) / 6,
    "hard_swish": lambda x: x * np.clip(x + 3, 0, 6) / 6,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "silu": lambda x: x / (1 + np.exp(-x)),
    "tanh": np.tanh,
}
"""By their definitions. Sources: arXiv:1905.02244, section 5.2 (hard-swish); arXiv:1606.08415 (GELU, SiLU)."""


@pytest.mark.parametrize("op", ELEMENTWISE)
@given(values=st.lists(st.floats(-12, 12, width=32), min_size=1, max_size=8))
def test_activations_are_what_their_papers_say(op: str, values: list[float]) -> None:
    builder = GraphBuilder()
    graph = builder.graph(builder.add(op, "y", builder.input("x", (len(values),))))
    [seen] = torch_network.run(graph, {}, {"x": torch.tensor(values)})
    np.testing.assert_allclose(seen.numpy(), ELEMENTWISE[op](np.array(values)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("padding", [(0, 0, 1, 1), (2, 1, 0, 3)])
def test_padding_may_differ_on_all_sides(padding: tuple[int, int, int, int]) -> None:
    builder = GraphBuilder()
    x = builder.input("x", (1, 2, 6, 7))
    y = builder.convolution("conv", x, 4, kernel=3, stride=(2, 1), padding=padding, norm=None)
    graph = builder.graph(y)
    drawn, examples = torch_network.draw(graph), torch_network.example_inputs(graph)
    top, left, bottom, right = padding
    padded = functional.pad(examples["x"], (left, right, top, bottom))
    expected = functional.conv2d(padded, torch.from_numpy(drawn["conv.weight"]), stride=(2, 1))
    [seen] = torch_network.run(graph, drawn, examples)
    assert seen.shape == graph.by_name["conv"].shape
    torch.testing.assert_close(seen, expected)
