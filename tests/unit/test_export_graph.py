"""Programs of torch.export: names, what is changed in place, sides that are open, and what is left out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from network_files import computed
from torch import nn

from mbench.core.errors import UsageError
from mbench.networks.graph import TensorType
from mbench.networks.importers import export_graph, whole
from mbench.networks.importers.whole import ReadGraph


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.features = nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU6(inplace=True)))
        self.head = nn.ModuleDict({"fc": nn.Linear(4, 2)})
        self.eval()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        pixels = self.features(image)
        pixels += pixels.mean((2, 3), keepdim=True)
        unused = torch.fft.fft(pixels)
        del unused
        return self.head["fc"](pixels.mean((2, 3)))


def read(module: nn.Module, *inputs: torch.Tensor, **types: TensorType) -> ReadGraph:
    with torch.no_grad():
        program = torch.export.export(module, inputs)
    names = program.graph_signature.user_inputs
    given = {name: TensorType(shape=tuple(each.shape)) for name, each in zip(names, inputs, strict=True)}
    return export_graph.read(program, {**given, **types}, "network.pt2")


def test_names_are_paths_of_modules_and_parameters() -> None:
    found = read(Block(), torch.randn(2, 3, 6, 6))
    assert {"features.0.0", "features.0.1", "features.0.2.relu6", "head.fc"} <= set(found.graph.by_name)
    assert list(found.graph.parameters)[:2] == ["features.0.0.weight", "features.0.0.bias"]
    assert found.graph.by_name["features.0.2.relu6"].source_names == ("features.0.2",)


def test_what_no_output_needs_is_left_out() -> None:
    """A Fourier transform, which could not be read."""
    assert read(Block(), torch.randn(2, 3, 6, 6)).graph.nodes


def test_it_computes_what_the_module_does() -> None:
    x, module = torch.randn(2, 3, 6, 6), Block()
    found = read(module, x)
    (got,) = computed(found.graph, found.parameters, {"image": x.numpy()})
    np.testing.assert_allclose(got, module(x).detach().numpy(), rtol=1e-5, atol=1e-6)


class InPlace(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x * 1.0
        y.view(-1)[0] += 2.0
        return y + y.relu_()


def test_a_change_through_a_view_is_seen() -> None:
    x, module = torch.randn(1, 3), InPlace().eval()
    found = read(module, x)
    (got,) = computed(found.graph, found.parameters, {"x": x.numpy()})
    np.testing.assert_allclose(got, module(x.clone()).numpy(), rtol=1e-6)


def test_a_network_that_changes_its_input_or_state_is_refused() -> None:
    class Changing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("count", torch.zeros(1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.count += 1
            return x * self.count

    with pytest.raises(UsageError, match="'count' when it runs"):
        read(Changing().eval(), torch.randn(1, 3))


def test_the_multiply_adds_are_those_of_torch() -> None:
    from torch.utils.flop_counter import FlopCounterMode

    x, module = torch.randn(2, 3, 6, 6), Block()
    module.forward = lambda image: module.head["fc"](module.features(image).mean((2, 3)))  # type: ignore[method-assign]
    found = read(module, x)
    with FlopCounterMode(display=False) as counter:
        module(x)
    assert sum(found.macs.values()) == counter.get_total_flops() // 2
    whole.check(found.graph, found.parameters, found.macs, where="network.pt2")


class Doubled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)
        self.eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(self.conv(x))


def test_a_module_that_is_called_twice_has_two_layers() -> None:
    found = read(Doubled(), torch.randn(1, 3, 2, 2))
    assert [node.name for node in found.graph.nodes] == ["conv", "conv_1"]
    assert list(found.graph.parameters) == ["conv.weight", "conv.bias"]


def test_numbers_that_numpy_has_not() -> None:
    with pytest.raises(ValueError, match="bfloat16"):
        export_graph.array_of(torch.ones(2, dtype=torch.bfloat16))
