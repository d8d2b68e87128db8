"""Where kernels of a measured peak run in tests: this process, by a clock that says the same of every kernel."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from mbench.measure import cpu_peaks

SECONDS = 1e-3


class Place(cpu_peaks.Here):
    """This process, with a clock that says the same of every kernel."""

    def __init__(self) -> None:
        super().__init__()
        self.sums: np.ndarray = np.zeros(0)

    def load(self, kernels: Any, target: Any) -> Any:
        module = super().load(kernels, target)

        def timer(_name: str, _device: Any, *, number: int, repeat: int) -> Any:
            def run(*arguments: Any) -> Any:
                if number == 1:
                    module["main"](*arguments)
                    self.sums = arguments[-1].numpy()
                return SimpleNamespace(results=[SECONDS] * repeat)

            return run

        return SimpleNamespace(time_evaluator=timer)
