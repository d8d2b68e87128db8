"""Runs on a farm: what becomes of the record, with boards that take no time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import fake_devices as fakes
import pytest
from run_world import NAMES, World, names

from mbench.core.artifact import Artifact
from mbench.core.errors import MeasureError, UsageError
from mbench.core.progress import unheard
from mbench.core.records import Record
from mbench.devices import farm_board, farm_file, tracker
from mbench.devices.address import Address
from mbench.measure.observation import MeasurePlan, Observation
from mbench.pipeline import farming, runner

pytest_plugins = ("run_fixtures",)
REFERENCE = "mobilenet_v1_0.25_64"
TARGET = "host"
FARM = f"""\
format_version = 1
reference = "{REFERENCE}"
reference_sessions = 2
pause_s = 0.01
[devices.one]
rpc = "10.0.0.21:9090"
targets = ["{TARGET}"]
kind = "board"
[devices.two]
rpc = "10.0.0.22:9090"
targets = ["{TARGET}"]
kind = "board"
[devices.other]
rpc = "10.0.0.23:9090"
targets = ["arm64"]
"""


class Board(fakes.Device):
    """A board; `behaviour` by network, as of any device of the tests."""

    def wait_at_most(self, silence_s: float) -> None:
        pass

    def interrupt(self) -> None:
        pass


class Rack:
    """The boards of a farm, by port's host."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world, self.path = world, folder / "farm.toml"
        self.boards: dict[str, Board] = {}
        self.path.write_text(FARM)

    def open(self, _target: object, address: str, *_: object, **__: object) -> Board:
        return self.boards.setdefault(address, Board())

    def run(self, **changes: Any) -> Record:
        return self.world.run(device="farm", device_name="farm.toml", address=str(self.path), **changes)


@pytest.fixture
def rack(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rack:
    made = Rack(world, tmp_path)
    monkeypatch.setattr(farm_board, "_Entered", made.open)
    return made


def test_every_result_says_its_device_and_the_record_describes_the_farm(rack: Rack) -> None:
    record = rack.run(settings={"sessions": 3})
    assert names(record) == list(NAMES)
    assert record.failures == ()
    assert {result.device for result in record.results} <= {"one", "two"}
    assert all(len(result.sessions) == 3 for result in record.results)
    assert (record.device.kind, record.device.calibration) == ("farm", None)
    assert record.device.missing["calibration"] == farming.OWN_PEAKS
    assert record.farm is not None
    assert (record.farm.reference, record.farm.reference_sessions) == (REFERENCE, 2)
    assert [device.name for device in record.farm.devices] == ["one", "two"]
    used = {result.device for result in record.results}
    assert all(device.calibration for device in record.farm.devices if device.name in used)
    assert all(len(record.farm.first_s(name or "")) == 2 for name in used)


def test_the_roofline_is_that_of_the_device(rack: Rack) -> None:
    [first, *_] = rack.run().results
    assert any(layer.roofline for layer in first.layers)


def test_peaks_may_be_left_out(rack: Rack) -> None:
    rack.path.write_text(FARM.replace("pause_s", "peaks = false\npause_s"))
    record = rack.run()
    assert record.farm is not None
    assert {device.missing.get("calibration") for device in record.farm.devices} >= {"the farm file says peaks = false"}
    assert not any(layer.roofline for result in record.results for layer in result.layers)


def test_what_no_device_could_measure_is_a_failure(rack: Rack) -> None:
    died = MeasureError("out of memory")
    rack.boards = {f"rpc://10.0.0.{n}:9090": Board({NAMES[1]: died}) for n in (21, 22)}
    record = rack.run()
    [failure] = record.failures
    assert (failure.variant, failure.stage) == (NAMES[1], "measuring")
    assert failure.reason.endswith(": out of memory")
    assert names(record) == [NAMES[0], NAMES[2]]
    assert rack.world.ended(NAMES[1]) == "failed"


def test_a_board_that_is_another_is_set_aside_by_name(rack: Rack) -> None:
    wrong = MeasureError("the device at 10.0.0.21:9090 is aarch64, the target host is x86_64")
    rack.boards = {"rpc://10.0.0.21:9090": Board({REFERENCE: wrong})}
    record = rack.run()
    assert {result.device for result in record.results} == {"two"}
    assert record.farm is not None
    assert [(device.name, [event.reason for event in device.set_aside]) for device in record.farm.devices] == [
        ("one", [str(wrong)]), ("two", []),
    ]  # fmt: skip
    assert f"one: set aside: {wrong}" in rack.world.progress.notes


def test_a_wrong_output_is_recorded_as_on_one_device(rack: Rack) -> None:
    rack.boards = {f"rpc://10.0.0.{n}:9090": Board({NAMES[0]: fakes.unseen(fakes.WRONG)}) for n in (21, 22)}
    record = rack.run()
    assert [failure.stage for failure in record.failures] == ["checking"]
    assert names(record) == list(NAMES)


class Slowing(Board):
    """Becomes twice as slow once it has measured something."""

    def __init__(self) -> None:
        super().__init__()
        self.measured = False

    def measure(self, built: Artifact, plan: MeasurePlan, report: Callable[[str, float], None]) -> Observation:
        name = built.manifest.variant.name
        if name != REFERENCE:
            self.measured = True
        return fakes.observed(built, kernel_s=2e-4 if self.measured and name == REFERENCE else 1e-4)


def test_what_a_drifting_device_measured_keeps_a_warning_where_nobody_else_can(rack: Rack) -> None:
    rack.boards = {f"rpc://10.0.0.{n}:9090": Slowing() for n in (21, 22)}
    record = rack.run(settings={"variants": NAMES[:1]})
    assert record.failures == ()
    [result] = record.results
    assert any("before it was set aside: it drifts" in warning for warning in result.warnings)


def test_a_run_goes_on_where_it_stopped_with_the_farm_that_it_had(rack: Rack) -> None:
    dead = MeasureError("nobody listens")
    rack.boards = {f"rpc://10.0.0.{n}:9090": Board({NAMES[1]: dead}) for n in (21, 22)}
    before = rack.run()
    for board in rack.boards.values():
        board.behaviour.clear()
    record = runner.run(rack.world.job(
        device="farm", device_name="farm.toml", address=str(rack.path), before=before,
    ), rack.world.progress)  # fmt: skip
    assert names(record) == list(NAMES)
    assert record.farm is not None
    assert before.farm is not None
    for then, now in zip(before.farm.devices, record.farm.devices, strict=True):
        assert now.reference_s[: len(then.reference_s)] == then.reference_s


def test_another_reference_network_needs_a_new_run(rack: Rack) -> None:
    rack.boards = {f"rpc://10.0.0.{n}:9090": Board({NAMES[1]: MeasureError("x")}) for n in (21, 22)}
    before = rack.run()
    rack.path.write_text(FARM.replace("reference_sessions = 2", "reference_sessions = 3"))
    with pytest.raises(UsageError, match="the farm's reference network has changed since: start a new run"):
        rack.run(before=before)


def test_a_reference_network_that_cannot_be_built_is_one_line(rack: Rack) -> None:
    rack.path.write_text(FARM.replace(REFERENCE, "mobilenet_v9"))
    with pytest.raises(UsageError, match="mobilenet_v9"):
        rack.run()


# ------------------------------------------------------------------------------------------------------------- devices
def test_a_farm_file_is_checked_before_anything_is_built(tmp_path: Path) -> None:
    (tmp_path / "farm.toml").write_text(FARM)
    farming.check(str(tmp_path / "farm.toml"), TARGET, ())
    with pytest.raises(UsageError, match="no device runs code for target 'x86_64_v4'"):
        farming.check(str(tmp_path / "farm.toml"), "x86_64_v4", ())


def test_devices_that_share_a_key_go_by_their_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, told = tmp_path / "farm.toml", list[str]()
    path.write_text(
        f'format_version = 1\n[devices.rack]\ntracker = "lab:9190"\nkey = "k"\ncount = 3\ntargets = ["{TARGET}"]\n'
    )
    found = (Address("10.0.0.21", 9090), Address("10.0.0.22", 9090))
    monkeypatch.setattr(tracker, "boards", lambda *_, **__: found)
    plans = list(farming.plans(path, farm_file.read(path), TARGET, told.append))
    assert [(plan.name, plan.kind, plan.address) for plan in plans] == [
        ("rack@10.0.0.21:9090", TARGET, found[0]), ("rack@10.0.0.22:9090", TARGET, found[1]),
    ]  # fmt: skip
    assert told == ["rack: the tracker lab:9190 has 2 of 3 devices with the key 'k'"]
    monkeypatch.setattr(tracker, "boards", lambda *_, **__: ())
    with pytest.raises(UsageError, match="the tracker lab:9190 has no device with the key 'k'"):
        list(farming.plans(path, farm_file.read(path), TARGET, unheard))
