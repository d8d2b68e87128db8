"""Records as one tidy pandas table: a row for each network and for each of its layers, units in the columns' names.

What a record could not have stays missing (NaN or None), never 0. pandas is imported when a table is made.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mbench.analysis import (
    disturbances,
    frame_columns,
    headline,
    instruction_counts,
    layer_types,
    pairs,
    runs,
    session_figures,
)
from mbench.core import stats
from mbench.core.errors import RecordError
from mbench.core.records import Counters, Layer, Record, Result
from mbench.core.sessions import kept

if TYPE_CHECKING:
    import pandas as pd

MOST_FILES = 10_000
"""Records that one folder or glob may stand for."""
AnyPath = str | os.PathLike[str]


def dated(items: Iterable[Record]) -> pd.DataFrame:
    """Return the table of records with `created_at_utc` as datetime64[ns, UTC]; missing where that cannot hold it."""
    import pandas as pd

    table = from_records(items)
    moments = pd.to_datetime(table["created_at_utc"], utc=True, format="ISO8601", errors="coerce")
    held = moments.between(pd.Timestamp("1700", tz="UTC"), pd.Timestamp("2262", tz="UTC"))  # what nanoseconds reach
    return table.assign(created_at_utc=moments.where(held).astype("datetime64[ns, UTC]"))


def files(paths: AnyPath | Iterable[AnyPath]) -> tuple[Path, ...]:
    """Return the record files that the paths, folders and globs stand for, each once, in order.

    Raises:
        RecordError: a folder or a glob holds no record, or a path is not there.
    """
    return tuple({os.path.realpath(file): file for file in every_file(paths)}.values())


def every_file(paths: AnyPath | Iterable[AnyPath]) -> tuple[Path, ...]:
    """Return the same with files that are met twice, as by a link.

    Raises:
        RecordError: a folder or a glob holds no record, or a path is not there.
    """
    return tuple(file for path in each_path(paths) for file in _files(path))


def each_path(paths: AnyPath | Iterable[AnyPath]) -> tuple[Path, ...]:
    """Return one path, or several, as a tuple: a text is one path, not its letters."""
    return (Path(paths),) if isinstance(paths, str | os.PathLike) else tuple(map(Path, paths))


def _files(path: Path) -> Sequence[Path]:
    if path.is_dir():
        found = sorted(path.glob("*.json"))
    elif path.exists() or not glob.has_magic(str(path)):
        return [path]
    else:
        found = [Path(name) for name in sorted(glob.glob(str(path), recursive=True))]  # noqa: PTH207 - absolute too
    if len(found) > MOST_FILES:
        raise RecordError(f"{path}: {len(found)} files there; expected at most {MOST_FILES}: name fewer")
    if not found:
        raise RecordError(f"{path}: no record there; expected *.json that 'mbench run' wrote")
    return found


def from_records(items: Iterable[Record]) -> pd.DataFrame:
    """Return the records as one table: for each result a row of scope `network`, then rows of scope `layer`.

    A network's `latency_s` is its headline, see `mbench.analysis.headline`; percentiles are of all `samples`. Its
    `activation_bytes` are its planned peak, a layer's are input plus output. `energy_j` is what `energy_method` says, a
    model as a rule. Counts (`instructions` to `flops`) are exact, of code for `counts_target`, which need not be what
    was timed; `instructions_per_fma` is for each vector multiply-add needed; traffic and `latency_model_s` are models.
    Copies of a run are left out; see `mbench.analysis.runs`.
    """
    import pandas as pd

    rows = [row for record in runs.distinct(items) for result in record.results for row in _rows(record, result)]
    table = pd.DataFrame(rows, columns=list(frame_columns.COLUMNS))
    return table.astype({name: _kind(name) for name in frame_columns.COLUMNS})


def _kind(column: str) -> str:
    if column in frame_columns.WHOLE:
        return "Int64"
    return "string" if column in frame_columns.TEXT else "boolean" if column in frame_columns.TRUTHS else "float64"


def _rows(record: Record, result: Result) -> Iterator[dict[str, Any]]:
    shared = _shared(record, result) | _disturbed(result)
    whole = _network(result) | _spread(record, result) | _under_load(result)
    yield shared | whole | _network_counts(record, result) | _quantized(result)
    lanes = instruction_counts.lanes(record, result)
    signals, left = layer_types.signals(result), layer_types.stayed_float(result)
    for layer in result.layers:
        quality = {
            "sqnr_db": signals.get(layer.name),
            "stayed_float": None if result.quantized is None else layer.name in left,
        }
        yield shared | _layer(layer, result) | _layer_counts(layer, result, lanes) | quality


def _shared(record: Record, result: Result) -> dict[str, Any]:
    variant = result.variant
    resolution = variant.parameters.get("resolution")
    return {
        "run_id": record.run_id,
        "created_at_utc": record.created_at_utc,
        **{key: record.labels.get(key) for key in ("commit", "branch", "change")},
        "mbench_version": record.mbench_version,
        "python_version": record.host.versions.get("python"),
        "tvm_version": record.host.versions.get("apache-tvm"),
        "torch_version": record.host.versions.get("torch"),
        "host": record.host.name,
        "cpu": record.host.cpu,
        "target": record.target.name,
        "device": record.device.kind,
        "threads": record.settings.threads,
        "variant": variant.name,
        "family": variant.family,
        "width_multiplier": _number(variant.parameters.get("width_multiplier")),
        "resolution": resolution if isinstance(resolution, int) else None,
        "convolution": variant.convolution,
        "network_digest": variant.digest,
        "batch": variant.batch,
        "dtype": variant.dtype,
    }


def _number(value: float | str | None) -> float | None:
    return None if isinstance(value, str) else value


def _network(result: Result) -> dict[str, Any]:
    memory, whole = result.memory, session_figures.percentiles(result)
    return {
        "scope": "network",
        **_latency(result.end_to_end.latency_s),
        "latency_s": pairs.latency_s(result),
        "latency_p99_s": whole.p99_s if whole else None,
        "macs": pairs.macs(result),
        "params": pairs.params(result),
        "weight_bytes": memory.weight_bytes,
        "activation_bytes": memory.activation_peak_bytes,
        "workspace_bytes": memory.workspace_bytes,
        "process_peak_bytes": memory.process_peak_bytes,
        "energy_j": result.energy.energy_j,
        "energy_method": result.energy.method,
    }


def _spread(record: Record, result: Result) -> dict[str, Any]:
    noise, whole = pairs.noise(record, result), headline.of_result(result)
    interval = whole.interval if whole else None
    return {
        "noise_log_ratio_mean": noise.log_ratio_mean if noise else None,
        "noise_log_ratio_sd": noise.log_ratio_sd if noise else None,
        "smallest_visible_change": pairs.smallest_change(record, result),
        "latency_low_s": interval.low if interval else None,
        "latency_high_s": interval.high if interval else None,
        "latency_confidence": interval.confidence if interval else None,
        "spread_within": whole.within if whole else None,
        "spread_between": whole.between if whole else None,
        "images_per_s": session_figures.images_per_s(result),
        "load_s": session_figures.load_s(result),
        "first_s": session_figures.first_s(result),
        "warnings": "\n".join(result.warnings) or None,
    }


def _disturbed(result: Result) -> dict[str, Any]:
    """Return what holds for a network and each of its layers."""
    timed = result.end_to_end.latency_s is not None
    why = disturbances.of_result(result)
    return {
        "sessions": len(kept(result.sessions)) or None,
        "disturbed": why is not None if timed else None,
        "disturbed_by": why,
    }


def _under_load(result: Result) -> dict[str, Any]:
    curve = result.sustained
    steady = curve.steady if curve else None
    return {
        "sustained_s": curve.ran_s if curve else None,
        "sustained_first_s": curve.first_second_s if curve else None,
        "sustained_latency_s": steady.latency_s if steady else None,
        "sustained_low_s": steady.low_s if steady else None,
        "sustained_high_s": steady.high_s if steady else None,
        "sustained_from_s": steady.from_s if steady else None,
        "sustained_slower": steady.slower_than_headline if steady and not headline.disturbed(result) else None,
    }


def _quantized(result: Result) -> dict[str, Any]:
    found = result.quantized
    if found is None:
        return {}
    given = found.evaluation
    return {
        "sqnr_db": found.outputs[0].sqnr_db if found.outputs else None,
        "left_float": len(found.left_float),
        "agreement": found.agreement,
        "agreement_images": None if found.agreement is None else found.images,
        "evaluated_images": given.images if given else None,
        "float32_correct": given.float32_correct if given else None,
        "int8_correct": given.int8_correct if given else None,
    }


def _layer(layer: Layer, result: Result) -> dict[str, Any]:
    roof = layer.roofline
    return {
        "scope": "layer",
        "layer_index": layer.index,
        "layer": layer.name,
        "block": layer.block,
        "role": layer.role,
        "op": layer.op,
        "kernel": layer.kernel,
        "schedule": pairs.schedule(layer, result),
        **_latency(layer.latency_s),
        "macs": layer.macs,
        "params": layer.params,
        "weight_bytes": layer.weight_bytes,
        "activation_bytes": layer.activation_bytes,
        "workspace_bytes": layer.workspace_bytes,
        "energy_j": layer.energy_j,
        "energy_method": layer.energy_method,
        "flops_per_s": roof.flops_per_s if roof else None,
        "arithmetic_intensity": roof.arithmetic_intensity if roof else None,
        "bound": roof.bound if roof else None,
        "fraction_of_peak": roof.fraction_of_peak if roof else None,
        "fraction_of_bound": roof.fraction_of_bound if roof else None,
    }


def _network_counts(record: Record, result: Result) -> dict[str, Any]:
    counts = result.counts
    return {
        **_counters(counts.counters if counts else None, counts.traffic_bytes if counts else None),
        "counts_target": counts.target if counts else None,
        "instructions_per_fma": instruction_counts.of_network(record, result),
        "latency_model_s": result.end_to_end.latency_model_s,
        "latency_model_method": result.end_to_end.latency_model_method,
        "latency_model_error": result.end_to_end.latency_model_error,
    }


def _layer_counts(layer: Layer, result: Result, lanes: int | None) -> dict[str, Any]:
    modelled = layer.latency_model_s is not None
    return {
        **_counters(layer.counters, layer.traffic_bytes),
        "counts_target": result.counts.target if result.counts and layer.counters else None,
        "instructions_per_fma": instruction_counts.of_layer(layer, lanes),
        "latency_model_s": layer.latency_model_s,
        "latency_model_method": result.end_to_end.latency_model_method if modelled else None,
        "latency_model_error": result.end_to_end.latency_model_error if modelled else None,
    }


def _counters(counters: Counters | None, traffic: Mapping[str, int] | None) -> dict[str, Any]:
    known = {name: getattr(counters, name) for name in Counters.__struct_fields__} if counters else {}
    return known | {column: (traffic or {}).get(level) for level, column in frame_columns.TRAFFIC.items()}


def _latency(samples: Sequence[float] | None) -> dict[str, Any]:
    names = ("latency_p10_s", "latency_s", "latency_p90_s")
    if not samples:
        return dict.fromkeys((*names, "latency_p50_s", "samples"))
    found = dict(zip(names, stats.quantiles(samples, (0.1, 0.5, 0.9)), strict=True))
    return found | {"latency_p50_s": found["latency_s"], "samples": len(samples)}
