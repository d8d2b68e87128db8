"""What the gate may be asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from msgspec import Meta

from mbench.core.run_options import CheckedOptions


class GateOptions(CheckedOptions, frozen=True, kw_only=True):
    """How to judge two runs, and which files to write.

    Example:
        `GateOptions(thresholds=("latency=3%",), outputs={"junit": "gate.xml"})`
    """

    paired: bool = False
    """Measure both sides now, in turns, from the artifacts that were kept beside the records."""
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
    """Unless the head is worse, put its record and artifacts in the base's place."""
    outputs: dict[str, Path] = {}
    """Files to write, by form: see `mbench.gating.outputs.files.FORMS`."""
