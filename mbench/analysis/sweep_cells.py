"""What a record says of the cells of a sweep: figures of each network, or why there are none; and its accuracy."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import msgspec

from mbench.analysis import accuracy, device_spread, disturbances, headline, latency_model_error, pairs
from mbench.analysis.accuracy import GivenAccuracy
from mbench.core import dtypes
from mbench.core.errors import UsageError
from mbench.core.fit_records import CandidateAccuracy, CostEstimate
from mbench.core.records import Record, Result, Variant
from mbench.core.sweep_records import CellFigures, CellPlace, CellSeen
from mbench.hardware import device_kinds
from mbench.networks import variants

WRONG = "it computes something wrong"


def place_of(record: Record) -> CellPlace:
    """Return where a record's networks were measured."""
    return CellPlace(
        target=record.target.name, device=record.device.name, threads=record.settings.threads,
        batch=record.settings.batch,
    )  # fmt: skip


def seen(record: Record) -> Iterator[CellSeen]:
    """Yield what a record says of each network that it has something of."""
    unfinished = set(record.unfinished())
    for result in record.results:
        wrong = result.numerics is not None and not result.numerics.passed
        detail = (result.numerics.detail if result.numerics else None) or ""
        yield CellSeen(
            network=result.variant, digest=result.artifact.digest, sessions=len(result.sessions),
            finished=result.variant.name not in unfinished and not wrong, figures=_figures(record, result),
            stage="checking" if wrong else "", reason=f"{WRONG}: {detail}".removesuffix(": ") if wrong else "",
        )  # fmt: skip
    done = {result.variant.name for result in record.results}
    imported = {network.name: network for network in record.imported}
    for failure in record.failures:
        if failure.variant not in done:
            network = imported.get(failure.variant) or _named(failure.variant, record)
            if network is not None:
                yield CellSeen(network=network, stage=failure.stage, reason=failure.reason)


def _named(name: str, record: Record) -> Variant | None:
    """Return the network of a name; None: no family here has it any more."""
    only = None if "," in record.settings.dtype else record.settings.dtype
    try:
        return variants.parse(name, batch=record.settings.batch, dtype=only)
    except UsageError:
        return None


def _figures(record: Record, result: Result) -> CellFigures:
    latency, energy, joules = _latency(record, result), result.energy, None
    if energy.measured is not None:
        joules = CostEstimate(value=energy.measured.energy_j, basis="measured")
    elif energy.energy_j is not None:
        joules = CostEstimate(value=energy.energy_j, basis="modelled")
    return CellFigures(
        latency_s=latency, energy_j=joules, memory_bytes=pairs.peak_bytes(result),
        weight_bytes=result.memory.weight_bytes,
        instructions=pairs.instructions(result), macs=pairs.macs(result), params=pairs.params(result),
        disturbed=disturbances.folded(headline.disturbed(result)),
        missing="" if latency else result.missing.get("end_to_end.latency_s", "not timed"),
    )  # fmt: skip


def _latency(record: Record, result: Result) -> CostEstimate | None:
    """Return a latency: timed, with the interval of its median; or of a model of exact counts, with its usual error."""
    timed, modelled_s = headline.of_result(result), result.end_to_end.latency_model_s
    if timed is not None:
        between, apart = timed.interval, _boards_apart(record, result)
        return CostEstimate(
            value=timed.median_s, low=between.low / apart if between else None,
            high=between.high * apart if between else None, basis="measured",
        )  # fmt: skip
    if not modelled_s or not device_kinds.of(record.device.kind).runs:
        return None
    error = latency_model_error.typical(record.target)
    off = None if error is None else 1 + error
    return CostEstimate(
        value=modelled_s, low=off and modelled_s / off, high=off and modelled_s * off, basis="counted"
    )  # fmt: skip


def _boards_apart(record: Record, result: Result) -> float:
    """Return by what factor a board of a farm may differ from others of its kind: two standard deviations."""
    device = record.farm.device(result.device) if record.farm else None
    if record.farm is None or device is None:
        return 1.0
    apart = [each.between for each in device_spread.of_farm(record.farm) if each.kind == device.kind and each.between]
    return math.exp(2 * apart[0]) if apart else 1.0


def accuracy_of(
    network: Variant, given: Mapping[str, GivenAccuracy] | None = None
) -> tuple[CandidateAccuracy, str]:  # fmt: skip
    """Return a network's accuracy, and the type that it is of.

    Where nothing is published of a built-in network in its type, it is that of the network in float32, which is more
    than the type has.
    """
    found = accuracy.of(network, given)
    if found.top1_percent is None and not network.imported and network.dtype != dtypes.DEFAULT:
        plain = accuracy.of(_in_float32(network), given)
        if plain.top1_percent is not None:
            return plain.recorded, dtypes.DEFAULT
    return found.recorded, network.dtype


def _in_float32(network: Variant) -> Variant:
    name = network.name.removesuffix(variants.batch_suffix(network))
    stem = name.removesuffix(variants.type_suffix(network.dtype))
    return msgspec.structs.replace(network, name=stem, dtype=dtypes.DEFAULT, quantization=None)
