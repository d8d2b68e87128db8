from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from mbench import models, variants
from mbench.compile import build, lower
from mbench.errors import BuildError
from mbench.models import network
from mbench.records import Variant

NAME = "mobilenet_v1_0.25_32"


@pytest.fixture(scope="module")
def lowered() -> lower.Lowered:
    return lower.lower(variants.parse(NAME))


@pytest.mark.parametrize("name", ["mobilenet_v1_0.33_33_standard", "mobilenet_v1_0.25_32_shallow"])
def test_every_layer_has_its_kernel_in_order(name: str) -> None:
    variant = variants.parse(name, batch=2)
    calls = lower.lower(variant).calls
    assert [call.layer for call in calls if call.anchor] == [spec.name for spec in models.layers(variant)]
    order = {spec.name: index for index, spec in enumerate(models.layers(variant))}
    indices = [order.get(call.layer, -1) for call in calls]
    assert indices == sorted(indices)
    assert {call.layer for call in calls} <= order.keys()


def test_bias_and_activation_are_fused_into_the_convolution(lowered: lower.Lowered) -> None:
    convolutions = [spec.name for spec in models.layers(variants.parse(NAME)) if spec.is_conv]
    by_layer = {layer: [call.kernel for call in lowered.calls if call.layer == layer] for layer in convolutions}
    for layer, kernels in by_layer.items():
        assert len(kernels) == 1, layer
        assert kernels[0].startswith("fused_conv2d")
        assert "relu" in kernels[0]


def test_the_reference_is_torchs_own_output(lowered: lower.Lowered) -> None:
    variant = variants.parse(NAME)
    with torch.no_grad():
        expected = network.build(variant)(network.example_input(variant)).numpy()
    np.testing.assert_array_equal(lowered.example, network.example_input(variant).numpy())
    np.testing.assert_allclose(lowered.expected, expected, rtol=1e-5, atol=1e-5)


def test_folding_batchnorm_changes_no_result() -> None:
    variant = variants.parse("mobilenet_v1_0.33_33")
    built, x = network.build(variant), network.example_input(variant)
    folded = lower._plain(built, half=False)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in folded.modules())
    with torch.no_grad():
        torch.testing.assert_close(folded(x), built(x), rtol=1e-4, atol=1e-4)


# --------------------------------------------------------------------------------------- attribution that does not fit
def other_layers(change: str) -> tuple[models.LayerSpec, ...]:
    specs = models.layers(variants.parse(NAME))
    return {
        "none": specs,
        "another network": models.layers(variants.parse("mobilenet_v1_0.5_32")),
        "one layer more": (*specs, dataclasses.replace(specs[-1], name="fc2")),
        "one layer fewer": specs[:-1],
        "two swapped": (specs[0], specs[2], specs[1], *specs[3:]),
        "another stride": (dataclasses.replace(specs[0], output_shape=(1, 8, 32, 32)), *specs[1:]),
    }[change]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("another network", r"kernel 'fused_conv2d.*' does not compute the layer expected next, .*name='conv0'"),
        ("another stride", r"kernel 'fused_conv2d.*' does not compute the layer expected next, .*name='conv0'"),
        ("one layer more", r"no kernel computes layer 'fc2'"),
        ("one layer fewer", r"kernel 'fused_matmul.*' does not compute the layer expected next, no further layer"),
        ("two swapped", r"kernel 'fused_conv2d.*' does not compute the layer expected next, .*name='block1\.pw'"),
    ],
)
def test_kernels_that_do_not_fit_the_layers_are_refused(change: str, said: str, lowered: lower.Lowered) -> None:
    assert lower._attribute(lowered.module, other_layers("none")) == lowered.calls
    with pytest.raises(BuildError, match=said):
        lower._attribute(lowered.module, other_layers(change))


def test_a_network_that_differs_from_its_layers_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    right, built = models.layers, network.build

    def layers(variant: Variant) -> tuple[models.LayerSpec, ...]:
        return right(variants.parse("mobilenet_v1_0.25_64"))

    reference = built(variants.parse(NAME))
    monkeypatch.setattr(network, "build", lambda variant: reference)
    monkeypatch.setattr(models, "layers", layers)
    with pytest.raises(BuildError, match="does not compute the layer expected next"):
        lower.lower(variants.parse(NAME))


# ------------------------------------------------------------------------------------ calls that the planner took out
CALLS = tuple(
    lower.KernelCall(kernel=kernel, layer=layer, anchor=True)
    for kernel, layer in (("conv", "a"), ("conv", "b"), ("view", "b"), ("matmul", "c"))
)
NAMES = {"conv": "conv_packed", "view": "view", "matmul": "matmul"}


def test_calls_that_the_planner_took_out_are_left_out() -> None:
    kept = build._surviving(CALLS, NAMES, ("conv_packed", "conv_packed", "matmul"))
    assert kept == (("conv_packed", "a"), ("conv_packed", "b"), ("matmul", "c"))


def test_a_call_that_was_not_attributed_is_refused() -> None:
    with pytest.raises(BuildError, match="kernel 'stranger' is called but belongs to no layer"):
        build._surviving(CALLS, NAMES, ("conv_packed", "stranger", "matmul"))
