"""What follows a sum in a kernel: as `compile.to_relax` writes it, and what torch makes of float64 arrays."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional
from tvm import te

from mbench.compile import computations, elements
from mbench.compile.axis_computations import Laid

_UNIT = 2.0**-24


@dataclasses.dataclass(frozen=True, kw_only=True)
class Step:
    """One operation. `slope` is the most by which it can enlarge an error, `error` its own, in units of 1 + |x|."""

    value: Callable[..., torch.Tensor]
    slope: float = 1.0
    error: float = 0.0
    attributes: dict[str, float] = dataclasses.field(default_factory=dict)


STEPS = {
    "add": Step(value=torch.add),
    "multiply": Step(value=torch.mul),
    "clip": Step(value=lambda x: x.clamp(-0.5, 1.5), attributes={"low": -0.5, "high": 1.5}),
    "relu": Step(value=functional.relu),
    "relu6": Step(value=functional.relu6),
    "hard_sigmoid": Step(value=functional.hardsigmoid, error=4),
    "hard_swish": Step(value=functional.hardswish, slope=1.5, error=8),
    "sigmoid": Step(value=torch.sigmoid, error=8),
    "silu": Step(value=functional.silu, slope=1.1, error=8),
    "gelu": Step(value=functional.gelu, slope=1.13, error=16),
    "gelu_tanh": Step(value=lambda x: functional.gelu(x, approximate="tanh"), slope=1.13, error=16),
    "tanh": Step(value=torch.tanh, error=8),
}
ACTIVATIONS = tuple(name for name in STEPS if name not in ("add", "multiply"))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Following:
    """A bias, then steps. `reads` is what the last operand of a sum or product in them is: like the output, or a gate.

    A gate is one number for each image and channel, as squeeze-excite has it.
    """

    bias: bool = False
    steps: tuple[str, ...] = ()
    reads: str | None = None
    twice: bool = False
    """Whether the sum is added to itself at the end."""

    def other_shapes(self, output: tuple[int, ...]) -> list[tuple[int, ...]]:
        """Return the shapes of what it reads beside the sum."""
        ones = (1,) * (len(output) - 2)
        shapes = {"output": output, "gate": (output[0], *ones, output[-1])}
        bias = output[-1:] if len(output) == 2 else (1, *ones, output[-1])
        return [*([bias] if self.bias else []), *([shapes[self.reads]] if self.reads else [])]

    def write(self, total: te.Tensor, others: Sequence[te.Tensor], dtype: str) -> te.Tensor:
        """Return the computation."""
        if self.bias:
            total, others = computations.added(total, others[0]), others[1:]
        if not (self.steps or self.twice) and total.dtype == dtype:
            return total

        def value(*at: Any) -> Any:
            result, sums = total(*at), str(total.dtype)
            for name in self.steps:
                operands = [result, *(computations.broadcast(Laid(each), at) for each in others if name in _BINARY)]
                result = elements.EXPRESSIONS[name](STEPS[name].attributes, operands, sums)
            result = result + result if self.twice else result
            return result if dtype == sums else result.astype(dtype)

        return computations.chain(total.shape, value)

    def value(self, total: np.ndarray, others: Sequence[np.ndarray]) -> np.ndarray:
        """Return what it is of a sum, in float64."""
        *_, last = self._values(total, others)
        found: np.ndarray = last.numpy() * (2 if self.twice else 1)
        return found

    def allowed(self, total: np.ndarray, others: Sequence[np.ndarray], terms: np.ndarray, error: float) -> np.ndarray:
        """Return by how much each element may differ.

        Args:
            total: the sums.
            others: what is read beside them.
            terms: the sum of what was added up, each by its magnitude.
            error: of a sum, by its terms.
        """
        values = list(self._values(total, others))
        if self.bias:
            terms = terms + np.abs(others[0])
            values, others = values[1:], others[1:]
        allowed = error * terms
        for name, before in zip(self.steps, values, strict=False):
            step, size = STEPS[name], np.abs(before.numpy())
            if name == "multiply":
                allowed = allowed * np.abs(others[0]) + _UNIT * size * np.abs(others[0])
            elif name == "add":
                allowed = allowed + error * (size + np.abs(others[0]))
            else:
                allowed = step.slope * allowed + step.error * _UNIT * (1 + size)
        return allowed * (2 if self.twice else 1)

    def _values(self, total: np.ndarray, others: Sequence[np.ndarray]) -> Iterator[torch.Tensor]:
        """Yield the sum, what it is with a bias, and after each step."""
        result = torch.from_numpy(total)
        rest = [torch.from_numpy(each.astype(np.float64)) for each in others]
        yield result
        if self.bias:
            result, rest = result + rest[0], rest[1:]
            yield result
        for name in self.steps:
            result = STEPS[name].value(result, *(rest if name in _BINARY else ()))
            yield result


_BINARY = ("add", "multiply")
FOLLOWING = {
    "none": Following(),
    "relu": Following(steps=("relu",)),
    "sigmoid": Following(steps=("sigmoid",)),
    "twice": Following(twice=True),
    "bias": Following(bias=True),
    "residual": Following(steps=("add", "relu"), reads="output"),
    "bias+residual": Following(bias=True, steps=("add",), reads="output"),
    "bias+gate": Following(bias=True, steps=("hard_swish", "multiply"), reads="gate"),
    **{f"bias+{name}": Following(bias=True, steps=(name,)) for name in ACTIVATIONS},
}
