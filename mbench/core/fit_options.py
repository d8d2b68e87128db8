"""What a search for a network may be asked for: typed options with ranges and defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from msgspec import Meta

from mbench.core.errors import UsageError
from mbench.core.field_types import Batch, Patience
from mbench.core.fit_records import DeviceLimits, Objective
from mbench.core.run_options import SharedOptions

Positive = Annotated[float, Meta(gt=0, le=1e18)]


class FitOptions(SharedOptions, frozen=True, kw_only=True):
    """Limits of a device, and how long to search. SI units.

    Example:
        `FitOptions(max_latency_s=0.02, max_memory_bytes=4e6, dtype="float32,int8")`
    """

    batch: Batch = 1
    max_latency_s: Positive | None = None
    """Seconds of one run, in the median."""
    max_memory_bytes: Positive | None = None
    """Bytes of weights, activations at their peak, and workspace."""
    max_weight_bytes: Positive | None = None
    """Bytes of weights alone."""
    max_energy_j: Positive | None = None
    """Joules of one run, by the target's model."""
    min_accuracy: Annotated[float, Meta(gt=0, le=100)] | None = None
    """Top-1 on ImageNet in percent."""
    minimize: Objective = "accuracy"
    """`latency`, `memory` or `energy` are made as small as they can be, above `min_accuracy`; by default the most
    accurate network is wanted."""
    accuracies: Path | None = None
    """A table of your own: .csv with `name` and `top1`."""
    candidates: tuple[str, ...] = ()
    """Files of your own networks, as `models/*.onnx`."""
    time_s: Patience = 300.0
    """Seconds: nothing is begun that is expected to end after them, but for the first measurement."""
    output: Path = Path("mbench-results")
    """The folder for the record and the page."""

    @property
    def limits(self) -> DeviceLimits:
        """The limits together.

        Raises:
            UsageError: there is nothing to decide by.
        """
        found = DeviceLimits(
            latency_s=self.max_latency_s, memory_bytes=self.max_memory_bytes, weight_bytes=self.max_weight_bytes,
            energy_j=self.max_energy_j, accuracy_percent=self.min_accuracy,
        )  # fmt: skip
        if found == DeviceLimits() and self.minimize == "accuracy":
            raise UsageError(
                "no limit is given; expected one of --max-latency, --max-memory, --max-weights, --max-energy, "
                "--min-accuracy"
            )
        if self.minimize != "accuracy" and self.min_accuracy is None and not self.candidates:
            raise UsageError(
                f"--minimize {self.minimize} alone is met by the smallest network; give --min-accuracy as well"
            )
        if self.minimize == "accuracy" and found == DeviceLimits(accuracy_percent=self.min_accuracy):
            raise UsageError(
                "--min-accuracy alone is met by the largest network; give a limit such as --max-latency, or --minimize "
                "latency, memory or energy"
            )
        return found
