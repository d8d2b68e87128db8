"""Results of a fake artifact, as the pipeline makes them of what a device saw."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fake_devices as fakes
import msgspec
import record_factory as factory

from mbench.core.machine_types import Calibration
from mbench.core.records import Result
from mbench.pipeline import results

RECORD = factory.record()
CALIBRATION = RECORD.device.calibration
NO_REASON = "the record gives no reason"


def made(folder: Path, *, changes: dict[str, Any] | None = None, **options: Any) -> Result:
    """Return the result of a fake artifact; `changes` are of its manifest."""
    built = fakes.compiled(folder / "artifact", fakes.variant(), **(changes or {}))
    given: dict[str, Any] = {
        "cached": False,
        "target": RECORD.target,
        "threads": 2,
        "observation": fakes.observed(built),
        "calibration": CALIBRATION,
        "reason": "the peaks could not be measured",
    }
    return results.result(built, **{**given, **options})


def seen(folder: Path, **changes: Any) -> Any:
    return fakes.observed(fakes.compiled(folder / "artifact", fakes.variant()), **changes)


def with_peaks(**changes: Any) -> Calibration:
    assert CALIBRATION is not None
    return msgspec.structs.replace(CALIBRATION, **changes)
