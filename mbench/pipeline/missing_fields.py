"""Why each field of a result that is null is null."""

from __future__ import annotations

from mbench.core.machine_types import Calibration, Target
from mbench.core.records import EndToEnd
from mbench.hardware import platforms
from mbench.measure.observation import Observation

NO_ROOFLINE = "a layer without multiply-adds, or too short to be timed, has no place under a roofline of FLOP/s"
_NO_TWIN = "not measured: sessions show how far processes lie apart"
NOT_SUSTAINED = "not asked for: add --sustain TIME"
NO_COEFFICIENTS = "the target has no coefficients"


def reasons(
    seen: Observation | None, end_to_end: EndToEnd, target: Target, calibration: Calibration | None, reason: str
) -> dict[str, str]:
    """Return the reason of each field that is null, by dotted path; `reason` is that of what nothing else explains."""
    why = _not_timed(seen, reason)
    nulls = (name for name in EndToEnd.__struct_fields__ if getattr(end_to_end, name) is None)
    return {
        **_sessions(seen),
        **_numerics(seen, reason, why),
        **_layers(seen, calibration, reason, why),
        **_energy(seen, target, why),
        **_memory(seen, target, why),
        "sustained": NOT_SUSTAINED if _timed(seen) else why,
        **{f"end_to_end.{name}": _NO_TWIN if name == "twin_latency_s" else why for name in nulls},
    }


def _sessions(seen: Observation | None) -> dict[str, str]:
    """Return why fields of sessions are null, as the sessions themselves have it."""
    sessions = seen.sessions if seen else ()
    return {f"sessions.{name}": why for session in sessions for name, why in session.missing.items()}


def _timed(seen: Observation | None) -> bool:
    return seen is not None and seen.latency_s is not None


def _not_timed(seen: Observation | None, reason: str) -> str:
    """Return why what a run could have shown is not there."""
    if seen is not None and seen.latency_s is not None:
        return seen.missing or "this system does not report it"
    if seen is not None and not seen.numerics.passed:
        return f"not timed, since the result is wrong: {seen.numerics.detail}"
    return reason


def _numerics(seen: Observation | None, reason: str, why: str) -> dict[str, str]:
    if seen is None:
        return {"numerics": reason}
    if seen.numerics.passed or seen.numerics.max_abs_error is not None:
        return {}
    wrong = seen.numerics.detail or why
    return {"numerics.max_abs_error": wrong, "numerics.max_rel_error": wrong}


def _layers(seen: Observation | None, calibration: Calibration | None, reason: str, why: str) -> dict[str, str]:
    if seen is None or not _timed(seen) or seen.calls_s is None:
        return dict.fromkeys(("time_balance", "layers.latency_s", "layers.roofline"), why)
    return {"layers.roofline": reason if calibration is None else NO_ROOFLINE}


def _energy(seen: Observation | None, target: Target, why: str) -> dict[str, str]:
    found = {}
    if target.energy is None:
        fields = ("energy.energy_j", "energy.coefficients", "layers.energy_j", "layers.energy_method")
        found.update(dict.fromkeys(fields, NO_COEFFICIENTS))
    unmetered = (seen.energy_missing if seen else None) or why
    if seen is None or seen.energy is None:
        found["energy.measured"] = unmetered
    if platforms.of(target).meters_layers and (seen is None or seen.layer_energy is None):
        found["layers.metered"] = unmetered
    return found


def _memory(seen: Observation | None, target: Target, why: str) -> dict[str, str]:
    found = {}
    if seen is None or seen.process_peak_bytes is None:
        found["memory.process_peak_bytes"] = why
    if platforms.of(target).own_memory and (seen is None or seen.device_bytes is None):
        found["memory.device_bytes"] = why
    return found
