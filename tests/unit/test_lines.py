"""Networks of one dimension: computed on images of one row, so that nothing is copied and BatchNorm folds."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from network_files import error, read
from torch import nn

from mbench.networks import folding, layers, standard
from mbench.networks.importers import lines
from mbench.networks.importers.imported import Imported

SHAPE = (1, 4, 32)


class Separable(nn.Module):  # type: ignore[misc]
    """Depthwise and pointwise convolutions with BatchNorm, a gate, a residual, pools and what joins them."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv1d(4, 8, 5, 2, 2, bias=False), nn.BatchNorm1d(8), nn.ReLU6())
        self.dw = nn.Sequential(nn.Conv1d(8, 8, 3, 1, 1, groups=8, bias=False), nn.BatchNorm1d(8), nn.Hardswish())
        self.pw = nn.Sequential(nn.Conv1d(8, 8, 1, bias=False), nn.BatchNorm1d(8))
        self.gate = nn.Conv1d(8, 8, 1)
        self.shift = nn.Parameter(torch.randn(8, 1))
        self.pool = nn.MaxPool1d(2)
        self.last = nn.Sequential(nn.Linear(16, 6, bias=False), nn.BatchNorm1d(6))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        y = self.pw(self.dw(x))
        y = y * torch.sigmoid(self.gate(y.mean(-1, keepdim=True))) + self.shift
        y = torch.cat((nn.functional.pad(x + y, (1, 1)), nn.functional.pad(y, (2, 0))), 1)
        return self.last(self.pool(torch.softmax(y[..., 1:], -1)).mean(-1))


def network() -> nn.Module:
    torch.manual_seed(0)
    made = Separable()
    for part in made.modules():
        if isinstance(part, nn.BatchNorm1d):
            nn.init.normal_(part.running_mean)
            nn.init.uniform_(part.running_var, 0.5, 2.0)
            nn.init.uniform_(part.weight, 0.5, 2.0)
    return made.eval()


def as_onnx(folder: Path) -> Imported:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(network(), (torch.randn(SHAPE),), str(folder / "net.onnx"), dynamo=False)
    return read(folder / "net.onnx")


def as_pt2(folder: Path) -> Imported:
    torch.export.save(torch.export.export(network(), (torch.randn(SHAPE),)), folder / "net.pt2")
    return read(folder / "net.pt2")


@pytest.mark.parametrize("written", [as_onnx, as_pt2])
def test_all_between_two_convolutions_is_on_images(tmp_path: Path, written: Callable[[Path], Imported]) -> None:
    found = written(tmp_path)
    assert error(found) < 1e-5
    moved = [node.name for node in found.graph.nodes if node.op in ("reshape", "permute", "rearrange")]
    views = [name for name in moved if len(found.graph.shape(name)) == 3]
    assert views == [], "no line is left"
    compiled = folding.as_compiled(found.graph).graph
    assert not [node for node in compiled.nodes if node.op == "batch_norm"]
    kinds = [layer.op for layer in layers.of_graph(compiled)]
    assert "transpose" not in kinds
    assert kinds.count("conv2d") + kinds.count("pointwise_conv2d") + kinds.count("depthwise_conv2d") == 4


def test_a_standard_twin_replaces_both_convolutions_of_a_separable_one(tmp_path: Path) -> None:
    [replaced] = standard.twin(as_pt2(tmp_path).graph).replaced
    assert len(replaced.layers) == 2


def test_an_output_that_is_a_line_keeps_its_name_and_shape(tmp_path: Path) -> None:
    conv = nn.Sequential(nn.Conv1d(4, 8, 3), nn.BatchNorm1d(8), nn.ReLU()).eval()
    torch.export.save(torch.export.export(conv, (torch.randn(SHAPE),)), tmp_path / "net.pt2")
    found = read(tmp_path / "net.pt2")
    assert error(found) < 1e-5
    assert found.graph.shape(found.graph.outputs[0]) == (1, 8, 30)
    assert [node.op for node in found.graph.nodes] == ["reshape", "conv2d", "batch_norm", "relu", "reshape"]


def test_a_network_without_lines_stays_as_it_is(tmp_path: Path) -> None:
    torch.export.save(torch.export.export(nn.Conv2d(3, 4, 3).eval(), (torch.randn(1, 3, 8, 8),)), tmp_path / "net.pt2")
    found = read(tmp_path / "net.pt2")
    assert lines.as_images(found.graph, found.parameters)[0] is found.graph
