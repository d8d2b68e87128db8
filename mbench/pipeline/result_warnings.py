"""What a reader must know before they trust a result: a table of causes, each a small function that may warn."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Collection, Sequence

from mbench.analysis import above_peak
from mbench.core import dtypes, sessions, units
from mbench.core.artifact import Manifest
from mbench.core.machine_types import Calibration, Conditions, Target
from mbench.core.records import Layer
from mbench.hardware import byte_instructions, platforms
from mbench.measure import activity
from mbench.measure.observation import Observation

NO_DOT_PRODUCT = "the processor has no dot product of bytes"
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

    @property
    def doubtful(self) -> Observation | None:
        """What was seen, unless all sessions that count were quiet: what disturbed others does not count."""
        seen = self.timed
        counting = sessions.kept(seen.sessions) if seen else ()
        return None if counting and not any(session.disturbed for session in counting) else seen


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
    return f"no schedule rule took {names}{took}: a generic kernel says little about the hardware"


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


def _limited_weights(evidence: Evidence) -> str | None:
    """Warn of kernels that are slower than they could be, since weights have a limit (`--prefer`)."""
    limited = evidence.manifest.limited
    names = ", ".join(layer.name for layer in evidence.manifest.layers if set(layer.kernels) & limited.keys())
    if not names:
        return None
    limit = "as few" if evidence.manifest.inputs.get("prefer") == "memory" else "at most twice as many"
    return (
        f"weights are to be {limit} bytes as the parameters, so that layers are not made by Winograd or Strassen, or "
        f"in smaller tiles: {names}; --prefer latency makes them as is quickest"
    )


def _narrow_channels(evidence: Evidence) -> str | None:
    narrow = set(evidence.manifest.narrow)
    if not narrow:
        return None
    names = ", ".join(layer.name for layer in evidence.manifest.layers if set(layer.kernels) & narrow)
    return f"channels that fill less than half of a vector register, so that kernels are slow: {names}"


def _source_only(evidence: Evidence) -> str | None:
    if not platforms.of(evidence.target).ships_source:
        return None
    return "the library holds CUDA C, which is compiled where it is loaded: its size is not that of machine code"


def _no_dot_product(evidence: Evidence) -> str | None:
    """Warn of int8 where one instruction does not multiply bytes and add them up, with what it can gain."""
    found = byte_instructions.of(evidence.target.family, evidence.target.processor)
    if evidence.manifest.variant.dtype != dtypes.INT8 or found is None or found.is_dot_product:
        return None
    rates = evidence.calibration.flops_per_s if evidence.calibration else {}
    measured, floats = rates.get(dtypes.INT8), rates.get(dtypes.DEFAULT)
    ratio = measured / floats if measured and floats else found.against_floats(evidence.target.processor.vector_bits)
    how = "as measured" if measured and floats else "by its instructions, not measured"
    expected = dtypes.width(dtypes.DEFAULT) / dtypes.width(dtypes.INT8)
    return (
        f"{NO_DOT_PRODUCT} ({' + '.join(found.mnemonics)} stand for one): at peak, int8 multiplies {ratio:.2f} times "
        f"as fast as float32, {how}; it breaks even at 1, and {expected:g} is expected of it"
    )


# --------------------------------------------------------------------------------------------- above the measured peaks
def _fewer_macs(evidence: Evidence) -> str | None:
    names = ", ".join(_with_fewer_macs(evidence.manifest))
    if not names or evidence.timed is None:
        return None
    return f"fewer multiply-adds than are counted, and up to nine times the weights (Winograd, Strassen): {names}"


def _above_by_padding(evidence: Evidence) -> str | None:
    names = ", ".join(layer.name for layer in _above(evidence) if above_peak.by_padding(layer))
    return f"exceeds the measured peak by multiply-adds on padding that a kernel can skip: {names}" if names else None


def _above_peak(evidence: Evidence) -> str | None:
    names = ", ".join(layer.name for layer in _above(evidence) if not above_peak.by_padding(layer))
    if not names:
        return None
    return (
        f"exceeds the measured peak, which was low when it was measured: {names}; run it again on a quiet machine, "
        "with --no-cache for new peaks"
    )


def _with_fewer_macs(manifest: Manifest) -> list[str]:
    """Return the layers with a kernel that does fewer multiply-adds than are counted."""
    return [layer.name for layer in manifest.layers if above_peak.has_fewer_macs(layer.kernels, manifest.rules)]


def _above(evidence: Evidence) -> list[Layer]:
    """Return the layers that exceed the measured peak, except those that do fewer multiply-adds than are counted."""
    if evidence.timed is None:
        return []
    fewer = _with_fewer_macs(evidence.manifest)
    return [layer for layer in evidence.layers if layer.name not in fewer and above_peak.above(layer)]


# ------------------------------------------------------------------------------------------ while it was measured
def _moments(seen: Observation) -> list[tuple[Conditions | None, Conditions | None]]:
    """Return the conditions before and after each session that counts."""
    counting = sessions.kept(seen.sessions) or (seen,)
    return [(each.conditions_before, each.conditions_after) for each in counting]


def _slowed_gpu(evidence: Evidence) -> str | None:
    moments = [moment for both in _moments(evidence.doubtful) for moment in both] if evidence.doubtful else []
    reasons = [reason for moment in moments if moment and moment.gpu for reason in moment.gpu.slowed_by or ()]
    if not reasons:
        return None
    return f"the GPU's clocks were held back while this was measured: {', '.join(dict.fromkeys(reasons))}"


def _others_busy(evidence: Evidence) -> str | None:
    if evidence.doubtful is None:
        return None
    counting = sessions.kept(evidence.doubtful.sessions) or (evidence.doubtful,)
    wall_s = sum(each.wall_s or 0.0 for each in counting)
    busy_s = sum(each.others_busy_s or 0.0 for each in counting)
    if not wall_s or busy_s <= activity.DISTURBED * wall_s:
        return None
    busy = busy_s / wall_s
    return f"other processes kept {busy:.2f} processors busy while this was measured: stop them and run it again"


def _stolen_time(evidence: Evidence) -> str | None:
    stolen = _lost_s(evidence, lambda conditions: conditions.steal_s)
    return stolen and f"the hypervisor gave {stolen} of processor time to others while this was measured"


def _held_back(evidence: Evidence) -> str | None:
    held = _lost_s(evidence, lambda conditions: conditions.throttled_s)
    return held and f"the processor quota held threads back for {held} while this was measured; see 'mbench doctor'"


def _lost_s(evidence: Evidence, counted_s: Callable[[Conditions], float | None]) -> str | None:
    """Return how far a counter of seconds went on while this was measured; None where that is little or not known."""
    if evidence.doubtful is None:
        return None
    lost_s = 0.0
    for moments in _moments(evidence.doubtful):
        before, after = (counted_s(moment) if moment else None for moment in moments)
        lost_s += 0.0 if before is None or after is None else after - before
    runtime = sum(evidence.doubtful.latency_s or ())
    return units.seconds(lost_s) if runtime and lost_s > _LOST_SHARE * runtime else None


def _low_peaks(evidence: Evidence) -> str | None:
    calibration = evidence.calibration
    if calibration is None or (calibration.others_busy or 0.0) <= activity.DISTURBED:
        return None
    return (
        f"other processes kept {calibration.others_busy:.2f} processors busy while the machine's peaks were "
        "measured: they are too low"
    )


WARNINGS: dict[str, Callable[[Evidence], str | None]] = {
    "fallback": _fallback,
    "ignored choice": _ignored_choice,
    "limited weights": _limited_weights,
    "narrow channels": _narrow_channels,
    "no dot product": _no_dot_product,
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
