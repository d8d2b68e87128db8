"""The torch network of a variant, with weights and statistics that are deterministic and keep every layer alive.

Freshly initialised torch networks are no test of numerics: their activations die out with depth and the output is the
last bias alone, whatever the kernels do. Here convolutions draw He-normal weights, and each BatchNorm carries the mean
and variance that its input really has on a fixed batch of random images, so that activations keep unit scale.
"""

from __future__ import annotations

import contextlib
import math
import zlib
from collections.abc import Iterator

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from mbench.core.records import Variant
from mbench.networks import architectures

SEED = 20170417
_CALIBRATION_IMAGES = 4
_CALIBRATION_PIXELS = 64  # of each channel of the smallest map, or its mean and variance would be noise
_MANTISSA_BITS = 8


def build(variant: Variant) -> nn.Sequential:
    """Return the network in evaluation mode; module names are the layers' names with `.` as `_`.

    Input: (N, 3, R, R) float32, normalised images. Output: (N, 1000) logits.
    """
    network = nn.Sequential()
    for spec in architectures.layers(variant):
        network.add_module(spec.name.replace(".", "_"), _module(spec))
    network.eval()
    with one_thread():
        _fill(network, variant)
    return network


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Let torch use one thread: it sums in the same order on every machine, and fast where others are busy.

    Several threads wait for each other by spinning, which then takes seconds.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def example_input(variant: Variant) -> torch.Tensor:
    """Return the input (N, 3, R, R) that numerics are checked on: standard normal, the same on every machine."""
    generator = torch.Generator().manual_seed(SEED + 1)
    return torch.randn(*architectures.input_shape(variant), generator=generator)


def folded(module: nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the weight and bias of a layer of the network, with its BatchNorm, if it has one, folded in."""
    if isinstance(module, nn.Sequential):
        convolution, norm, *_ = module
        module = fuse_conv_bn_eval(convolution, norm)
    return module.weight.detach(), module.bias.detach()


def _module(spec: architectures.LayerSpec) -> nn.Module:
    if spec.op == "pool":
        return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
    if spec.op == "dense":
        return nn.Linear(spec.input_shape[1], spec.output_shape[1])
    channels = spec.output_shape[1]
    conv = nn.Conv2d(
        spec.input_shape[1], channels, spec.kernel, spec.stride, spec.kernel // 2, groups=spec.groups, bias=False
    )
    return nn.Sequential(conv, nn.BatchNorm2d(channels), nn.ReLU())


@torch.no_grad()  # type: ignore[untyped-decorator]
def _fill(network: nn.Sequential, variant: Variant) -> None:
    """Draw the weights layer by layer and set each BatchNorm's statistics to what flows through it."""
    _, *image = architectures.input_shape(variant)
    images = torch.Generator().manual_seed(SEED)
    smallest = min(math.prod(spec.input_shape[2:]) for spec in architectures.layers(variant) if spec.op != "dense")
    count = max(_CALIBRATION_IMAGES, -(-_CALIBRATION_PIXELS // smallest))
    x = torch.randn(count, *image, generator=images)
    for name, module in network.named_children():
        generator = torch.Generator().manual_seed(SEED ^ zlib.crc32(name.encode()))
        for part in module if isinstance(module, nn.Sequential) else (module,):
            if isinstance(part, nn.Conv2d | nn.Linear):
                fan_in = part.weight[0].numel()
                part.weight.normal_(0.0, (2.0 / fan_in) ** 0.5, generator=generator)
                if part.bias is not None:
                    part.bias.normal_(0.0, 0.1, generator=generator)
            elif isinstance(part, nn.BatchNorm2d):
                _set_statistics(part, x, generator)
            x = part(x)


def _set_statistics(norm: nn.BatchNorm2d, x: torch.Tensor, generator: torch.Generator) -> None:
    """Normalise what flows through `norm`: x is (N, C, H, W). Scale near 1, shift positive: most ReLUs stay open."""
    mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3), unbiased=False)
    floor = 0.05 * variance.mean() + 1e-6
    norm.running_mean.copy_(_coarse(mean))
    norm.running_var.copy_(_coarse(torch.maximum(variance, floor)))
    norm.weight.uniform_(0.8, 1.2, generator=generator)
    norm.bias.uniform_(0.0, 0.5, generator=generator)


def _coarse(x: torch.Tensor) -> torch.Tensor:
    """Keep 8 bits of mantissa, so that machines that sum in another order still get the same statistics."""
    mantissa, exponent = torch.frexp(x)
    return torch.ldexp(torch.round(mantissa * 2**_MANTISSA_BITS) / 2**_MANTISSA_BITS, exponent)
