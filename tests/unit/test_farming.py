"""Runs on a farm: what becomes of the record, with boards that take no time."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import fake_devices as fakes
import pytest
from run_world import NAMES, World, names

from mbench.core import record_files
from mbench.core.artifact import Artifact
from mbench.core.errors import MeasureError, UsageError
from mbench.core.progress import unheard
from mbench.core.records import Record
from mbench.devices import farm_board, farm_file, tracker
from mbench.devices.address import Address
from mbench.devices.process import WorkerDied
from mbench.hardware import targets
from mbench.measure.observation import MeasurePlan, Observation
from mbench.pipeline import farming, observe, runner, turns

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
    rack.boards = {f"rpc://10.0.0.{n}:9090": Board({NAMES[1]: WorkerDied("x", stage="measuring")}) for n in (21, 22)}
    before = rack.run()
    rack.path.write_text(FARM.replace("reference_sessions = 2", "reference_sessions = 3"))
    with pytest.raises(UsageError, match="the farm's reference network has changed since: start a new run"):
        rack.run(before=before)


def test_a_name_that_stands_for_another_device_needs_a_new_run(rack: Rack) -> None:
    rack.boards = {f"rpc://10.0.0.{n}:9090": Board({NAMES[1]: WorkerDied("x", stage="measuring")}) for n in (21, 22)}
    before = rack.run()
    rack.path.write_text(FARM.replace("10.0.0.21:9090", "10.0.0.99:9090"))
    with pytest.raises(UsageError) as caught:
        rack.run(before=before)
    assert str(caught.value) == (
        f"{rack.world.path}: the farm's device 'one' was at rpc://10.0.0.21:9090, now it is at rpc://10.0.0.99:9090; "
        "a record holds one device by a name: start a new run"
    )


def test_a_device_that_was_added_since_is_none_of_the_record(rack: Rack) -> None:
    rack.boards = {f"rpc://10.0.0.{n}:9090": Board({NAMES[1]: WorkerDied("x", stage="measuring")}) for n in (21, 22)}
    before = rack.run()
    rack.path.write_text(f'{FARM}[devices.new]\nrpc = "10.0.0.99:9090"\ntargets = ["{TARGET}"]\n')
    record = rack.run(before=before)
    assert {result.device for result in record.results if result.variant.name == NAMES[1]} == {"new"}


class WronglyThenSlow(Slowing):
    """Computes wrongly, and its reference network becomes slower."""

    def __init__(self, wrong: threading.Event) -> None:
        super().__init__()
        self._wrong = wrong

    def measure(self, built: Artifact, plan: MeasurePlan, report: Callable[[str, float], None]) -> Observation:
        seen = super().measure(built, plan, report)
        if built.manifest.variant.name == REFERENCE:
            return seen
        self._wrong.set()
        return fakes.unseen(fakes.WRONG)


class After(Board):
    """Begins after something has happened."""

    def __init__(self, event: threading.Event) -> None:
        super().__init__()
        self._event = event

    def measure(self, built: Artifact, plan: MeasurePlan, report: Callable[[str, float], None]) -> Observation:
        assert self._event.wait(60)
        return super().measure(built, plan, report)


def test_what_came_out_wrong_on_a_doubted_device_and_right_on_another_is_no_failure(rack: Rack) -> None:
    wrong = threading.Event()
    rack.boards = {"rpc://10.0.0.21:9090": WronglyThenSlow(wrong), "rpc://10.0.0.22:9090": After(wrong)}
    record = rack.run(settings={"variants": NAMES[:1]})
    assert [(result.device, result.numerics and result.numerics.passed) for result in record.results] == [("two", True)]
    assert record.failures == ()


class UntilInterrupted(Board):
    """Does not end the last network."""

    def __init__(self) -> None:
        super().__init__()
        self.last, self._interrupted = threading.Event(), threading.Event()

    def interrupt(self) -> None:
        self._interrupted.set()

    def measure(self, built: Artifact, plan: MeasurePlan, report: Callable[[str, float], None]) -> Observation:
        if built.manifest.variant.name != NAMES[2]:
            return super().measure(built, plan, report)
        self.last.set()
        assert self._interrupted.wait(60)
        raise MeasureError("the run has ended")


class Counting:
    """Counts nothing, and keeps of what it was asked."""

    asked: ClassVar[list[str]] = []

    def __init__(self, *_: object) -> None:
        self.asked.clear()

    def added(self, name: str, seen: Observation) -> Observation:
        self.asked.append(name)
        return seen

    def close(self) -> None:
        pass


def test_an_interrupt_loses_no_network_that_was_measured(rack: Rack, monkeypatch: pytest.MonkeyPatch) -> None:
    board, made, interrupted = UntilInterrupted(), turns.made, list[bool]()

    def interrupts(*arguments: Any) -> Any:
        if not interrupted:
            assert board.last.wait(60)  # the second network lies in the queue by now
            interrupted.append(True)
            raise KeyboardInterrupt
        return made(*arguments)

    monkeypatch.setattr(turns, "made", interrupts)
    monkeypatch.setattr(observe, "Counting", Counting)
    rack.path.write_text(FARM.partition("[devices.two]")[0])
    rack.boards = {"rpc://10.0.0.21:9090": board}
    with pytest.raises(KeyboardInterrupt):
        rack.run(counted=rack.world.target)
    record = record_files.read(rack.world.path)
    assert names(record) == list(NAMES[:2])
    assert record.failures == ()
    assert Counting.asked == [NAMES[0]]  # and no more, since counting takes long
    said = "the run ended before one was checked again"
    assert all(result.warnings[-1] == said for result in record.results)
    assert record.farm is not None
    assert [device.set_aside for device in record.farm.devices] == [()]


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


def test_a_reference_that_is_no_network_is_refused_before_anything_is_built(tmp_path: Path) -> None:
    path = tmp_path / "farm.toml"
    path.write_text(FARM.replace(REFERENCE, "mobilenet_v9"))
    with pytest.raises(UsageError) as caught:
        farming.check(str(path), TARGET, ())
    assert str(caught.value).startswith(f"{path}: reference: ")
    assert "mobilenet_v9" in str(caught.value)


def test_places_without_labgrid_are_refused_before_anything_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    path = tmp_path / "farm.toml"
    labgrid = '[labgrid]\ncoordinator = "lab:20408"\n'
    path.write_text(FARM.replace('targets = ["arm64"]', f'targets = ["arm64"]\nplace = "shelf"\n{labgrid}'))
    farming.check(str(path), TARGET, ())  # of a device that does not fit
    with pytest.raises(UsageError, match=r"labgrid-client is not there.*pip install 'mobilenet-bench\[farm\]'"):
        farming.check(str(path), targets.load("arm64").name, ())


def test_a_key_of_one_device_that_several_have_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "farm.toml"
    path.write_text(f'format_version = 1\n[devices.one]\ntracker = "lab:9190"\nkey = "k"\ntargets = ["{TARGET}"]\n')
    rules = farm_file.read(path)
    found = [Address("10.0.0.21", 9090)]
    monkeypatch.setattr(tracker, "boards", lambda *_, **__: tuple(found))
    assert [plan.name for plan in farming.plans(path, rules, TARGET, unheard)] == ["one"]
    found.append(Address("10.0.0.22", 9090))
    with pytest.raises(UsageError) as caught:
        list(farming.plans(path, rules, TARGET, unheard))
    assert str(caught.value) == (
        "devices.one: the tracker lab:9190 has 2 devices with the key 'k'; "
        "write count = 2, or give each a key of its own"
    )


def test_a_tracker_that_does_not_answer_is_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def silent(address: Address, **_: Any) -> tuple[Address, ...]:
        asked.append(str(address))
        raise MeasureError("no answer from the tracker")

    monkeypatch.setattr(tracker, "boards", silent)
    path = tmp_path / "farm.toml"
    devices = [f'[devices.{key}]\ntracker = "lab:9190"\nkey = "{key}"\ntargets = ["{TARGET}"]\n' for key in "ab"]
    path.write_text(f"format_version = 1\n{''.join(devices)}")
    assert [plan.name for plan in farming.plans(path, farm_file.read(path), TARGET, unheard)] == ["a", "b"]
    assert asked == ["rpc://lab:9190/a"]


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
