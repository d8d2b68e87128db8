"""Records as one tidy pandas table: a row for each network and for each of its layers, units in the columns' names.

What a record could not have stays missing (NaN or None), never 0. pandas is imported when a table is made.
"""

from __future__ import annotations

import glob
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mbench.analysis import instruction_counts, pairs, runs
from mbench.core import record_files, stats
from mbench.core.errors import RecordError
from mbench.core.field_types import LEVELS
from mbench.core.records import Counters, Layer, Record, Result

if TYPE_CHECKING:
    import pandas as pd

MOST_FILES = 10_000
"""Records that one folder or glob may stand for."""
AnyPath = str | os.PathLike[str]
TRAFFIC = {level: f"traffic_{level.lower()}_bytes" for level in LEVELS}
"""Column of each level's traffic."""
TEXT = (
    "run_id", "created_at_utc", "host", "cpu", "target", "device", "variant", "family", "convolution", "dtype", "scope",
    "layer", "op", "kernel", "schedule", "energy_method", "bound", "counts_target", "latency_model_method",
)  # fmt: skip
WHOLE = (
    "threads", "resolution", "batch", "layer_index", "samples", "macs", "params", "weight_bytes", "activation_bytes",
    "workspace_bytes", "process_peak_bytes", *Counters.__struct_fields__, *TRAFFIC.values(),
)  # fmt: skip
COLUMNS = (
    "run_id", "created_at_utc", "host", "cpu", "target", "device", "threads", "variant", "family", "width_multiplier",
    "resolution", "convolution", "batch", "dtype", "scope", "layer_index", "layer", "op", "kernel", "schedule",
    "latency_s", "latency_p10_s", "latency_p90_s", "samples", "macs", "params", "weight_bytes", "activation_bytes",
    "workspace_bytes", "process_peak_bytes", "energy_j", "energy_method", "flops_per_s", "arithmetic_intensity",
    "bound", "fraction_of_peak", "fraction_of_bound", "counts_target", *Counters.__struct_fields__,
    "instructions_per_fma", *TRAFFIC.values(), "latency_model_s", "latency_model_method",
)  # fmt: skip


def load(paths: AnyPath | Iterable[AnyPath]) -> pd.DataFrame:
    """Read records into one table: a path, several, folders (their *.json) or globs. See `from_records` for the rows.

    A run counts once, however many copies of its record there are; a warning names those that were left out.

    Raises:
        RecordError: nothing is there, or a file is not a valid record.
    """
    found = files(paths)
    items = [record_files.read(path) for path in found]
    for copy in runs.copies(items):
        warnings.warn(f"{found[copy.at]} {copy.why} as {found[copy.of]}; it is left out", stacklevel=2)
    return from_records(items)


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
    given = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    return tuple(file for path in given for file in _files(Path(path)))


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

    Latencies are medians with their 10th and 90th percentiles; `samples` is how many they are from. A network's
    `activation_bytes` is its planned peak, a layer's is input plus output. `energy_j` is what `energy_method` says, a
    model as a rule. Counts (`instructions` to `flops`) are exact, of code for `counts_target`, which need not be what
    was timed; `instructions_per_fma` is for each vector multiply-add needed; traffic and `latency_model_s` are models.
    Copies of a run are left out; see `mbench.analysis.runs`.
    """
    import pandas as pd

    rows = [row for record in runs.distinct(items) for result in record.results for row in _rows(record, result)]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    kinds = {name: "Int64" if name in WHOLE else "string" if name in TEXT else "float64" for name in COLUMNS}
    return table.astype(kinds)


def _rows(record: Record, result: Result) -> Iterator[dict[str, Any]]:
    shared = _shared(record, result)
    yield shared | _network(result) | _network_counts(record, result)
    lanes = instruction_counts.lanes(record, result)
    for layer in result.layers:
        yield shared | _layer(layer, result) | _layer_counts(layer, result, lanes)


def _shared(record: Record, result: Result) -> dict[str, Any]:
    variant = result.variant
    return {
        "run_id": record.run_id,
        "created_at_utc": record.created_at_utc,
        "host": record.host.name,
        "cpu": record.host.cpu,
        "target": record.target.name,
        "device": record.device.kind,
        "threads": record.settings.threads,
        "variant": variant.name,
        "family": variant.family,
        "width_multiplier": variant.width_multiplier,
        "resolution": variant.resolution,
        "convolution": variant.convolution,
        "batch": variant.batch,
        "dtype": variant.dtype,
    }


def _network(result: Result) -> dict[str, Any]:
    memory = result.memory
    return {
        "scope": "network",
        **_latency(result.end_to_end.latency_s),
        "macs": pairs.macs(result),
        "params": pairs.params(result),
        "weight_bytes": memory.weight_bytes,
        "activation_bytes": memory.activation_peak_bytes,
        "workspace_bytes": memory.workspace_bytes,
        "process_peak_bytes": memory.process_peak_bytes,
        "energy_j": result.energy.energy_j,
        "energy_method": result.energy.method,
    }


def _layer(layer: Layer, result: Result) -> dict[str, Any]:
    roof = layer.roofline
    return {
        "scope": "layer",
        "layer_index": layer.index,
        "layer": layer.name,
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
    }


def _layer_counts(layer: Layer, result: Result, lanes: int | None) -> dict[str, Any]:
    modelled = layer.latency_model_s is not None
    return {
        **_counters(layer.counters, layer.traffic_bytes),
        "counts_target": result.counts.target if result.counts and layer.counters else None,
        "instructions_per_fma": instruction_counts.of_layer(layer, lanes),
        "latency_model_s": layer.latency_model_s,
        "latency_model_method": result.end_to_end.latency_model_method if modelled else None,
    }


def _counters(counters: Counters | None, traffic: Mapping[str, int] | None) -> dict[str, Any]:
    known = {name: getattr(counters, name) for name in Counters.__struct_fields__} if counters else {}
    return known | {column: (traffic or {}).get(level) for level, column in TRAFFIC.items()}


def _latency(samples: Sequence[float] | None) -> dict[str, Any]:
    if not samples:
        return {"latency_s": None, "latency_p10_s": None, "latency_p90_s": None, "samples": None}
    low, middle, high = stats.quantiles(samples, (0.1, 0.5, 0.9))
    return {"latency_s": middle, "latency_p10_s": low, "latency_p90_s": high, "samples": len(samples)}
