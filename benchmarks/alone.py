"""How long one kernel of a network takes alone, called again and again: a second way beside its reading in the network.

Nothing of it is shared with the gate's way: no instrument, no other layer between two calls, the runtime's own clock
around many of them.
"""

from __future__ import annotations

import os
import random
import statistics
from pathlib import Path
from typing import Any

from mbench.build import builders
from mbench.core import artifact
from mbench.core.artifact import Artifact

_PROCESSES = 5
_ROUNDS = 30
_CALLS = 20
_SAMPLES = 5


def extra_s(base: Artifact, head: Artifact, layer: str, threads: int) -> float:
    """Return how much longer the kernel of a layer takes in `head` than in `base`: the median of fresh processes.

    Args:
        base: a build.
        head: another one of the same network.
        layer: one that has a kernel for itself alone.
        threads: how many.
    """
    given = (base.folder, head.folder, layer, threads)
    found: list[float] = [builders.in_a_child(_extra_s, *given) for _ in range(_PROCESSES)]
    return statistics.median(found)


def _extra_s(base: Path, head: Path, layer: str, threads: int) -> float:
    """Time both in turn; a block counts by its shortest sample, as what disturbs makes it longer."""
    os.environ["TVM_NUM_THREADS"] = str(threads)
    from mbench.measure import program

    program.use_threads(threads)
    timers = [_timer(artifact.load(folder), layer) for folder in (base, head)]
    found: list[float] = []
    for _ in range(_ROUNDS):
        order = random.sample((0, 1), 2)
        seen = {index: min(timers[index]()) for index in order}
        found.append(seen[1] - seen[0])
    return statistics.median(found)


def _timer(built: Artifact, layer: str) -> Any:
    """Return a function that times a layer's kernel, on what it was given when the network ran."""
    import tvm

    from mbench.measure.program import LocalProgram

    [kernel] = [name for name, index in built.manifest.calls if built.manifest.layers[index].name == layer]
    program = LocalProgram(built)
    given: list[Any] = []

    def take(_function: Any, name: str, before: bool, _result: Any, *arguments: Any) -> int:
        if before and name == kernel:
            given[:] = arguments
        return 0

    program.vm.set_instrument(take)
    program.vm[program.whole](*program.inputs)
    module = tvm.runtime.load_module(str(built.library))
    [library] = [each for each in module.imports if each.implements_function(kernel)]
    evaluate = library.time_evaluator(kernel, program.device, number=_CALLS, repeat=_SAMPLES)
    return lambda: evaluate(*given).results
