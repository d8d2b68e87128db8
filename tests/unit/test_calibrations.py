from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import fake_devices as fakes
import msgspec
import pytest
import record_factory as factory

from mbench.core.errors import MeasureError
from mbench.core.machine_types import Calibration
from mbench.pipeline import calibrations

RECORD = factory.record()
KNOWN = RECORD.device.calibration
assert KNOWN is not None


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MBENCH_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def dated(age: datetime.timedelta, **changes: Any) -> Calibration:
    assert KNOWN is not None
    at = datetime.datetime.now(datetime.UTC) - age
    return msgspec.structs.replace(KNOWN, measured_at_utc=at.isoformat(), **changes)


def ask(device: fakes.Device, **changes: Any) -> Calibration:
    given: dict[str, Any] = {"target": RECORD.target, "host": RECORD.host, "threads": 2, "use_cache": True, **changes}
    return calibrations.peaks(
        device, given["target"], given["host"], given["threads"], lambda *_: None, use_cache=given["use_cache"]
    )


NOW = datetime.timedelta(0)


def test_measured_once_a_day() -> None:
    device = fakes.Device(peaks=dated(NOW))
    assert ask(device) == ask(device) == device.peaks
    assert device.calibrated == 1


def test_measured_anew_without_cache_and_kept() -> None:
    device = fakes.Device(peaks=dated(NOW))
    ask(device)
    device.peaks = dated(NOW, method="another")
    assert ask(device, use_cache=False).method == "another"
    assert ask(device).method == "another"
    assert device.calibrated == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"threads": 1},
        {"host": msgspec.structs.replace(RECORD.host, name="elsewhere")},
        {"host": msgspec.structs.replace(RECORD.host, cpu="another")},
        {"host": msgspec.structs.replace(RECORD.host, versions={"apache-tvm": "0.28"})},
        {"target": msgspec.structs.replace(RECORD.target, tvm={"kind": "llvm", "mcpu": "haswell"})},
    ],
)
def test_measured_anew_for_anything_else(changes: dict[str, Any]) -> None:
    device = fakes.Device(peaks=dated(NOW))
    ask(device)
    ask(device, **changes)
    assert device.calibrated == 2


@pytest.mark.parametrize("age", [datetime.timedelta(hours=24, seconds=1), datetime.timedelta(days=-2)])
def test_old_ones_and_those_of_the_future_are_measured_again(age: datetime.timedelta) -> None:
    device = fakes.Device(peaks=dated(age))
    ask(device)
    ask(device)
    assert device.calibrated == 2


def test_peaks_of_yesterday_evening_still_hold() -> None:
    device = fakes.Device(peaks=dated(datetime.timedelta(hours=23)))
    ask(device)
    ask(device)
    assert device.calibrated == 1


def test_what_was_disturbed_is_not_kept() -> None:
    device = fakes.Device(peaks=dated(NOW, others_busy=fakes.DISTURBED_SHARE))
    ask(device)
    ask(device)
    assert device.calibrated == 2


def damaged(text: str) -> str:
    at = datetime.datetime.now(datetime.UTC).isoformat()
    return text.replace("NOW", at)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "null",
        "[]",
        '{"method": 1}',
        '{"method": "x", "measured_at_utc": "yesterday", "threads": 1, "flops_per_s": {}, "bytes_per_s": {}, '
        '"working_set_bytes": {}}',
        '{"method": "x", "measured_at_utc": "2025-01-01T00:00:00", "threads": 1, "flops_per_s": {}, "bytes_per_s": {}, '
        '"working_set_bytes": {}}',
        '{"method": "\udcff"}',
    ],
)
def test_a_damaged_file_is_ignored(cache: Path, content: str) -> None:
    device = fakes.Device(peaks=dated(NOW))
    ask(device)
    [file] = (cache / "calibrations").iterdir()
    file.write_text(content, errors="surrogateescape")
    assert ask(device) == device.peaks
    assert ask(device) == device.peaks
    assert device.calibrated == 2


def test_a_cache_that_cannot_be_written_is_no_loss(cache: Path) -> None:
    cache.parent.mkdir(exist_ok=True)
    cache.write_text("a file where a folder should be")
    device = fakes.Device(peaks=dated(NOW))
    assert ask(device) == device.peaks


def test_nothing_is_kept_of_a_failure(cache: Path) -> None:
    with pytest.raises(MeasureError, match="too hot"):
        ask(fakes.Device(peaks=MeasureError("too hot")))
    assert not cache.exists()


def with_bytes(device: fakes.Device, found: Calibration, **options: Any) -> Calibration:
    return calibrations.with_type(
        found, "int8", device, RECORD.target, RECORD.host, lambda *_: None, use_cache=options.get("use_cache", True)
    )


def test_the_peak_of_bytes_stands_beside_the_others_and_is_kept_apart() -> None:
    device = fakes.Device(peaks=dated(NOW, others_busy=0.02))
    found = ask(device)
    both = with_bytes(device, found)
    assert both.flops_per_s == {**found.flops_per_s, "int8": 8e11}
    assert both.method == f"{found.method}; bytes by hand"
    assert (both.bytes_per_s, both.others_busy) == (found.bytes_per_s, 0.02)
    assert with_bytes(device, found) == both
    assert (device.calibrated, device.types_calibrated) == (1, ["int8"])
    assert ask(device) == found, "a run without bytes has none"
    with_bytes(device, found, use_cache=False)
    assert device.types_calibrated == ["int8", "int8"]
