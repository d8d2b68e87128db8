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

from mbench.analysis import disturbances, headline, instruction_counts, pairs, runs, session_figures
from mbench.core import record_files, stats
from mbench.core.errors import RecordError
from mbench.core.field_types import LEVELS
from mbench.core.records import Counters, Layer, Record, Result
from mbench.core.sessions import kept

if TYPE_CHECKING:
    import pandas as pd

MOST_FILES = 10_000
"""Records that one folder or glob may stand for."""
AnyPath = str | os.PathLike[str]
TRAFFIC = {level: f"traffic_{level.lower()}_bytes" for level in LEVELS}
"""Column of each level's traffic."""
MEANINGS = {
    "run_id": "the run, as its record is called",
    "created_at_utc": "when the run began; `load` gives it as datetime64[ns, UTC], `from_records` as text",
    "commit": "label of the run: the commit that it measured, as the next two",
    "branch": "label: where the change came from",
    "change": "label: the number of the pull or merge request",
    "mbench_version": "what measured it",
    "python_version": "of the machine that ran mbench, as the next two",
    "tvm_version": "what compiled it",
    "torch_version": "what the output was checked against",
    "host": "name of the machine that ran mbench",
    "cpu": "its processor",
    "target": "hardware target",
    "device": "where it ran: local, rpc, emulated, or none",
    "threads": "threads that computed",
    "variant": "name of the network",
    "family": "its family",
    "width_multiplier": "a ratio",
    "resolution": "height and width of the input, in pixels",
    "convolution": "depthwise_separable or standard; missing: the network has no depthwise convolution",
    "network_digest": "the same for one network, whatever its target, type and batch; missing: not built",
    "batch": "images a run",
    "dtype": "of weights and activations",
    "scope": "what the row is of: network or layer",
    "layer_index": "place of the layer in the network, from 0",
    "layer": "name of the layer",
    "block": "the block that the layer belongs to",
    "role": "what it does there, such as expand, depthwise, project, classifier",
    "op": "kind of layer",
    "kernel": "compiled functions of the layer",
    "schedule": "rules that made them",
    "latency_s": "of a network: median of the sessions' medians; of a layer: median of its samples; in seconds",
    "latency_p10_s": "10th percentile of the samples, in seconds",
    "latency_p50_s": "50th percentile of the samples, in seconds",
    "latency_p90_s": "90th percentile of the samples, in seconds",
    "latency_p99_s": "of a network: 99th percentile of the samples, in seconds; missing: fewer than 100 samples",
    "samples": "how many the percentiles are from: all samples of the sessions that count",
    "sessions": "fresh processes whose samples count; missing: not timed, or a record without sessions",
    "latency_low_s": "of a network: lower limit of the interval of `latency_s`, in seconds; missing: one session",
    "latency_high_s": "of a network: its upper limit, in seconds; missing: one session",
    "latency_confidence": "of a network: what confidence the interval has, 0 to 1",
    "spread_within": "of a network: distance of a session's quartiles over its median; the median of the sessions",
    "spread_between": "of a network: standard deviation of the sessions' medians, of their logarithms; missing: one",
    "smallest_visible_change": "of a network: slow-down, as a fraction, that two such records would show; "
    "from the sessions, or from the A/A pair of a record without; missing: not known, or disturbed",
    "noise_log_ratio_mean": "of a network: mean of log(second / first) over the blocks of the two A/A copies",
    "noise_log_ratio_sd": "of a network: its standard deviation, about a fraction of the latency",
    "disturbed": "whether every session that counts was disturbed, so that what follows from the latency is no figure",
    "disturbed_by": "what disturbed them",
    "images_per_s": "of a network: images a second, the batch over `latency_s`",
    "load_s": "of a network: to load library and weights, median of the sessions, in seconds",
    "first_s": "of a network: the first inference of a process, median of the sessions, in seconds",
    "warnings": "of a network: what the run warned of, a line each",
    "sustained_s": "of a network: for how many seconds it ran without a pause",
    "sustained_first_s": "of a network: median of the first second under load, in seconds",
    "sustained_latency_s": "of a network: steady state under load, in seconds; missing: none, or not asked for",
    "sustained_low_s": "lower end of its interval, in seconds",
    "sustained_high_s": "upper end of its interval, in seconds",
    "sustained_from_s": "of a network: seconds under load after which it was steady",
    "sustained_slower": "of a network: steady state over `latency_s`, less 1; missing also where that is disturbed",
    "macs": "multiply-adds of one run",
    "params": "weights without biases",
    "weight_bytes": "bytes",
    "activation_bytes": "bytes: a network's planned peak; a layer's input and output",
    "workspace_bytes": "bytes",
    "process_peak_bytes": "bytes: largest resident set of the process that measured",
    "energy_j": "joules a run, as `energy_method` says",
    "energy_method": "measured how, or which model",
    "flops_per_s": "floating-point operations a second",
    "arithmetic_intensity": "floating-point operations a byte",
    "bound": "the roofline's: compute, or a level of memory",
    "fraction_of_peak": "of the measured peak, 0 to 1",
    "fraction_of_bound": "of what the bound allows, 0 to 1",
    "counts_target": "the target whose code was counted, which need not be what was timed",
    **dict.fromkeys(("instructions", "loads", "stores"), "exact count of one run"),
    **dict.fromkeys(("load_bytes", "store_bytes"), "bytes that these instructions move"),
    **dict.fromkeys(("vector_instructions", "fma_instructions"), "exact count of one run"),
    "flops": "floating-point operations executed",
    "instructions_per_fma": "instructions for each vector multiply-add needed",
    **dict.fromkeys(TRAFFIC.values(), "bytes that this level delivered and took, in a model of the caches"),
    "latency_model_s": "seconds on one thread, modelled from the counts",
    "latency_model_method": "which model",
}
"""What each column says, and its unit. Missing: the record could not have it."""
COLUMNS = tuple(MEANINGS)
TEXT = (
    "run_id", "created_at_utc", "commit", "branch", "change", "mbench_version", "python_version", "tvm_version",
    "torch_version", "host", "cpu", "target", "device", "variant", "family", "convolution", "network_digest", "dtype",
    "scope", "layer", "block", "role", "op", "kernel", "schedule", "warnings", "energy_method", "bound",
    "disturbed_by", "counts_target", "latency_model_method",
)  # fmt: skip
WHOLE = (
    "threads", "resolution", "batch", "layer_index", "samples", "sessions", "macs", "params", "weight_bytes",
    "activation_bytes", "workspace_bytes", "process_peak_bytes", *Counters.__struct_fields__, *TRAFFIC.values(),
)  # fmt: skip
TRUTHS = ("disturbed",)


def load(paths: AnyPath | Iterable[AnyPath]) -> pd.DataFrame:
    """Read records into one table: for each result a row of scope `network`, then rows of scope `layer`.

    The columns, with their units, are those of `mbench.analysis.frame.MEANINGS`: times in seconds, sizes in bytes,
    energies in joules, and `created_at_utc` as datetime64[ns, UTC]. What a record could not have is missing. A run
    counts once, however many copies of its record there are; a warning names those that were left out.

    Args:
        paths: a file, several, folders (their *.json) or globs.

    Raises:
        RecordError: nothing is there, or a file is not a valid record.

    Example:
        ```python
        table = mbench.load("mbench-results")
        table[table["scope"] == "network"].groupby("variant")["latency_s"].min()
        ```
    """
    import pandas as pd

    found = files(paths)
    items = [record_files.read(path) for path in found]
    for copy in runs.copies(items):
        warnings.warn(f"{found[copy.at]} {copy.why} as {found[copy.of]}; it is left out", stacklevel=2)
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
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    return table.astype({name: _kind(name) for name in COLUMNS})


def _kind(column: str) -> str:
    if column in WHOLE:
        return "Int64"
    return "string" if column in TEXT else "boolean" if column in TRUTHS else "float64"


def _rows(record: Record, result: Result) -> Iterator[dict[str, Any]]:
    shared = _shared(record, result) | _disturbed(result)
    whole = _network(result) | _spread(record, result) | _under_load(result)
    yield shared | whole | _network_counts(record, result)
    lanes = instruction_counts.lanes(record, result)
    for layer in result.layers:
        yield shared | _layer(layer, result) | _layer_counts(layer, result, lanes)


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
    names = ("latency_p10_s", "latency_s", "latency_p90_s")
    if not samples:
        return dict.fromkeys((*names, "latency_p50_s", "samples"))
    found = dict(zip(names, stats.quantiles(samples, (0.1, 0.5, 0.9)), strict=True))
    return found | {"latency_p50_s": found["latency_s"], "samples": len(samples)}
