"""What the gate may be asked for."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

from msgspec import Meta

from mbench.core.run_options import CheckedOptions, flag


class GateOptions(CheckedOptions, frozen=True, kw_only=True):
    """How to judge two runs, and which files to write.

    Example:
        `GateOptions(thresholds=("latency=3%",), outputs={"junit": "gate.xml"})`
    """

    paired: bool = False
    """Measure both sides now, in turns, from the artifacts that are kept beside the records or in the cache."""
    recorded: bool = False
    """Judge recorded latencies also where there are exact counts."""
    config: Path | None = None
    """File of thresholds; None: `mbench.toml` in this folder, if there is one."""
    thresholds: tuple[str, ...] = ()
    """`SELECTOR=PERCENT` each: changes that are tolerated. They come after those of the file."""
    sensitivities: tuple[str, ...] = ()
    """`SELECTOR=PERCENT` each: changes that must not be missed."""
    accepted: Path | None = None
    """File of changes that were agreed to; None: `mbench-accepted.toml` in this folder, if there is one."""
    allowed: tuple[str, ...] = ()
    """Compare although these keys differ, such as `host`."""
    processes: Annotated[int, Meta(ge=8, le=200)] = 8
    """Processes of the first look of a paired comparison, at least."""
    update_baseline: bool = False
    """If the gate passes, put the head's record and artifacts in the base's place."""
    outputs: dict[str, Path] = {}
    """Files to write, by form: see `mbench.gating.outputs.files.FORMS`."""


def paired_command(base: Path, head: Path, options: GateOptions) -> str:
    """Return the command that judges two runs by measuring both builds now, for a shell, all else as it was asked."""
    from mbench.gating.outputs import forms

    words = ["--paired"]
    for field in ("config", "accepted"):
        value = getattr(options, field)
        words += [] if value is None else [flag(field), str(value)]
    for field in ("thresholds", "sensitivities", "allowed"):
        words += [word for value in getattr(options, field) for word in (flag(field), value)]
    if options.processes != GateOptions().processes:
        words += [flag("processes"), str(options.processes)]
    words += [flag("update_baseline")] if options.update_baseline else []
    for form, file in options.outputs.items():
        words += [f"--{form}", str(file)] if form in forms.FORMS else ["--output-file", f"{form}={file}"]
    paths = [str(base), str(head)]
    dashed = any(path.startswith("-") for path in paths)
    return shlex.join(["mbench", "gate", *((*words, "--", *paths) if dashed else (*paths, *words))])
