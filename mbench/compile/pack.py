"""Put scheduled kernels into the module, and lay out constant weights as the kernels read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tvm
from tvm import relax

from mbench.compile import bfloat16
from mbench.compile.schedules.rule import Scheduled
from mbench.core import dtypes

_NAME = "mbench.kernel"
"""Of a function: keeps TVM from merging kernels that became alike, whose names layers are known by."""
_STORED = {dtypes.BFLOAT16: bfloat16.STORED}
"""What weights of a type are declared as in the kernels that read them packed."""


def install(module: tvm.IRModule, kernels: Mapping[str, Scheduled]) -> tvm.IRModule:
    """Replace each kernel of `module` by its scheduled form.

    A kernel with packed weights has another signature, so it cannot replace the old function: it is added as
    `<name>_packed` and its calls are rewritten.
    """
    for name, kernel in kernels.items():
        if not kernel.plan.packers:
            module.update_func(module.get_global_var(name), kernel.plan.function)
    packer = _PackWeights(module, kernels)
    packer.builder_.update_func(module.get_global_var("main"), packer.visit_expr(module["main"]))
    return relax.transform.DeadCodeElimination()(packer.builder_.get())


def installed_name(name: str, kernel: Scheduled) -> str:
    """Return the kernel's name in the module that `install` returns."""
    return name if not kernel.plan.packers else f"{name}_packed"


@relax.expr_functor.mutator
class _PackWeights(relax.PyExprMutator):  # type: ignore[misc]
    def __init__(self, module: tvm.IRModule, kernels: Mapping[str, Scheduled]) -> None:
        super().__init__(module)
        self._kernels = kernels
        self._packs = {name: kernel.plan.packers for name, kernel in kernels.items() if kernel.plan.packers}

    def visit_call_(self, call: Any) -> Any:
        call = self.visit_expr_post_order(call)
        if call.op != tvm.ir.Op.get("relax.call_tir") or call.args[0].name_hint not in self._packs:
            return call
        name = call.args[0].name_hint
        kernel = self._kernels[name]
        arguments = list(call.args[1].fields)
        for place, pack in self._packs[name].items():
            packed = pack(arguments[place].value.numpy())
            arguments[place] = relax.const(packed.view(_STORED.get(packed.dtype.name, packed.dtype)))
        named = kernel.plan.function.with_attr(_NAME, name)
        function = self.builder_.add_func(named, installed_name(name, kernel))
        return relax.Call(call.op, [function, relax.Tuple(arguments)], call.attrs, call.ty_args)
