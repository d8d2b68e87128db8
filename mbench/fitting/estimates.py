"""What each candidate costs, by what is known so far: as it was seen, or as it is predicted."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence

import msgspec

from mbench.analysis import disturbances, fit_certainty, fit_ranking
from mbench.analysis.accuracy import NetworkAccuracy
from mbench.core import stats
from mbench.core.fit_records import CandidateAccuracy, CandidateResult, CostEstimate, DeviceLimits, PredictionQuality
from mbench.fitting import candidates as candidates_of
from mbench.fitting import observations
from mbench.fitting.candidates import NetworkCandidate
from mbench.fitting.network_model import NetworkModel
from mbench.fitting.observations import ENERGY, LATENCY, Observed

_TIMED_NOISE, _COUNTED_NOISE = 0.02, 0.002
"""Standard deviation of the logarithm of what a layer was seen to take: timed, and counted."""
_USUAL_PLAN, _WIDEST_PLAN = 1.2, 4.0
"""What a compiler plans over the bound that shapes give, where it has not been seen: usually, and at most."""
_MARGIN = 0.05


@dataclasses.dataclass(frozen=True, kw_only=True)
class Estimates:
    """All candidates, better ones first, and how good their predictions are."""

    candidates: tuple[CandidateResult, ...]
    quality: PredictionQuality | None


def made(
    candidates: Sequence[NetworkCandidate],
    known: Mapping[str, Observed],
    failed: Mapping[str, str],
    accuracies: Mapping[str, NetworkAccuracy],
    limits: DeviceLimits,
    objective: str,
    settled: Collection[str] = (),
) -> Estimates:
    """Return what is known of all candidates.

    Args:
        candidates: of the search.
        known: what was seen, by name; of other networks too.
        failed: networks that could not be measured, and why.
        accuracies: of the candidates, by name.
        limits: that they are held against.
        objective: of the search.
        settled: networks whose measured figures count as they are; of others, the interval counts.
    """
    groups = {each.name: each.group for each in candidates}
    latency = _model(known, groups, LATENCY)
    wants_energy = limits.energy_j is not None or objective == "energy"
    energy = _model(known, groups, ENERGY) if wants_energy else None
    plans = _Plans(candidates, known)
    static_w = next((_static_w(each) for each in known.values()), 0.0)
    results = []
    for each in candidates:
        accuracy = _accuracy(accuracies.get(each.name))
        seen = known.get(each.name)
        base = CandidateResult(
            network=each.network, macs=each.costs.macs, params=each.costs.params, accuracy=accuracy, fits=None,
            failure=failed.get(each.name),
        )  # fmt: skip
        if seen is not None:
            filled = _as_seen(base, seen)
        else:
            filled = _as_predicted(base, each, latency, energy, plans, static_w)
        fits, over = fit_ranking.verdict(filled, limits, settled=each.name in settled)
        results.append(msgspec.structs.replace(filled, fits=fits, over=over))
    quality = _quality(latency, set(groups.values()))
    return Estimates(candidates=tuple(fit_ranking.ordered(results, objective)), quality=quality)


def _model(known: Mapping[str, Observed], groups: Mapping[str, str], quantity: str) -> NetworkModel | None:
    networks, noises = [], []
    quiet = {name: each for name, each in known.items() if not each.disturbed}
    for name, each in (quiet if len(quiet) >= fit_certainty.FEWEST_QUIET else known).items():
        group = groups.get(name, candidates_of.group(each.result.variant))
        found = observations.network(each, group, quantity)
        if found is not None:
            networks.append(found)
            noises.append(_TIMED_NOISE if each.result.end_to_end.latency_s else _COUNTED_NOISE)
    return NetworkModel(networks, noise=max(noises)) if networks else None


def _quality(model: NetworkModel | None, groups: Collection[str]) -> PredictionQuality | None:
    """Return how far predictions are off, of networks like the candidates where enough were seen, else of all."""
    mistakes = model.mistakes if model else ()
    own = [each for each in mistakes if each.group in groups]
    errors = sorted(abs(each.error) for each in (own if len(own) >= fit_certainty.FEWEST_QUIET else mistakes))
    if not errors:
        return None
    return PredictionQuality(
        networks=len(errors), median_error=stats.median(errors), ninth_decile_error=stats.quantile(errors, 0.9)
    )


def _static_w(seen: Observed) -> float:
    coefficients = seen.result.energy.coefficients
    timed = seen.result.end_to_end.latency_s is not None
    return coefficients.static_w.value if coefficients and coefficients.static_w and timed else 0.0


def _as_seen(base: CandidateResult, seen: Observed) -> CandidateResult:
    result = seen.result
    timed = result.end_to_end.latency_s is not None
    energy_j = result.energy.energy_j
    return msgspec.structs.replace(
        base,
        disturbed=disturbances.folded(seen.disturbed),
        latency_s=CostEstimate(
            value=seen.latency_s, low=seen.low_s, high=seen.high_s, basis="measured" if timed else "counted"
        ),
        memory_bytes=CostEstimate(value=float(seen.memory_bytes), basis="compiled"),
        weight_bytes=CostEstimate(value=float(result.memory.weight_bytes), basis="compiled"),
        energy_j=None if energy_j is None else CostEstimate(value=energy_j, basis="modelled"),
    )


def _as_predicted(
    base: CandidateResult, candidate: NetworkCandidate, latency: NetworkModel | None, energy: NetworkModel | None,
    plans: _Plans, static_w: float,
) -> CandidateResult:  # fmt: skip
    time_s = _predicted(latency, candidate)
    joules = _predicted(energy, candidate)
    if joules is not None and time_s is not None and static_w:
        joules = CostEstimate(
            value=joules.value + static_w * time_s.value, low=(joules.low or 0.0) + static_w * (time_s.low or 0.0),
            high=(joules.high or 0.0) + static_w * (time_s.high or 0.0), basis="predicted",
        )  # fmt: skip
    weights, others = plans.of(candidate)
    memory = CostEstimate(
        value=weights.value + others.value, low=(weights.low or 0) + (others.low or 0),
        high=(weights.high or 0) + (others.high or 0), basis="predicted",
    )  # fmt: skip
    return msgspec.structs.replace(base, latency_s=time_s, memory_bytes=memory, weight_bytes=weights, energy_j=joules)


def _predicted(model: NetworkModel | None, candidate: NetworkCandidate) -> CostEstimate | None:
    if model is None:
        return None
    found = model.predict(candidate.group, candidate.shapes)
    return CostEstimate(value=found.value, low=found.low, high=found.high, basis="predicted")


class _Plans:
    """What compilers plan of memory, over what shapes say: what seen networks show holds for others of their group."""

    def __init__(self, candidates: Sequence[NetworkCandidate], known: Mapping[str, Observed]) -> None:
        self._weights: dict[str, list[float]] = {}
        self._others: dict[str, list[float]] = {}
        for each in candidates:
            seen = known.get(each.name)
            if seen is None:
                continue
            memory = seen.result.memory
            for kept, actual, bound in (
                (self._weights, memory.weight_bytes, each.costs.weight_bytes),
                (self._others, memory.activation_peak_bytes + memory.workspace_bytes, each.live_bytes),
            ):
                for group in ("", each.group):
                    kept.setdefault(group, []).append(actual / bound)

    def of(self, candidate: NetworkCandidate) -> tuple[CostEstimate, CostEstimate]:
        """Return the bytes of weights, and of activations with workspace."""
        return (
            _scaled(candidate.costs.weight_bytes, self._weights, candidate.group),
            _scaled(candidate.live_bytes, self._others, candidate.group),
        )


def _scaled(bound: int, seen: Mapping[str, Sequence[float]], group: str) -> CostEstimate:
    ratios = seen.get(group) or seen.get("")
    if not ratios:
        return CostEstimate(value=bound * _USUAL_PLAN, low=float(bound), high=bound * _WIDEST_PLAN, basis="predicted")
    low, high = min(ratios) * (1 - _MARGIN), max(ratios) * (1 + _MARGIN)
    return CostEstimate(value=bound * stats.median(ratios), low=bound * low, high=bound * high, basis="predicted")


def _accuracy(found: NetworkAccuracy | None) -> CandidateAccuracy:
    unknown = CandidateAccuracy(kind="unknown", reason="nothing is published of it")
    return unknown if found is None else found.recorded
