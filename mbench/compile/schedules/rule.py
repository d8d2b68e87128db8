"""What a schedule rule is: a function that looks at a kernel and answers a plan, or None for "not mine"."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Literal

import numpy as np
from tvm import tirx

from mbench.compile import fused_kernel
from mbench.compile.kernel import Kernel
from mbench.compile.machine import KernelMachine
from mbench.core.dtypes import DEFAULT

FALLBACK = "fallback"

Packer = Callable[[np.ndarray], np.ndarray]
"""Lays out weights as a kernel reads them: a flat array."""

Parameters = Mapping[str, int]
"""What a rule leaves open, by name: sizes of tiles, numbers of tasks (`…_parts`)."""


def positive(parameters: Parameters, *names: str) -> tuple[int, ...]:
    """Return the named parameters.

    Raises:
        ValueError: one is missing, or not a positive whole number.
    """
    for name in names:
        if name not in parameters or parameters[name] < 1:
            got = parameters.get(name, "missing")
            raise ValueError(f"parameter {name!r} is {got}; it has to be a positive whole number")
    return tuple(parameters[name] for name in names)


@dataclasses.dataclass(frozen=True, kw_only=True)
class KernelPlan:
    """A rule's answer. `tile` says how, for people: rows x vectors x lanes.

    With `pack`, the kernel's second parameter, its weights, is a flat array that `pack` makes of them. A kernel with
    several weights has `packs` instead: a parameter's place, and what packs it.
    """

    function: tirx.PrimFunc
    tile: str = ""
    pack: Packer | None = None
    transforms: bool = False
    """Whether packing makes other weights of them, and more, as Winograd does; not only whole vectors."""
    packs: Mapping[int, Packer] = dataclasses.field(default_factory=dict)
    lanes: int | None = None
    """Lanes of a vector that are in use, where the rule vectorizes by channels."""

    @property
    def packers(self) -> Mapping[int, Packer]:
        """What packs each parameter that is packed, by the parameter's place."""
        return self.packs if self.pack is None else {1: self.pack, **self.packs}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scheduled:
    """A scheduled kernel: the plan, the rule that made it, and if none did, the reason.

    `ignored` says why a tuned choice was not followed. `unlimited` is how it would be made if weights had no limit, as
    the record names that; None where the limit changed nothing.
    """

    plan: KernelPlan
    rule: str
    parameters: Parameters = dataclasses.field(default_factory=dict)
    reason: str | None = None
    tuned: bool = False
    ignored: str | None = None
    unlimited: str | None = None

    @property
    def description(self) -> str:
        """The rule and its tile, as the record names it."""
        return f"{self.rule} {self.plan.tile}".strip() + (" (tuned)" if self.tuned else "")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rule:
    """How one kind of kernel is made.

    `candidates` yields the parameters worth trying, best first by a model of the machine; none for a kernel of another
    kind. `build` makes the kernel with one of them, or answers None where it finds that it cannot; it raises ValueError
    for parameters that make no sense for the kernel.
    `by_default` says whether the rule takes a kernel without a measurement that chose it.
    `lighter` gives, for parameters of a kernel whose weights grow, those that let them grow less and still pay.
    `dtypes` are those of operands that are summed; what sums nothing is taken in any.
    `stages` says whether it knows kernels that are made of several; others are not asked for them.
    """

    candidates: Callable[[Kernel, KernelMachine], Iterable[Parameters]]
    build: Callable[[Kernel, KernelMachine, Parameters], KernelPlan | None]
    by_default: Callable[[Kernel, KernelMachine], bool] = lambda _kernel, _machine: True
    dtypes: tuple[str, ...] = (DEFAULT,)
    lighter: Callable[[Kernel, KernelMachine, Parameters], Parameters | None] = lambda *_: None
    stages: bool = False

    def knows(self, function: tirx.PrimFunc) -> bool:
        """Return whether it can be asked for a kernel: one that is made of several may look like another to it."""
        return self.stages or not fused_kernel.has_stages(function)

    def offers(self, kernel: Kernel, machine: KernelMachine) -> Iterable[Parameters]:
        """Return the candidates; none for a kernel that it does not know, or of a dtype that is not taken."""
        if not self.knows(kernel.function):
            return ()
        known = kernel.anchor is None or (kernel.dtype in self.dtypes and machine.multiplies(str(kernel.dtype)))
        return self.candidates(kernel, machine) if known else ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class AddedRule:
    """A rule of another package, as its entry point of the group `mbench.rules` names it."""

    rule: Rule
    machine: Literal["cpu", "gpu"]
    """The kind of machine that it is for."""
    first: bool = False
    """Whether it is asked before mbench's own rules; otherwise it gets what they do not take."""


class StaleChoiceError(ValueError):
    """A tuned choice does not fit the rules as they are now; the message says why."""
