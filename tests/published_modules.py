"""The networks of torchvision and timm as modules, their tensors in a graph, and their costs as torch counts them."""

from __future__ import annotations

import functools
import importlib.util
import math
import sys
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
import torch_counts
from conftest import require
from torch import nn

from mbench.networks.graph import Graph

_MISSED = ("nms", "qnms")
"""Operations that torchvision speaks of when it is imported, and has in builds for its own torch alone."""
_LIBRARIES: list[torch.library.Library] = []


@functools.cache
def libraries() -> tuple[Any, Any]:
    """Return `torchvision.models` and timm; skip the test where they are not installed."""
    lacking = [name for name in ("torchvision", "timm") if importlib.util.find_spec(name) is None]
    require(not lacking, f"needs {' and '.join(lacking)}: pip install --no-deps -r tests/published_modules.txt")
    try:
        import torchvision
    except RuntimeError:  # it is built for CUDA, and torch is not
        for name in [name for name in sys.modules if name.startswith("torchvision")]:
            del sys.modules[name]
        _LIBRARIES.append(torch.library.Library("torchvision", "DEF"))
        for name in _MISSED:
            _LIBRARIES[0].define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        import torchvision
    import timm

    timm.layers.set_fused_attn(False)  # two products and a softmax, as torch counts them
    return torchvision.models, timm


def alive(make: Callable[[], nn.Module], resolution: int) -> nn.Module:
    """Return a module in evaluation mode whose activations have unit scale: weights and statistics are drawn."""
    module = make()
    with torch.no_grad():
        for name, part in module.named_modules():
            generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
            if isinstance(part, nn.Conv2d | nn.Linear):
                part.weight.normal_(0.0, (2.0 / part.weight[0].numel()) ** 0.5, generator=generator)
                if part.bias is not None:
                    part.bias.normal_(0.0, 0.1, generator=generator)
            elif isinstance(part, nn.BatchNorm2d):
                part.momentum = 1.0  # statistics are those of the one batch below
                part.weight.uniform_(0.8, 1.2, generator=generator)
                part.bias.uniform_(0.0, 0.5, generator=generator)
            elif isinstance(part, nn.Dropout):
                part.p = 0.0
            elif hasattr(part, "gamma"):  # 1e-5 before training, which would silence each block
                part.gamma.uniform_(0.4, 0.6, generator=generator)
        module.train()
        module(image(resolution, batch=4, seed=0))
    return module.eval()


def image(resolution: int, *, batch: int = 1, seed: int = 1) -> torch.Tensor:
    """Return a random image."""
    return torch.randn(batch, 3, resolution, resolution, generator=torch.Generator().manual_seed(seed))


def moved(
    module: nn.Module, graph: Graph, resolution: int, *, apart: Mapping[nn.Module, int] | None = None
) -> dict[str, np.ndarray]:
    """Return a module's tensors as the parameters of a graph: both in order of execution.

    `apart`: parts of the module that are so many nodes of the graph, each with an equal share of the output channels.
    """
    tensors = [
        piece
        for part in executed(module, resolution)
        for tensor in _tensors(part)
        for piece in tensor.chunk((apart or {}).get(part, 1))
    ]
    names = [name for node in graph.nodes for name in graph.constants(node)]
    assert len(tensors) == len(names)
    for name, tensor in zip(names, tensors, strict=True):
        assert tensor.numel() == math.prod(graph.shape(name)), name
    return {
        name: tensor.detach().numpy().reshape(graph.shape(name)) for name, tensor in zip(names, tensors, strict=True)
    }


def executed(module: nn.Module, resolution: int) -> list[nn.Module]:
    """Return the parts of a module that have tensors of their own, in order of execution."""
    seen: list[nn.Module] = []
    hooks = [
        part.register_forward_hook(lambda part, _given, _result: seen.append(part))
        for part in module.modules()
        if list(part.parameters(recurse=False))
    ]
    with torch.no_grad():
        module(image(resolution))
    for hook in hooks:
        hook.remove()
    return seen


def _tensors(part: nn.Module) -> list[torch.Tensor]:
    if isinstance(part, nn.BatchNorm2d):
        assert part.running_mean is not None
        assert part.running_var is not None
        return [part.weight, part.bias, part.running_mean, part.running_var]
    return list(part.parameters(recurse=False))


def counted(make: Callable[[], nn.Module], *resolutions: int) -> tuple[list[int], int]:
    """Return a module's multiply-adds as torch counts them at each resolution, and its parameters."""
    with torch.device("meta"):
        module = make().eval()
    macs = []
    for resolution in resolutions:
        with torch_counts.counting() as found:
            module(torch.empty(1, 3, resolution, resolution))
        macs.append(found.macs)
    return macs, sum(parameter.numel() for parameter in module.parameters())
