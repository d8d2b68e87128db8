from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import nn

from mbench.core import dtypes
from mbench.measure import numerics
from mbench.networks import architectures, torch_network, variants

TOLERANCE = dtypes.of("float32").network_tolerance
CORRUPTED = ("mobilenet_v1_0.25_64", "mobilenet_v1_0.25_32_standard")


def outputs(name: str, batch: int = 1) -> dict[str, torch.Tensor]:
    """Return what each layer gives for the example input, by the layer's name."""
    variant = variants.parse(name, batch=batch)
    seen: dict[str, torch.Tensor] = {}
    x = torch_network.example_input(variant)
    with torch.no_grad():
        for module_name, module in torch_network.build(variant).named_children():
            x = seen[module_name] = module(x)
    return seen


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Keep torch from waiting for its own threads where others use the processors."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize(
    "name", ["1.0_224", "0.25_64", "0.25_32", "0.33_33", "0.5_128", "1.4_96", "0.25_40_standard", "0.5_96_shallow"]
)
def test_every_layer_is_alive(name: str) -> None:
    for layer, output in outputs(f"mobilenet_v1_{name}").items():
        if layer in ("pool", "fc"):
            continue
        assert 0.3 < output.std() < 2, layer
        dead = (output.amax((0, 2, 3)) == 0).sum() / output.shape[1]
        if output[0, 0].numel() > 4:  # a few pixels may all lie below a ReLU's threshold and say nothing
            assert dead <= 0.05, layer
        assert dead < 0.5, layer


@pytest.mark.parametrize("name", ["1.0_224", "0.25_64", "0.25_32", "0.25_40_standard"])
def test_logits_have_unit_scale_and_vary_over_classes_and_images(name: str) -> None:
    logits = outputs(f"mobilenet_v1_{name}", batch=2)["fc"]
    assert 0.3 < logits.std(1).min() <= logits.std(1).max() < 3
    assert (logits[0] - logits[1]).abs().max() > 100 * TOLERANCE * logits.abs().max()
    bias = torch_network.build(variants.parse(f"mobilenet_v1_{name}")).fc.bias
    assert (logits - bias).std() > bias.std()


def test_two_builds_are_equal() -> None:
    variant = variants.parse("mobilenet_v1_0.33_33")
    first, second = torch_network.build(variant).state_dict(), torch_network.build(variant).state_dict()
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert torch.equal(torch_network.example_input(variant), torch_network.example_input(variant))


@pytest.mark.parametrize("name", ["mobilenet_v1_0.25_64", "mobilenet_v1_0.5_160_standard"])
def test_the_number_of_threads_changes_no_weight(name: str) -> None:
    states = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        states.append(torch_network.build(variants.parse(name)).state_dict())
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_another_process_with_another_seed_builds_the_same() -> None:
    program = (
        "import sys, torch; torch.manual_seed(int(sys.argv[1]))\n"
        "from mbench.networks import variants; from mbench.networks import torch_network as network\n"
        "variant = variants.parse('mobilenet_v1_0.25_32')\n"
        "tensors = [*network.build(variant).state_dict().values(), network.example_input(variant)]\n"
        "sys.stdout.buffer.write(b''.join(tensor.numpy().tobytes() for tensor in tensors))\n"
    )
    seen = {
        subprocess.run([sys.executable, "-c", program, seed], capture_output=True, check=True).stdout
        for seed in ("7", "8")
    }
    variant = variants.parse("mobilenet_v1_0.25_32")
    tensors = [*torch_network.build(variant).state_dict().values(), torch_network.example_input(variant)]
    assert seen == {b"".join(tensor.numpy().tobytes() for tensor in tensors)}


def test_layers_of_one_network_have_weights_of_their_own() -> None:
    built = torch_network.build(variants.parse("mobilenet_v1_0.25_32"))
    assert not torch.equal(built.block8_pw[0].weight, built.block9_pw[0].weight)


# ---------------------------------------------------------------------------- the numerics check sees any broken layer
def weighted_layers() -> list[tuple[str, str]]:
    return [
        (name, spec.name.replace(".", "_"))
        for name in CORRUPTED
        for spec in architectures.layers(variants.parse(name))
        if spec.op != "pool"
    ]


def reducing_layers() -> list[tuple[str, str]]:
    return [(name, layer) for name, layer in weighted_layers() if not layer.endswith("_dw")]


def logits_after(name: str, layer: str, corrupt: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the network's logits, and those with one layer's weights corrupted."""
    variant = variants.parse(name)
    built, x = torch_network.build(variant), torch_network.example_input(variant)
    module = built.get_submodule(layer)
    weight = (module[0] if isinstance(module, nn.Sequential) else module).weight
    with torch.no_grad():
        expected = built(x).numpy()
        if corrupt == "zeroed":
            weight.zero_()
        else:  # the reduction stops one input channel early: the slip that a wrong loop bound makes
            weight[:, -1] = 0
        return expected, built(x).numpy()


@pytest.mark.parametrize(("name", "layer"), weighted_layers())
def test_a_layer_of_zeros_moves_the_logits_far_beyond_the_tolerance(name: str, layer: str) -> None:
    expected, wrong = logits_after(name, layer, "zeroed")
    assert np.abs(wrong - expected).max() / np.abs(expected).max() > 100 * TOLERANCE
    assert not numerics.compare(wrong, expected, TOLERANCE).passed
    assert numerics.compare(expected.copy(), expected, TOLERANCE).passed


@pytest.mark.parametrize(("name", "layer"), reducing_layers())
def test_one_missing_step_of_a_reduction_moves_the_logits_far_beyond_the_tolerance(name: str, layer: str) -> None:
    expected, wrong = logits_after(name, layer, "last channel missing")
    assert np.abs(wrong - expected).max() / np.abs(expected).max() > 100 * TOLERANCE
    assert not numerics.compare(wrong, expected, TOLERANCE).passed


def test_weights_do_not_depend_on_torchs_threads_which_are_as_many_afterwards_as_before() -> None:
    variant = variants.parse("mobilenet_v1_1.0_224")  # where two threads' sums round one statistic otherwise
    before, seen = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            seen.append(torch_network.build(variant).state_dict())
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert [name for name, value in seen[0].items() if not torch.equal(value, seen[1][name])] == []
