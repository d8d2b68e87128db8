from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from mbench.build import build
from mbench.compile import memory, to_relax
from mbench.core.dtypes import NAMES as DTYPES
from mbench.core.errors import BuildError
from mbench.networks import architectures, variants, weights

NAME = "mobilenet_v1_0.25_32"


@pytest.fixture(scope="module")
def lowered() -> to_relax.Lowered:
    return to_relax.lower(variants.parse(NAME))


@pytest.mark.parametrize("name", ["mobilenet_v1_0.33_33_standard", "mobilenet_v1_0.25_32_shallow"])
def test_every_layer_has_its_kernel_in_order(name: str) -> None:
    variant = variants.parse(name, batch=2)
    calls = to_relax.lower(variant).calls
    assert [call.layer for call in calls if call.anchor] == [spec.name for spec in architectures.layers(variant)]
    order = {spec.name: index for index, spec in enumerate(architectures.layers(variant))}
    indices = [order.get(call.layer, -1) for call in calls]
    assert indices == sorted(indices)
    assert {call.layer for call in calls} <= order.keys()


def test_bias_and_activation_are_fused_into_the_convolution(lowered: to_relax.Lowered) -> None:
    convolutions = [spec.name for spec in architectures.layers(variants.parse(NAME)) if spec.is_conv]
    by_layer = {layer: [call.kernel for call in lowered.calls if call.layer == layer] for layer in convolutions}
    for layer, kernels in by_layer.items():
        assert len(kernels) == 1, layer
        assert kernels[0].startswith("fused_conv2d")
        assert "relu" in kernels[0]


@pytest.mark.parametrize("dtype", DTYPES)
def test_weights_take_the_place_of_the_parameters(dtype: str) -> None:
    variant = variants.parse(NAME, dtype=dtype)
    plain, drawn = to_relax.lower(variant), weights.draw(variant)
    assert [each.name for each in plain.module["main"].params[1:]] == list(drawn.parameters)
    bound = to_relax.bind(plain.module, drawn.parameters)
    [image] = bound["main"].params
    assert [int(extent) for extent in image.ty.shape] == list(drawn.example.shape)
    assert memory.constant_bytes(bound) == sum(value.nbytes for value in drawn.parameters.values())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"fc.bias": np.zeros(999, "float32")}, "has 1000 float32 for 'fc.bias', its weights 999 float32"),
        ({"fc.bias": np.zeros(1000, "float16")}, "for 'fc.bias', its weights 1000 float16"),
        ({"fc2.bias": np.zeros(1000, "float32")}, r"has nothing for 'fc2.bias'"),
        ({"fc.bias": None}, r"for 'fc.bias', its weights nothing"),
    ],
)
def test_weights_of_another_network_are_refused(change: dict[str, np.ndarray | None], said: str) -> None:
    variant = variants.parse(NAME)
    changed = {**weights.draw(variant).parameters, **change}
    given = {name: value for name, value in changed.items() if value is not None}
    with pytest.raises(BuildError, match=said):
        to_relax.bind(to_relax.lower(variant).module, given)


# --------------------------------------------------------------------------------------- attribution that does not fit
def other_layers(change: str) -> tuple[architectures.LayerSpec, ...]:
    specs = architectures.layers(variants.parse(NAME))
    return {
        "none": specs,
        "another network": architectures.layers(variants.parse("mobilenet_v1_0.5_32")),
        "one layer more": (*specs, dataclasses.replace(specs[-1], name="fc2")),
        "one layer fewer": specs[:-1],
        "two swapped": (specs[0], specs[2], specs[1], *specs[3:]),
        "another stride": (dataclasses.replace(specs[0], output_shape=(1, 8, 32, 32)), *specs[1:]),
    }[change]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("another network", r"kernel 'fused_conv2d.*' does not compute the layer expected next, conv0"),
        ("another stride", r"kernel 'fused_conv2d.*' does not compute the layer expected next, conv0"),
        ("one layer more", r"no kernel computes layer 'fc2'"),
        ("one layer fewer", r"kernel 'fused_matmul.*' does not compute the layer expected next, no further layer"),
        ("two swapped", r"kernel 'fused_conv2d.*' does not compute the layer expected next, block1\.pw"),
    ],
)
def test_kernels_that_do_not_fit_the_layers_are_refused(change: str, said: str, lowered: to_relax.Lowered) -> None:
    assert to_relax._attribute(lowered.module, other_layers("none")) == lowered.calls
    with pytest.raises(BuildError, match=said):
        to_relax._attribute(lowered.module, other_layers(change))


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
