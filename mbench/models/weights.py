"""What torch says of a network, as arrays: weights as kernels read them, an input, and the output that is right."""

from __future__ import annotations

import dataclasses
import functools
import multiprocessing
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection

import numpy as np

from mbench import garbage, models
from mbench.devices import worker
from mbench.records import Variant

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
    with garbage.not_collected():
        import torch

        from mbench.models import network

        reference, example = network.build(variant), network.example_input(variant)
        with torch.no_grad(), network.one_thread():
            expected = reference(example).numpy()
        parameters = {}
        for spec, module in zip(models.layers(variant), reference.children(), strict=True):
            if spec.weight_shape is not None:
                weight, bias = network.folded(module)
                axes = (2, 3, 1, 0) if spec.is_conv else (1, 0)
                laid_out = np.ascontiguousarray(weight.numpy().transpose(axes), variant.dtype)
                parameters[f"{spec.name}.weight"] = laid_out
                parameters[f"{spec.name}.bias"] = bias.numpy().reshape(spec.bias_shape)
    return Weights(parameters=parameters, example=example.numpy().astype(variant.dtype), expected=expected)


def begin(variant: Variant) -> Future[Weights]:
    """Draw the weights of a variant in a process beside this one, which needs no torch then.

    The future raises BrokenProcessPool where that process dies.
    """
    if not _beside().alive():  # it died of what it drew before
        _beside.cache_clear()
    return _beside().ask(variant)


class _Beside:
    """A process that draws, one network after the other, and ends with this one."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_answer_all, args=(theirs,), name=PROCESS, daemon=True)
        with worker.deaf_children():
            self._process.start()
        theirs.close()
        self._waiting = ThreadPoolExecutor(1)

    def alive(self) -> bool:
        """Return whether the process lives; whoever waited for it, its sentinel tells."""
        return not connection.wait([self._process.sentinel], timeout=0)

    def ask(self, variant: Variant) -> Future[Weights]:
        return self._waiting.submit(self._answer, variant)

    def _answer(self, variant: Variant) -> Weights:
        try:
            self._pipe.send(variant)
            answer = self._pipe.recv()
        except (EOFError, OSError) as error:
            connection.wait([self._process.sentinel])
            self._process.join()
            raise BrokenProcessPool("the process that draws weights died; out of memory?") from error
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, Weights)
        return answer


def _answer_all(pipe: connection.Connection) -> None:
    worker.become_quiet_child()
    while True:
        variant = pipe.recv()
        try:
            answer: Weights | Exception = draw(variant)
        except Exception as error:  # noqa: BLE001 - raised where the answer is waited for
            answer = error
        pipe.send(answer)


@functools.cache
def _beside() -> _Beside:
    """Return the process, which is kept: importing torch takes longer than all else that it does."""
    return _Beside()
