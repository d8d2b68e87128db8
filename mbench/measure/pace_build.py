"""The library of the loops that show the processors' pace: compiled by TVM, as the peaks' kernels are."""

from __future__ import annotations

import tvm

from mbench.compile import codegen
from mbench.hardware import linker
from mbench.measure import cpu_peaks, pace
from mbench.measure.observation import PaceLoops


def build(loops: PaceLoops) -> None:
    """Compile both loops into a library.

    Raises:
        BuildError: it could not be linked.
    """
    lanes = pace.lanes_of(loops)
    functions = {
        "peak": cpu_peaks.peak_kernel(loops.threads, lanes),
        "exchange": cpu_peaks.exchange_kernel(loops.threads, pace.shapes("exchange", loops.threads, lanes)[0][1]),
    }
    for name, value in pace.FILLED.items():
        functions[f"fill_{name}"] = cpu_peaks.fill_kernel(pace.shapes(name, loops.threads, lanes)[0], value)
    module = tvm.IRModule({name: function.with_attr("global_symbol", name) for name, function in functions.items()})
    compiled = tvm.compile(module, target=tvm.target.Target(loops.target.tvm_options))
    codegen.export(compiled, loops.library, linker.find(str(loops.target.tvm.get("mtriple", ""))))
