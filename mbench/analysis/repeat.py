"""The command that repeats a result: a run's options out of its record, and options as words for a shell.

Where files are written, what is cached and kept, and how long a build may take are not repeated: nothing that is
measured depends on them.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import msgspec

from mbench.core import dtypes
from mbench.core.field_types import MOST_TIMEOUT_S
from mbench.core.quantized import QuantizationSettings
from mbench.core.records import Record, Result, Variant
from mbench.core.run_options import FEWEST_SAMPLES, RunOptions, flag
from mbench.core.sessions import DEFAULT_SESSIONS
from mbench.hardware import device_kinds
from mbench.networks import variants

_DEFAULTS = RunOptions()
_LARGEST_OF_7_BITS = 63
_SWITCHES = {
    "standard": True, "quick": True, "compile_only": True, "counts": True, "keep_artifacts": True, "use_cache": False,
    "use_tuned": False,
}  # fmt: skip
"""Options without a value, and the value that they stand for."""


def command(record: Record, result: Result) -> str:
    """Return the whole command that repeats a result, for a shell."""
    name, words = variants.typed(result.variant), ["--target", record.target.name]
    words += option_words(run_options(record, result))
    return shlex.join(["mbench", "run", *([*words, "--", name] if name.startswith("-") else [name, *words])])


def again(record: Record, result: Result, *others: str, **changed: Any) -> str:
    """Return the command that runs a result's network once more as it was run, for a shell.

    Args:
        record: of the result.
        result: of the network.
        others: networks that are run beside it.
        changed: options that are not those of the record; tuned choices are used where there are some.
    """
    options = msgspec.structs.replace(run_options(record, result), use_tuned=True, **changed)
    names, words = [variants.typed(result.variant), *others], ["--target", record.target.name, *option_words(options)]
    return shlex.join(["mbench", "run", *([*words, "--", *names] if names[0].startswith("-") else [*names, *words])])


def together(record: Record, one: Variant, other: Variant) -> str:
    """Return the command that runs a network of a record and its standard twin beside each other, for a shell."""
    result = next(each for each in record.results if each.variant == one)
    return again(record, result, standard=True) if one.imported else again(record, result, other.name)


def run_options(record: Record, result: Result) -> RunOptions:
    """Return the options that a result was made with, as its record knows them."""
    settings, device = record.settings, record.device
    kind = device_kinds.of(device.kind)
    open_ended = settings.measure_max_s is not None or settings.repeat < FEWEST_SAMPLES
    return RunOptions(
        device=kind.option(device.name),
        threads=settings.threads,
        batch=result.variant.batch,
        dtype=result.variant.dtype,
        sessions=settings.sessions if settings.sessions not in (1, DEFAULT_SESSIONS) else None,
        quick=settings.sessions == 1 and kind.runs and not kind.counts_only and not settings.compile_only,
        repeat=None if open_ended else settings.repeat,
        timeout_s=min(max(1, round(settings.timeout_s)), MOST_TIMEOUT_S),
        sustain_s=settings.sustain_s,
        standard=result.variant.imported and result.variant.convolution == "standard",
        compile_only=settings.compile_only,
        counts=settings.counts,
        prefer=settings.prefer,
        use_tuned=bool(settings.tuned),
        target_dirs=tuple(map(Path, settings.target_folders)),
        **_quantization(result.variant.quantization),
    )


def _quantization(made: QuantizationSettings | None) -> dict[str, Any]:
    """Return the options that a quantised network was made with; a record does not know where the images lie."""
    if made is None:
        return {}
    return {
        "percentile": made.percentile,
        "keep_float": made.keep_float,
        "weight_bits": 8 if made.largest_weight > _LARGEST_OF_7_BITS else 7,
        "activation_type": made.activations,
        "calibration": Path("IMAGES") if made.calibration_sha256 else None,
        "evaluate": Path("LABELLED") if made.evaluation_sha256 else None,
        "preprocessing": made.preprocessing,
    }


def option_words(options: RunOptions) -> list[str]:
    """Return options as the command line takes them: threads, batch and dtype always, others where they differ."""
    words: list[str] = []
    if options.threads is not None:
        words += ["--threads", str(options.threads)]
    words += ["--batch", ",".join(map(str, options.batches)), "--dtype", options.dtype or dtypes.DEFAULT]
    fields = (
        *("device", "output", "sessions", "wait_quiet_s", "repeat", "sustain_s", "timeout_s", "build_timeout_s"),
        *("prefer", "calibration", "percentile", "weight_bits", "activation_type", "evaluate", "preprocessing"),
    )
    for field in fields:
        value = getattr(options, field)
        if value != getattr(_DEFAULTS, field):
            words += [flag(field), f"{value:.15g}" if isinstance(value, float) else str(value)]
    for field, value in _SWITCHES.items():
        words += [flag(field)] if getattr(options, field) is value else []
    for pattern in options.keep_float:
        words += [flag("keep_float"), pattern]
    for folder in options.target_dirs:
        words += [flag("target_dirs"), str(folder)]
    return words
