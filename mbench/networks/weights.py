"""What torch gives for a network, as arrays: weights as kernels read them, an input, and the expected output."""

from __future__ import annotations

import dataclasses
import functools
import multiprocessing
from concurrent.futures import Future

import numpy as np

from mbench.core import dtypes, no_gc
from mbench.core.children import Children
from mbench.core.records import Variant
from mbench.networks import architectures

PROCESS = "weights"
"""The name of the process that draws."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Weights:
    """The weights of a network, and what it is checked against.

    `parameters` are NAME.weight of each layer, of `LayerSpec.weight_shape` in the variant's dtype, and NAME.bias, of
    `LayerSpec.bias_shape` in float32; BatchNorm is folded into them. `example` is an input (N, 3, R, R) in the
    variant's dtype; `expected` is PyTorch's own output for it, (N, 1000), in float32.
    """

    parameters: dict[str, np.ndarray]
    example: np.ndarray
    expected: np.ndarray


def draw(variant: Variant) -> Weights:
    """Return the weights of a variant, the same each time. Imports torch."""
    with no_gc.not_collected():
        import torch

        from mbench.networks import torch_network

        reference, example = torch_network.build(variant), torch_network.example_input(variant)
        with torch.no_grad(), torch_network.one_thread():
            expected = reference(example).numpy()
        parameters, dtype = {}, dtypes.of(variant.dtype).numpy
        for spec, module in zip(architectures.layers(variant), reference.children(), strict=True):
            if spec.weight_shape is not None:
                weight, bias = torch_network.folded(module)
                axes = (2, 3, 1, 0) if spec.is_conv else (1, 0)
                laid_out = np.ascontiguousarray(weight.numpy().transpose(axes), dtype)
                parameters[f"{spec.name}.weight"] = laid_out
                parameters[f"{spec.name}.bias"] = bias.numpy().reshape(spec.bias_shape)
    return Weights(parameters=parameters, example=example.numpy().astype(dtype), expected=expected)


def begin(variant: Variant) -> Future[Weights]:
    """Draw the weights of a variant in a process beside this one, which needs no torch then.

    The future raises `children.Died` where that process dies. A process that may start none, such as a worker of
    another executor, draws them itself.
    """
    if multiprocessing.current_process().daemon:
        drawn: Future[Weights] = Future()
        drawn.set_result(draw(variant))
        return drawn
    return _beside().submit(draw, variant)


@functools.cache
def _beside() -> Children:
    """Return the process, which is kept: importing torch takes longer than all else that it does."""
    return Children(1, name=PROCESS, daemon=True)
