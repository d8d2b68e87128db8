"""Which activations share a storage: none that are alive at once, and as few bytes in all as a good order finds.

TVM's own planner goes by the order of execution, so that a storage made for a small value cannot take a large one, and
a network whose activations grow and shrink from layer to layer holds more than it needs.

Source: Pisarchyk and Lee, arXiv:2001.03288, section 4, "shared objects, greedy by size": the largest value first, each
into the smallest storage that is free while it is alive.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import Any

import tvm
from tvm import relax

from mbench.core.artifact import ENTRY

_WORTH = 0.95
"""A plan that is not this much smaller than TVM's own is left: the programs stay as they are."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lifetime:
    """A value's bytes, and the first and last step in which it has to be there."""

    name: str
    size: int
    first: int
    last: int

    def meets(self, other: Lifetime) -> bool:
        """Return whether both are alive in some step."""
        return self.first <= other.last and other.first <= self.last


def shared(values: Iterable[Lifetime]) -> tuple[tuple[Lifetime, ...], ...]:
    """Return which values share each storage; the first of them is the largest, and so its size."""
    storages: list[list[Lifetime]] = []
    for value in sorted(values, key=lambda each: (-each.size, each.first)):
        free = [inside for inside in storages if not any(value.meets(other) for other in inside)]
        if free:
            min(free, key=lambda inside: inside[0].size).append(value)
        else:
            storages.append([value])
    return tuple(map(tuple, storages))


def replanned(planned: tvm.IRModule) -> tvm.IRModule:
    """Return a planned program with its activations in fewer bytes; as it is, where that would not be much."""
    main = planned[ENTRY]
    storages = shared(lifetimes(main))
    before = [binding for binding in _bindings(main) if _is(binding, "alloc_storage")]
    stored = sum(_elements(binding.value.args[0]) for binding in before)
    if not storages or sum(inside[0].size for inside in storages) > _WORTH * stored:
        return planned
    changed = tvm.IRModule(dict(planned.functions.items()), attrs=planned.attrs)
    changed.update_func(planned.get_global_var(ENTRY), _rewritten(main, storages, before[0]))
    return changed


def _rewritten(main: relax.Function, storages: tuple[tuple[Lifetime, ...], ...], model: Any) -> relax.Function:
    """Return the function with these storages, all made at its beginning, each as `model` was."""
    builder, kept = relax.BlockBuilder(), []
    homes: dict[str, relax.Var] = {}
    for inside in storages:
        arguments = [relax.ShapeExpr([inside[0].size]), *model.value.args[1:]]
        value = builder.normalize(relax.Call(model.value.op, arguments, model.value.attrs))
        home = relax.Var(f"storage_of_{inside[0].name}", value.ty)
        kept.append(relax.VarBinding(home, value))
        homes.update({each.name: home for each in inside})
    kept += [_moved(binding, homes) for binding in _bindings(main) if not _is(binding, "alloc_storage")]
    body = relax.SeqExpr([relax.BindingBlock(kept)], main.body.body)
    return relax.Function(main.params, body, main.ret_ty, main.is_pure, main.attrs)


def _moved(binding: Any, homes: Mapping[str, relax.Var]) -> Any:
    if not _is(binding, "alloc_tensor"):
        return binding
    _, *rest = binding.value.args
    call = relax.Call(binding.value.op, [homes[str(binding.var.name)], *rest], binding.value.attrs)
    return relax.VarBinding(binding.var, relax.BlockBuilder().normalize(call))


def _bindings(main: relax.Function) -> list[Any]:
    return [binding for block in main.body.blocks for binding in block.bindings]


def _is(binding: Any, name: str) -> bool:
    return bool(getattr(binding.value, "op", None) == tvm.ir.Op.get(f"relax.memory.{name}"))


def _elements(shape: Any) -> int:
    return math.prod(int(extent) for extent in shape)


def lifetimes(main: relax.Function) -> tuple[Lifetime, ...]:
    """Return what a planned function allocates from storages.

    Each is alive from its allocation to the last step that reads it, or a view of it; an output, to the end.
    """
    bindings = _bindings(main)
    owners: dict[str, str] = {}
    begun: dict[str, tuple[int, int]] = {}
    last: dict[str, int] = {}
    for step, binding in enumerate(bindings):
        name = str(binding.var.name)
        read = _owners(binding.value, owners)
        last.update(dict.fromkeys(read, step))
        if _is(binding, "alloc_tensor"):
            _, _, shape, dtype, *_ = binding.value.args
            owners[name], last[name] = name, step
            begun[name] = (step, _elements(shape) * int(tvm.DataType(str(dtype.value)).itemsize))
        elif read and not isinstance(getattr(binding.value, "op", None), tvm.ir.GlobalVar):
            owners[name] = read[0]  # a view of it, or another name
    last.update(dict.fromkeys(_owners(main.body.body, owners), len(bindings)))
    return tuple(Lifetime(name=name, size=size, first=first, last=last[name]) for name, (first, size) in begun.items())


def _owners(expression: Any, owners: Mapping[str, str]) -> list[str]:
    names = (str(variable.name) for variable in relax.analysis.free_vars(expression))
    return [owners[name] for name in names if name in owners]
