"""What a reader must know before they trust a result: a table of causes, each a small function that may warn."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Callable, Collection, Sequence

from mbench.core import units
from mbench.core.artifact import Manifest
from mbench.core.machine_types import Calibration, Conditions, Target
from mbench.core.records import Layer
from mbench.hardware import platforms
from mbench.measure import activity
from mbench.measure.observation import Observation

FEWER_MACS = ("cpu.winograd",)
"""Rules whose kernels do fewer multiply-adds than the layer's shape implies."""
_ABOVE_PEAK = 1.1
_LOST_SHARE = 0.01
"""Of the time of all runs, that the processors may be taken away for."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evidence:
    """All that a warning can be about."""

    manifest: Manifest
    layers: Sequence[Layer]
    seen: Observation | None
    """None: it was only compiled."""
    calibration: Calibration | None
    target: Target

    @property
    def timed(self) -> Observation | None:
        """What was seen, where it was timed."""
        return self.seen if self.seen is not None and self.seen.latency_s else None


def of_result(evidence: Evidence) -> tuple[str, ...]:
    """Return the warnings of a result, in the order of `WARNINGS`."""
    found = (warning(evidence) for warning in WARNINGS.values())
    return tuple(text for text in found if text is not None)


# ----------------------------------------------------------------------------------------------- how it was compiled
def _fallback(evidence: Evidence) -> str | None:
    names = ", ".join(evidence.manifest.fallbacks)
    if not names:
        return None
    share = _share_of_time(evidence, evidence.manifest.fallbacks)
    took = "" if share is None else f" ({units.percent(share)} of the layers' time)"
    why = "generic kernels are slow, so their times say little about the hardware"
    return f"no schedule rule took {names}{took}: {why}"


def _share_of_time(evidence: Evidence, kernels: Collection[str]) -> float | None:
    """Return the share of some kernels in the time of all layers; None where no layer was timed."""
    if evidence.seen is None or evidence.seen.calls_s is None:
        return None
    calls = zip(evidence.manifest.calls, evidence.seen.calls_s, strict=True)
    medians = [(kernel, statistics.median(samples)) for (kernel, _), samples in calls]
    whole = sum(seconds for _, seconds in medians)
    return sum(seconds for kernel, seconds in medians if kernel in kernels) / whole if whole else None


def _ignored_choice(evidence: Evidence) -> str | None:
    ignored = evidence.manifest.ignored
    if not ignored:
        return None
    reasons = "; ".join(sorted(set(ignored.values())))
    return f"tuned choices not followed for {', '.join(ignored)}: {reasons}; tune again with 'mbench tune'"


def _narrow_channels(evidence: Evidence) -> str | None:
    narrow = set(evidence.manifest.narrow)
    if not narrow:
        return None
    names = ", ".join(layer.name for layer in evidence.manifest.layers if set(layer.kernels) & narrow)
    return f"channel counts that fill less than half of a vector register: {names}; their kernels are slow"


def _source_only(evidence: Evidence) -> str | None:
    if not platforms.of(evidence.target).ships_source:
        return None
    return "the library holds CUDA C, which is compiled where it is loaded: its size is not that of machine code"


# --------------------------------------------------------------------------------------------- above the measured peaks
def _fewer_macs(evidence: Evidence) -> str | None:
    names = ", ".join(_with_fewer_macs(evidence.manifest))
    if not names or evidence.timed is None:
        return None
    return (
        f"{names}: uses Winograd, with fewer multiply-adds than the direct convolution by which FLOP/s are counted; "
        "the weights grow up to ninefold"
    )


def _above_by_padding(evidence: Evidence) -> str | None:
    names = ", ".join(layer.name for layer in _above(evidence) if _explained_by_padding(layer))
    if not names:
        return None
    return (
        f"{names}: exceeds the measured peak only because multiply-adds on padding are counted, which a kernel can skip"
    )


def _above_peak(evidence: Evidence) -> str | None:
    names = ", ".join(layer.name for layer in _above(evidence) if not _explained_by_padding(layer))
    if not names:
        return None
    return (
        f"{names}: exceeds the measured peak; the peak was disturbed, or was measured at a slower moment and reused; "
        "measure it again with --no-cache"
    )


def _with_fewer_macs(manifest: Manifest) -> list[str]:
    """Return the layers with a kernel that does fewer multiply-adds than are counted."""
    kernels = {kernel for kernel, rule in manifest.rules.items() if rule in FEWER_MACS}
    return [layer.name for layer in manifest.layers if kernels & set(layer.kernels)]


def _above(evidence: Evidence) -> list[Layer]:
    """Return the layers that exceed the measured peak, except those that do fewer multiply-adds than are counted."""
    if evidence.timed is None:
        return []
    fewer = _with_fewer_macs(evidence.manifest)
    return [
        layer
        for layer in evidence.layers
        if layer.name not in fewer and layer.roofline and layer.roofline.fraction_of_bound > _ABOVE_PEAK
    ]


def _explained_by_padding(layer: Layer) -> bool:
    return layer.roofline is not None and layer.roofline.fraction_of_bound * taps_inside(layer) <= _ABOVE_PEAK


def taps_inside(layer: Layer) -> float:
    """Return the share of a layer's multiply-adds that are of its input; the rest are of the padding around it."""
    if not layer.kernel_size or not layer.stride:
        return 1.0
    shares = []
    for inputs, outputs, taps, stride in zip(
        layer.input_shape[2:], layer.output_shape[2:], layer.kernel_size, layer.stride, strict=True
    ):
        before = max(0, (outputs - 1) * stride + taps - inputs + 1) // 2
        starts = (at * stride - before for at in range(outputs))
        inside = sum(max(0, min(start + taps, inputs) - max(start, 0)) for start in starts)
        shares.append(inside / (outputs * taps))
    return math.prod(shares)


# ------------------------------------------------------------------------------------------ while it was measured
def _slowed_gpu(evidence: Evidence) -> str | None:
    seen = evidence.timed
    moments = (seen.conditions_before, seen.conditions_after) if seen else ()
    reasons = [reason for moment in moments if moment and moment.gpu for reason in moment.gpu.slowed_by or ()]
    if not reasons:
        return None
    return f"the GPU's clocks were held back while this was measured: {', '.join(dict.fromkeys(reasons))}"


def _others_busy(evidence: Evidence) -> str | None:
    seen = evidence.timed
    if seen is None or not seen.wall_s or not seen.others_busy_s:
        return None
    if seen.others_busy_s <= activity.DISTURBED * seen.wall_s:
        return None
    share = seen.others_busy_s / seen.wall_s
    return f"other processes kept {share:.2f} processors busy while this was measured: stop them and run it again"


def _stolen_time(evidence: Evidence) -> str | None:
    stolen = _lost_s(evidence, lambda conditions: conditions.steal_s)
    return stolen and f"the hypervisor gave {stolen} of processor time to others while this was measured"


def _held_back(evidence: Evidence) -> str | None:
    held = _lost_s(evidence, lambda conditions: conditions.throttled_s)
    return held and f"the processor quota held threads back for {held} while this was measured; see 'mbench doctor'"


def _lost_s(evidence: Evidence, counted_s: Callable[[Conditions], float | None]) -> str | None:
    """Return how far a counter of seconds went on while this was measured; None where that is little or not known."""
    seen = evidence.timed
    if seen is None or seen.conditions_before is None or seen.conditions_after is None:
        return None
    before, after = counted_s(seen.conditions_before), counted_s(seen.conditions_after)
    runtime = sum(seen.latency_s or ())
    if before is None or after is None or not runtime or after - before <= _LOST_SHARE * runtime:
        return None
    return units.seconds(after - before)


def _low_peaks(evidence: Evidence) -> str | None:
    calibration = evidence.calibration
    if calibration is None or (calibration.others_busy or 0.0) <= activity.DISTURBED:
        return None
    return (
        f"other processes kept {calibration.others_busy:.2f} processors busy while the machine's peaks were "
        "measured: the peaks are too low, and the fractions of them too high"
    )


WARNINGS: dict[str, Callable[[Evidence], str | None]] = {
    "fallback": _fallback,
    "ignored choice": _ignored_choice,
    "narrow channels": _narrow_channels,
    "fewer multiply-adds": _fewer_macs,
    "above the measured peak by padding": _above_by_padding,
    "above the measured peak": _above_peak,
    "slowed GPU": _slowed_gpu,
    "others busy": _others_busy,
    "stolen time": _stolen_time,
    "held back by the quota": _held_back,
    "low peaks": _low_peaks,
    "source only": _source_only,
}
"""By cause, in the order in which a record has them."""
