"""ATen's operations against torch: many in one program, as it is and taken apart."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from network_files import computed
from torch import nn
from torch.nn import functional

from mbench.core.errors import UsageError
from mbench.networks.graph import TensorType
from mbench.networks.importers import export_graph
from mbench.networks.importers.export_operations import OPERATIONS, advice, refused

Function = Callable[[torch.Tensor], torch.Tensor]

_FUNCTIONAL = (
    *("relu", "relu6", "sigmoid", "tanh", "silu", "hardswish", "hardsigmoid", "mish", "selu", "celu", "elu"),
    *("leaky_relu", "softplus", "gelu", "hardtanh", "softsign", "logsigmoid", "tanhshrink", "hardshrink", "softshrink"),
)
_TORCH = ("exp", "abs", "neg", "floor", "ceil", "round", "sign", "erf", "sin", "cos", "trunc", "square")

WITHOUT_A_ROW = torch.tensor([[True, False, True, True], [False] * 4, [True] * 4, [False, False, False, True]])
"""A mask of attention that lets nothing pass to the second row."""

ELEMENTS: dict[str, Function] = {
    **{
        name: getattr(functional, name)
        for name in _FUNCTIONAL
    },
    **{name: getattr(torch, name) for name in _TORCH},
    "gelu_tanh": lambda x: functional.gelu(x, approximate="tanh"),
    "elu_2": lambda x: functional.elu(x, 2.0),
    "softplus_2": lambda x: functional.softplus(x, 2.0),
    "softplus_2_3": lambda x: functional.softplus(x * 2, 2.0, 3.0),
    "threshold": lambda x: functional.threshold(x, 0.1, 20.0),
    "log": lambda x: torch.log(x.abs() + 1),
    "log1p": lambda x: torch.log1p(x.abs()),
    "sqrt": lambda x: torch.sqrt(x.abs()),
    "rsqrt": lambda x: torch.rsqrt(x.abs() + 1),
    "reciprocal": lambda x: torch.reciprocal(x.abs() + 1),
    "clamp": lambda x: x.clamp(-0.5, 1.0),
    "clamp_low": lambda x: x.clamp(min=0.0),
    "clamp_value": lambda x: torch.clamp(x, x.mean(), x.max()),
    "powers": lambda x: x**2 + x**3 + x.abs() ** 0.5 + x.abs() ** 1.7 + 2**x + (x.abs() + 1) ** -1 + x.abs() ** x,
    "arithmetic": lambda x: (3 - x) * 2 / (x.abs() + 1) + x / 4 - torch.rsub(x, x, alpha=2) + torch.add(x, x, alpha=3),
    "rounded": lambda x: torch.div(x, 0.3, rounding_mode="floor") + torch.div(x, 0.3, rounding_mode="trunc"),
    "rounded_41": lambda x: torch.div(x.round() * 41, 41, rounding_mode="floor"),
    "remainder": lambda x: torch.remainder(x, 0.7),
    "comparisons": lambda x: (
        (x > 0).float() + (x < 0.5) + (x >= 0.1) + (x <= 0.2) + (x == x) + (x != 0) + (x.int() > 0.5) + (x > x.mean())
    ),
    "logic": lambda x: (((x > 0) & (x < 1)) | ~(x > 0.3)).float() + torch.logical_xor(x > 0, x > 1),
    "not": lambda x: torch.logical_not(x),
    "where": lambda x: torch.where(x > 0, x, -1.0) + torch.where(x > 0, 2.0, x),
    "aliases": lambda x: (
        torch.multiply(x, 2).subtract(x).divide(3) + torch.true_divide(x, 2) + torch.absolute(x) - torch.negative(x)
        + torch.clip(x, -0.5, 0.5) + torch.concat([x, x], 1)[:, :1] + torch.greater(x, 0) + torch.less_equal(x, 0.5)
        + torch.not_equal(x, 0) + torch.swapaxes(x, 2, 3).mT
    ),
    "masked": lambda x: x.masked_fill(x > 0, 7.0),
    "cast": lambda x: x.to(torch.int32).to(torch.int64).float() + (x > 0).to(torch.float32),
    "extremes": lambda x: torch.maximum(x, -x) + torch.minimum(x, x * 2),
}  # fmt: skip

SHAPES: dict[str, Function] = {
    "view": lambda x: x.view(2, -1),
    "flatten": lambda x: x.flatten(1, 2),
    "squeeze": lambda x: x.unsqueeze(1).unsqueeze(-1).squeeze(1).squeeze(),
    "permute": lambda x: x.permute(0, 2, 3, 1).contiguous() .view(2, -1),
    "transpose": lambda x: x.transpose(1, -1)[:, :4] + x.transpose(1, 2).mT.transpose(2, 3)[..., :1],
    "expand": lambda x: x[:, :1].expand(-1, 3, -1, -1) + x.mean((2, 3), keepdim=True).expand_as(x)[:, :3],
    "cat": lambda x: torch.cat([x, x.int(), x[:, :1]], 1),
    "stack": lambda x: torch.stack([x, -x], -1),
    "slices": lambda x: x[:, 1:3, ::2, -4:-1],
    "select": lambda x: x[:, -1] + x[:, 0],
    "split": lambda x: x.split(3, 1)[1] + x.split([1, 2, 1], 1)[2] + x.chunk(2, 1)[0][:, :1],
    "unbind": lambda x: x.unbind(1)[1],
    "narrow": lambda x: x.narrow(-1, 1, 3),
    "gathered": lambda x: x[:, [0, 2, 1]] + x.index_select(1, torch.tensor([3, 3, 0])),
    "flip": lambda x: x.flip(1, 3),
    "repeat": lambda x: x.repeat(1, 2, 1, 2),
    "roll": lambda x: torch.roll(x, (1, -2), (2, 3)),
    "pixel_shuffle": lambda x: functional.pixel_shuffle(x, 2),
    "pixel_unshuffle": lambda x: functional.pixel_unshuffle(x, 2),
    "channel_shuffle": lambda x: functional.channel_shuffle(x, 2),
    "made": lambda x: x[0, 0, 0] * (torch.arange(6) + torch.zeros(6) + torch.ones(6) * torch.full((6,), 2.0)),
    "like": lambda x: torch.ones_like(x) + x * torch.zeros_like(x) + torch.full_like(x, 3.0),
    "triangles": lambda x: torch.tril(x) - torch.triu(x, 1),
    "sums": lambda x: x[:, :, 0, 0] + torch.cumsum(torch.ones(4), 0),
    "einsum": lambda x: torch.einsum("nchw,ndhw->ncd", x, x),
}  # fmt: skip

WINDOWS: dict[str, Function] = {
    "max_pool": lambda x: functional.max_pool2d(x, 3, 2, 1, ceil_mode=True),
    "max_pool_dilated": lambda x: functional.max_pool2d(x, 2, 1, dilation=2),
    "max_pool_plain": lambda x: functional.max_pool2d(x, 2),
    "avg_pool": lambda x: functional.avg_pool2d(x, (3, 2), (2, 1), (1, 0), count_include_pad=False),
    "lines": lambda x: functional.avg_pool1d(x[:, :, 0], 3) + functional.max_pool1d(x[:, :, 0], 3),
    "adaptive": lambda x: functional.adaptive_avg_pool2d(x, (2, 3)) + functional.adaptive_max_pool2d(x, (2, 3)),
    "global": lambda x: functional.adaptive_avg_pool2d(x, 1) + functional.adaptive_max_pool2d(x, 1),
    "lrn": lambda x: functional.local_response_norm(x, 3, alpha=0.5),
    "nearest": lambda x: functional.interpolate(x, scale_factor=2.0),
    "nearest_exact": lambda x: functional.interpolate(x, (7, 5), mode="nearest-exact"),
    "bilinear": lambda x: functional.interpolate(x, (9, 4), mode="bilinear"),
    "corners": lambda x: functional.interpolate(x, (9, 4), mode="bilinear", align_corners=True),
    "scaled": lambda x: functional.interpolate(x, scale_factor=1.7, mode="bilinear"),
    "bicubic": lambda x: functional.interpolate(x, (9, 11), mode="bicubic"),
    "pads": lambda x: functional.pad(x, (1, 2, 0, 1)) + functional.pad(x, (1, 2, 0, 1), mode="reflect"),
    "edges": lambda x: functional.pad(x, (2, 0, 1, 1), mode="replicate") + functional.pad(x, (1, 1, 1, 1), value=3),
    "cut": lambda x: functional.pad(x, (-1, 1)),
    "norms": lambda x: functional.layer_norm(x, (6,)) + functional.group_norm(x, 2) + functional.instance_norm(x),
    "softmax": lambda x: x.softmax(1) + x.log_softmax(-1),
    "means": lambda x: x.mean() + x.mean(1, keepdim=True) + x.mean((2, 3), keepdim=True),
    "reductions": lambda x: x.sum((1, 3)) + x.amax((1, 3)) + x.amin((1, 3)) + x.sum() + x.max() - x.min(),
    "product": lambda x: x.prod(3),
    "extremes": lambda x: x.max(1).values + x.min(1).indices + x.argmax(1) + x.argmin(1) + x.flatten().argmax(),
    "spread": lambda x: x.var((2, 3)) + x.std((2, 3), unbiased=False) + torch.var_mean(x, (2, 3))[1],
    "lengths": lambda x: functional.normalize(x, dim=1) + x.norm(1, dim=1, keepdim=True),
    "logsumexp": lambda x: torch.logsumexp(x, 1),
    "attention": lambda x: functional.scaled_dot_product_attention(x, x, x) + functional.scaled_dot_product_attention(
        x, x, x, is_causal=True, scale=0.3
    ),
    "masked_attention": lambda x: functional.scaled_dot_product_attention(x, x, x, x[..., :4].new_ones(4, 4).tril()),
    "attention_to_nothing": lambda x: (
        functional.scaled_dot_product_attention(x, x, x, WITHOUT_A_ROW)
        + functional.scaled_dot_product_attention(x, x, x, torch.where(WITHOUT_A_ROW, 0.5, -torch.inf))
        + functional.scaled_dot_product_attention(x, x, x, (x @ x.mT > 0.5) & WITHOUT_A_ROW)
        + functional.scaled_dot_product_attention(x, x, x, torch.where(x @ x.mT > 1.5, 0.5, -torch.inf))
        + torch.ops.aten._safe_softmax(torch.where(WITHOUT_A_ROW, x[..., :4], -torch.inf), -1)[..., :1]
    ),
    "products": lambda x: x @ x.mT + torch.bmm(x[0], x[1].mT) + x[0, 0] @ x[0, 0].T,
    "vectors": lambda x: x[0, 0] @ x[0, 0, 1] + x[0, 0, 0] @ x[0, 0, 1],
    "sum_and_product": lambda x: torch.addmm(x[0, 0, :, :4], x[0, 0], x[1, 0].T, beta=2, alpha=3)
    + torch.baddbmm(x[0, :, :, :4], x[0], x[1].mT)[0],
}  # fmt: skip


class Layers(nn.Module):
    """Layers with weights, of all forms."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.ModuleList(
            [
                nn.Conv2d(4, 6, 3, 2, 1, 2, bias=False),
                nn.Conv2d(4, 8, (1, 3), padding="same", groups=2),
                nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular"),
                nn.ConvTranspose2d(4, 6, 3, 2, 1, 1, groups=2),
                nn.BatchNorm2d(4),
                nn.BatchNorm2d(4, affine=False),
                nn.GroupNorm(2, 4),
                nn.InstanceNorm2d(4, affine=True),
                nn.InstanceNorm2d(4, track_running_stats=True),
                nn.LayerNorm((4, 6)),
                nn.LayerNorm(6, elementwise_affine=False),
                nn.PReLU(4),
                nn.PReLU(),
                nn.Linear(6, 5),
                nn.Linear(6, 5, bias=False),
                nn.Dropout(),
                nn.Upsample(scale_factor=2),
                nn.Identity(),
            ]
        )
        self.line = nn.Sequential(nn.Conv1d(4, 3, 3, padding=1), nn.BatchNorm1d(3), nn.ConvTranspose1d(3, 2, 2, 2))
        self.attention = nn.MultiheadAttention(6, 2, batch_first=True)
        self.words = nn.Embedding(9, 6)
        for name, each in self.named_parameters():
            nn.init.uniform_(each, 0.1, 0.9) if each.dim() == 1 else None
            del name
        self.eval()

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        rows = x[:, 0]
        words = self.words(x[:, 0, 0].abs().long().clamp(max=8))
        attended = self.attention(rows, rows, rows, need_weights=False)[0]
        return (*(layer(x) for layer in self.layers), self.line(x[:, :, 0]), attended, words)


class Each(nn.Module):
    """All functions of one kind; `through_view`: torch has to take the program apart."""

    def __init__(self, functions: dict[str, Function], *, through_view: bool) -> None:
        super().__init__()
        self.functions, self.through_view = list(functions.values()), through_view
        self.eval()

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        if self.through_view:
            x = x + 0.0
            x.view(-1)[:5].mul_(2.0)  # read node by node, this would change nothing
        return tuple(function(x) for function in self.functions)


def example() -> torch.Tensor:
    return torch.randn(2, 4, 4, 6, generator=torch.Generator().manual_seed(1))


@functools.cache
def results(kind: str, *, apart: bool = False) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return what torch and what the graph computes, for each output."""
    modules = {"elements": ELEMENTS, "shapes": SHAPES, "windows": WINDOWS}
    module = Each(modules[kind], through_view=apart) if kind in modules else Layers()
    x = example()
    with torch.no_grad():
        program = torch.export.export(module, (x,))
        expected = module(x.clone())
    read = export_graph.read(program, {"x": TensorType(shape=tuple(x.shape))}, kind)
    got = computed(read.graph, read.parameters, {"x": x.numpy()})
    assert len(got) == len(expected)
    return [(want.numpy(), have) for want, have in zip(expected, got, strict=True)]


def differing(kind: str, names: list[str], *, apart: bool = False) -> dict[str, float]:
    found = {}
    for name, (want, have) in zip(names, results(kind, apart=apart), strict=True):
        assert want.shape == have.shape, name
        assert want.dtype == have.dtype, name
        scale = max(float(np.abs(want).max()), 1e-6)
        worst = float(np.abs(want.astype(np.float64) - have.astype(np.float64)).max()) / scale
        if worst > 1e-5:
            found[name] = worst
    return found


@pytest.mark.parametrize(
    ("kind", "functions"),
    [("elements", ELEMENTS), ("shapes", SHAPES), ("windows", WINDOWS)],
    ids=lambda each: str(each)[:8],
)
@pytest.mark.parametrize("apart", [False, True], ids=["as it is", "taken apart"])
def test_operations_are_torchs(kind: str, functions: dict[str, Function], apart: bool) -> None:
    assert differing(kind, list(functions), apart=apart) == {}


def test_layers_are_torchs() -> None:
    names = [type(each).__name__ for each in Layers().layers]
    assert differing("layers", [*names, "line", "attention", "words"]) == {}


def refusal(module: nn.Module, *inputs: torch.Tensor) -> str:
    with torch.no_grad():
        program = torch.export.export(module, inputs)
    names = program.graph_signature.user_inputs
    types = {name: TensorType(shape=tuple(each.shape)) for name, each in zip(names, inputs, strict=True)}
    with pytest.raises(UsageError) as caught:
        export_graph.read(program, types, "network.pt2")
    return str(caught.value)


class One(nn.Module):
    def __init__(self, function: Function) -> None:
        super().__init__()
        self.function = function
        self.eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (lambda x: torch.topk(x, 2).values, "operation topk.default: it belongs to what follows a detector"),
        (lambda x: torch.fft.fft(x).real, "mbench does not know it"),
        (lambda x: torch.cumsum(x, 1), "sums what depends on"),
        (lambda x: functional.adaptive_avg_pool2d(x, 3), "windows of several sizes"),
        (lambda x: functional.avg_pool2d(x, 2, divisor_override=3), "divisor_override"),
        (lambda x: functional.avg_pool3d(x[:, None], (2, 1, 1), 1, divisor_override=3), "divisor_override"),
        (lambda x: functional.max_pool2d(x, 2, return_indices=True)[1], "it reads value 2 of an operation"),
        (lambda x: functional.dropout(x, 0.5, training=True), "network.eval()"),
        (lambda x: functional.batch_norm(x, None, None, training=True), "network.eval()"),
        (lambda x: x[torch.tensor([0, 1]), torch.tensor([1, 2])], "several lists of places"),
        (lambda x: functional.max_pool2d(x, 2, return_indices=True), "it reads value 2 of an operation"),
        (lambda x: x.bfloat16() * 2, "its numbers are bfloat16; mbench computes with float32"),
        (lambda x: x.add_(1).relu(), "the network changes its own input 'x'; let it change a copy"),
    ],
)
def test_operations_that_cannot_be_read(function: Function, expected: str) -> None:
    assert expected in refusal(One(function), example())


def test_recurrent_cells_and_control_flow_are_refused_by_name() -> None:
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cells = nn.LSTM(6, 3, batch_first=True)
            self.eval()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.cells(x[:, 0])[0]

    assert "layer 'cells', operation lstm.input: mbench compiles no recurrent cells" in refusal(Recurrent(), example())
    branches = One(lambda x: torch.cond(x.sum() > 0, lambda y: y + 1, lambda y: y - 1, (x,)))
    assert "control flow" in refusal(branches, example())


def test_advice() -> None:
    assert "not one of torch's own" in advice("mylib.op.default")
    assert "of training" in advice("aten.native_dropout.default")
    for quantised in ("quantized_decomposed.quantize_per_tensor.default", "torchao.quantize_affine.default"):
        assert "as a QDQ file of ONNX" in advice(quantised)
    assert refused("aten::relu") is None
    assert len(OPERATIONS) > 150
