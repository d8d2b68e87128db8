from __future__ import annotations

import numpy as np
import pytest

from mbench.build import build
from mbench.compile import memory, to_relax
from mbench.core.dtypes import FLOATS as DTYPES
from mbench.core.errors import BuildError
from mbench.networks import architectures, variants, weights
from mbench.networks.graph import Graph
from mbench.networks.graph_builder import GraphBuilder

NAME = "mobilenet_v1_0.25_32"


def folded(name: str, dtype: str = "float32", batch: int = 1) -> Graph:
    return architectures.folded(variants.parse(name, dtype=dtype, batch=batch)).graph


@pytest.fixture(scope="module")
def lowered() -> to_relax.Lowered:
    return to_relax.lower(folded(NAME))


@pytest.mark.parametrize(
    "name", ["mobilenet_v1_0.33_33_standard", "mobilenet_v1_0.25_32_shallow", "mobilenet_v2_0.35_32"]
)
def test_every_layer_has_its_one_kernel_in_order(name: str) -> None:
    calls = to_relax.lower(folded(name, batch=2)).calls
    assert [call.layer for call in calls] == [spec.name for spec in architectures.layers(variants.parse(name, batch=2))]


def test_a_kernel_is_named_for_all_that_it_computes(lowered: to_relax.Lowered) -> None:
    by_layer = {call.layer: call.kernel for call in lowered.calls}
    assert by_layer["conv0"].startswith("fused_conv2d_relu")
    assert by_layer["block1.dw"].startswith("fused_depthwise_conv2d_relu")
    assert by_layer["fc"].startswith("linear")


def test_layers_of_equal_shapes_share_a_kernel_and_others_do_not(lowered: to_relax.Lowered) -> None:
    by_layer = {call.layer: call.kernel for call in lowered.calls}
    assert by_layer["block8.pw"] == by_layer["block9.pw"] != by_layer["block12.pw"]
    assert len(lowered.calls) > len({call.kernel for call in lowered.calls})


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", [NAME, "mobilenet_v2_0.35_32"])
def test_weights_take_the_place_of_the_parameters(name: str, dtype: str) -> None:
    variant = variants.parse(name, dtype=dtype)
    plain, drawn = to_relax.lower(folded(name, dtype)), weights.draw(variant)
    assert [each.name for each in plain.module["main"].params[1:]] == list(drawn.parameters)
    bound = to_relax.bind(plain, drawn.parameters)
    [image] = bound["main"].params
    assert [int(extent) for extent in image.ty.shape] == list(drawn.examples["image"].shape)
    width = {"weight": 4 if dtype == "float32" else 2, "bias": 4}  # biases are summed, and so as sums are
    expected = sum(value.size * width[key.rsplit(".")[-1]] for key, value in drawn.parameters.items())
    assert memory.constant_bytes(bound) == expected


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"fc.bias": np.zeros(999, "float32")}, "has 1000 float32 for 'fc.bias', its weights 999 float32"),
        ({"fc2.bias": np.zeros(1000, "float32")}, r"the network has nothing for 'fc2.bias'"),
        ({"fc.bias": None}, r"its weights have nothing for 'fc.bias'"),
    ],
)
def test_weights_of_another_network_are_refused(change: dict[str, np.ndarray | None], said: str) -> None:
    changed = {**weights.draw(variants.parse(NAME)).parameters, **change}
    given = {name: value for name, value in changed.items() if value is not None}
    with pytest.raises(BuildError, match=said):
        to_relax.bind(to_relax.lower(folded(NAME)), given)


def test_an_output_that_does_not_lie_as_people_have_it_is_refused() -> None:
    builder = GraphBuilder()
    graph = builder.graph(builder.convolution("conv", builder.input("x", (1, 3, 8, 8)), 4, norm=None))
    with pytest.raises(BuildError, match="output 'conv' lies channels last"):
        to_relax.lower(graph)


# ------------------------------------------------------------------------------------ calls that the planner took out
CALLS = tuple(
    to_relax.KernelCall(kernel=kernel, layer=layer, anchor=True)
    for kernel, layer in (("conv", "a"), ("conv", "b"), ("view", "b"), ("matmul", "c"))
)
NAMES = {"conv": "conv_packed", "view": "view", "matmul": "matmul"}


def test_calls_that_the_planner_took_out_are_left_out() -> None:
    kept = build._surviving(CALLS, NAMES, ("conv_packed", "conv_packed", "matmul"))
    assert kept == (("conv_packed", "a"), ("conv_packed", "b"), ("matmul", "c"))


def test_a_call_that_was_not_attributed_is_refused() -> None:
    with pytest.raises(BuildError, match="kernel 'stranger' is called but belongs to no layer"):
        build._surviving(CALLS, NAMES, ("conv_packed", "stranger", "matmul"))
