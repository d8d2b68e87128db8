"""Every field that is null has a reason, and no other field has one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import fake_devices as fakes
import msgspec
import pytest
from result_factory import NO_REASON, RECORD, made, seen

from mbench.analysis import pairs
from mbench.core.machine_types import Target
from mbench.core.records import MeteredEnergy
from mbench.pipeline import missing_fields

METERED = MeteredEnergy(energy_j=0.1, method="measured: RAPL", window_s=1.0, runs=10)


def _without_energy() -> Target:
    return msgspec.structs.replace(RECORD.target, energy=None)


CASES: dict[str, dict[str, Any]] = {
    "all is well": {},
    "compiled only": {"observation": None, "calibration": None, "reason": "not measured: --compile-only"},
    "wrong": {"observation": fakes.unseen(fakes.WRONG)},
    "not finite": {"observation": fakes.unseen(fakes.NOT_FINITE)},
    "no peaks": {"calibration": None},
    "no coefficients": {"target": _without_energy()},
    "no coefficients, compiled only": {"target": _without_energy(), "observation": None, "calibration": None},
    "no affinity, no peak": {"affinity": None, "process_peak_bytes": None},
    "no conditions": {"conditions_before": None, "conditions_after": None},
    "nobody knows of others": {"wall_s": None, "others_busy_s": None},
    "a meter": {"energy": METERED, "energy_missing": None},
    "a meter that fails": {"energy": None, "energy_missing": None},
    "layers of no time": {"kernel_s": 0.0},
}


@pytest.mark.parametrize("name", CASES)
def test_every_null_has_its_reason(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    given = {key: value for key, value in case.items() if key in ("target", "observation", "calibration", "reason")}
    rest = {key: value for key, value in case.items() if key not in given}
    result = made(tmp_path, **({"observation": seen(tmp_path, **rest)} if rest else {}), **given)
    found = fakes.nulls(result)
    assert {
        path: pairs.why_missing(result, path) for path in found if pairs.why_missing(result, path) == NO_REASON
    } == {}
    assert "layers.counters" in found
    assert all(reason and "\n" not in reason for reason in result.missing.values())


def test_the_check_above_sees_a_null_without_reason(tmp_path: Path) -> None:
    result = msgspec.structs.replace(made(tmp_path), time_balance=None)
    assert "time_balance" in fakes.nulls(result)
    assert pairs.why_missing(result, "time_balance") == NO_REASON


@pytest.mark.parametrize("name", CASES)
def test_no_reason_is_given_for_what_is_there(tmp_path: Path, name: str) -> None:
    case = CASES[name]
    given = {key: value for key, value in case.items() if key in ("target", "observation", "calibration", "reason")}
    rest = {key: value for key, value in case.items() if key not in given}
    result = made(tmp_path, **({"observation": seen(tmp_path, **rest)} if rest else {}), **given)
    assert set(result.missing) <= {
        ".".join(parts[:length]) for path in fakes.nulls(result) for parts in [path.split(".")] for length in (1, 2)
    }


def test_each_reason_is_that_of_its_own_cause(tmp_path: Path) -> None:
    plain = made(tmp_path)
    assert pairs.why_missing(plain, "layers.roofline") == missing_fields.NO_ROOFLINE
    without = made(tmp_path, target=_without_energy(), calibration=None)
    assert pairs.why_missing(without, "energy.energy_j") == missing_fields.NO_COEFFICIENTS
    assert pairs.why_missing(without, "layers.roofline") == "the peaks could not be measured"
    assert pairs.why_missing(plain, "energy.measured") == "no energy meter here"
