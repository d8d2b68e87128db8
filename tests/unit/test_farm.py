"""A farm as a whole, on boards that answer what is written down: every task ends once, and troubles are named."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import farm_fakes as fakes
import pytest

from mbench.core.errors import MeasureError, OutputError
from mbench.core.progress import Report
from mbench.devices.farm import DeviceFarm, FarmDone, FarmDoubted, FarmEvent, FarmLost, HowToHold
from mbench.devices.farm_board import FarmBoard
from mbench.devices.farm_file import FarmFile
from mbench.devices.farm_tasks import FarmTask
from mbench.measure.observation import Observation

TARGET: Any = None
HOW = HowToHold(target=TARGET, lock_dir=Path("locks"), timeout_s=60.0)


class Notes:
    def __init__(self) -> None:
        self.said: list[str] = []

    def stage(self, variant: str, stage: str, fraction: float) -> None:
        pass

    def note(self, text: str) -> None:
        self.said.append(text)


def work(board: FarmBoard, task: FarmTask, report: Report) -> Sequence[Observation]:
    return (board.measure(task.artifact, fakes.PLAN, report),)


def ran(
    boards: Sequence[FarmBoard],
    names: Sequence[str],
    rules: FarmFile | None = None,
    *,
    prepare: Callable[..., None] | None = None,
) -> tuple[list[FarmEvent], list[str]]:
    farm = DeviceFarm(boards, rules or fakes.rules(), HOW, prepare=prepare or (lambda *_: None), work=work)
    notes = Notes()
    return list(farm.measure([fakes.task(name) for name in names], notes)), notes.said


def done(events: Sequence[FarmEvent]) -> dict[str, list[str]]:
    """Return the tasks that each board did."""
    found: dict[str, list[str]] = {}
    for event in events:
        if isinstance(event, FarmDone):
            found.setdefault(event.board.name, []).append(event.task.name)
    return found


def always(_name: str) -> Observation:
    return fakes.seen()


def test_every_task_is_done_once_and_all_devices_are_let_go() -> None:
    devices = [fakes.Device(always) for _ in range(3)]
    boards = [fakes.board(f"b{index}", device) for index, device in enumerate(devices)]
    names = [f"n{index}" for index in range(20)]
    events, _ = ran(boards, names)
    assert sorted(each for tasks in done(events).values() for each in tasks) == sorted(names)
    assert len(events) == len(names)
    assert all(device.closed for device in devices)


def test_several_devices_measure_at_once() -> None:
    together = fakes.Together(3)

    def meets(name: str) -> Observation:
        if name != fakes.REFERENCE:
            together.meet()  # nobody goes on before three are here
        return fakes.seen()

    boards = [fakes.board(f"b{index}", fakes.Device(meets)) for index in range(3)]
    events, _ = ran(boards, ["x", "y", "z"])
    assert {board: len(tasks) for board, tasks in done(events).items()} == {"b0": 1, "b1": 1, "b2": 1}


def test_a_board_that_dies_is_set_aside_and_its_task_goes_elsewhere() -> None:
    dead: list[bool] = []

    def dies(name: str) -> Observation | str:
        if name != fakes.REFERENCE:
            dead.append(True)
        return "the line was lost" if dead else fakes.seen()

    boards = [fakes.board("bad", fakes.Device(dies)), fakes.board("good", fakes.Device(always))]
    together = fakes.Together(2)
    events, notes = ran(boards, ["x", "y", "z"], prepare=lambda *_: together.meet())
    assert sorted(done(events)["good"]) == ["x", "y", "z"]
    assert "bad" not in done(events)
    if dead:  # which it is, unless the other was three times as quick
        assert "bad: set aside: the line was lost" in notes


@pytest.mark.parametrize("stage", ["measuring", "reading"])
def test_a_task_that_no_board_can_measure_is_lost_and_the_boards_stay(stage: str) -> None:
    def picky(name: str) -> Observation | str:
        return "out of memory" if name == "large" else fakes.seen()

    boards = [fakes.board(name, fakes.Device(picky, stage)) for name in ("a", "b")]
    events, notes = ran(boards, ["large", "x", "y"])
    [lost] = [event for event in events if isinstance(event, FarmLost)]
    assert (lost.task.name, lost.task.tries) == ("large", 2)
    assert lost.task.reason.endswith(": out of memory")
    assert sorted(each for tasks in done(events).values() for each in tasks) == ["x", "y"]
    assert not [note for note in notes if "set aside" in note]


@pytest.mark.parametrize("stage", ["starting", "connecting", "waiting for a device (1 with the key 'pi4')"])
def test_who_was_not_reached_and_is_right_is_tried_again(stage: str) -> None:
    tried: list[str] = []

    def busy_twice(name: str) -> Observation | str:
        if name == fakes.REFERENCE:
            return fakes.seen()
        tried.append(name)
        return "another client has it" if len(tried) <= 2 else fakes.seen()

    events, notes = ran([fakes.board("only", fakes.Device(busy_twice, stage))], ["x", "y"], fakes.rules(tries=1))
    assert sorted(done(events)["only"]) == ["x", "y"]
    assert len(events) == 2
    assert not [note for note in notes if "set aside" in note]


def test_who_is_never_reached_and_is_right_is_set_aside_and_its_task_goes_elsewhere() -> None:
    def busy(name: str) -> Observation | str:
        return fakes.seen() if name == fakes.REFERENCE else "another client has it"

    boards = [fakes.board("busy", fakes.Device(busy, "connecting")), fakes.board("free", fakes.Device(always))]
    together = fakes.Together(2)
    names = [f"n{index}" for index in range(4)]
    events, _ = ran(boards, names, fakes.rules(tries=3), prepare=lambda *_: together.meet())
    assert sorted(done(events)["free"]) == names
    assert not [event for event in events if isinstance(event, FarmLost)]


def test_who_is_never_reached_and_is_alone_loses_its_tasks_with_the_reason() -> None:
    def busy(name: str) -> Observation | str:
        return fakes.seen() if name == fakes.REFERENCE else "another client has it"

    events, notes = ran([fakes.board("only", fakes.Device(busy, "connecting"))], ["x"])
    [lost] = [event for event in events if isinstance(event, FarmLost)]
    assert lost.task.reason == "only: another client has it"
    assert notes.count("only: set aside: another client has it") == 2


def test_a_board_that_drifts_has_its_results_measured_again_elsewhere() -> None:
    measured, checks = fakes.Together(2), [0]

    def drifts(name: str) -> Observation:
        if name == fakes.REFERENCE:
            checks[0] += 1
            return fakes.seen(0.01 if checks[0] <= 3 else 0.02)
        measured.meet()
        return fakes.seen()

    def begins_after_that(_name: str) -> Observation:
        if steady.asked == [fakes.REFERENCE]:
            measured.meet()
        return fakes.seen()

    steady = fakes.Device(begins_after_that)
    boards = [fakes.board("drifts", fakes.Device(drifts)), fakes.board("steady", steady)]
    events, notes = ran(boards, ["x"])
    assert [type(event) for event in events] == [FarmDone, FarmDoubted, FarmDone]
    assert [event.board.name for event in events if isinstance(event, FarmDone)] == ["drifts", "steady"]
    assert any(note.startswith("drifts: set aside: it drifts") for note in notes)


def test_a_board_that_answers_again_is_taken_back_once() -> None:
    answers = {"sick": 0}

    def sick_for_a_while(name: str) -> Observation | str:
        answers["sick"] += name == "x"
        if name == "x" and answers["sick"] == 1:
            answers["reference"] = 0
            return "it hangs"
        if name == fakes.REFERENCE and "reference" in answers and answers["reference"] == 0:
            answers["reference"] = 1
            return "it hangs still"
        return fakes.seen()

    board = fakes.board("one", fakes.Device(sick_for_a_while))
    events, notes = ran([board], ["x", "y"])
    assert sorted(done(events)["one"]) == ["x", "y"]
    assert [event.returned for event in board.set_aside] == [True]
    assert "one: answers again, and its reference network is right: taken back" in notes


def test_without_any_board_all_is_lost_with_the_reason() -> None:
    silent = fakes.Device(lambda _: "nobody listens")
    events, notes = ran([fakes.board("a", silent), fakes.board("b", silent)], ["x", "y"])
    assert all(isinstance(event, FarmLost) for event in events)
    assert all("a: nobody listens" in event.task.reason for event in events if isinstance(event, FarmLost))
    assert "a: stays set aside: nobody listens" in notes


def test_what_breaks_in_a_thread_is_raised_where_the_farm_is_used() -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        ran([fakes.board("a", fakes.Device(always))], ["x"], prepare=broken)


def test_who_stops_listening_ends_the_farm() -> None:
    device = fakes.Device(always)
    farm = DeviceFarm([fakes.board("a", device)], fakes.rules(), HOW, prepare=lambda *_: None, work=work)
    events = farm.measure([fakes.task("x"), fakes.task("y")], Notes())
    next(events)
    events.close()
    assert device.closed


def test_a_place_that_cannot_be_had_sets_the_board_aside() -> None:
    class Place:
        name = "shelf"

        def acquire(self, _waiting: object, _patience_s: float, _stopped: object) -> None:
            raise MeasureError("place shelf of labgrid: somebody kept it for 60 s")

        def release(self) -> None:
            refused.set()
            raise MeasureError("the coordinator is gone")

    def later(_name: str) -> Observation:
        assert refused.wait(60)
        return fakes.seen()

    refused = threading.Event()
    boards = [fakes.board("a", fakes.Device(always), place=Place()), fakes.board("b", fakes.Device(later))]
    events, notes = ran(boards, ["x"])
    assert done(events) == {"b": ["x"]}
    assert "a: set aside: place shelf of labgrid: somebody kept it for 60 s" in notes
    assert "a: the coordinator is gone" in notes


def test_a_thread_that_ends_otherwise_hands_its_task_on() -> None:
    def full(_name: str) -> Observation:
        if len(bad.asked) > 3:
            raise OutputError("no temporary folder can be made: No space left on device")
        return fakes.seen()

    def later(_name: str) -> Observation:
        assert ended.wait(60)
        return fakes.seen()

    ended, bad = threading.Event(), fakes.Device(full)
    bad.close = ended.set  # type: ignore[method-assign]
    boards = [fakes.board("bad", bad), fakes.board("good", fakes.Device(later))]
    events, notes = ran(boards, ["x"])
    assert done(events) == {"good": ["x"]}
    assert "bad: set aside: no temporary folder can be made: No space left on device" in notes


def test_a_thread_that_ends_otherwise_and_was_the_last_loses_its_task() -> None:
    def full(name: str) -> Observation:
        if name == "x":
            raise OutputError("no temporary folder can be made")
        return fakes.seen()

    [event], _ = ran([fakes.board("a", fakes.Device(full))], ["x"])
    assert isinstance(event, FarmLost)
    assert event.task.reason == "a: no temporary folder can be made"


def test_who_still_waits_when_all_is_done_is_not_set_aside() -> None:
    class Place:
        name = "shelf"

        def acquire(self, _waiting: object, _patience_s: float, stopped: Callable[[], bool]) -> None:
            while not stopped():
                ended.wait(0.01)
            raise MeasureError("place shelf of labgrid: the run has ended")

        def release(self) -> None:
            pass

    ended = threading.Event()
    waits = fakes.board("waits", fakes.Device(always), place=Place())
    events, notes = ran([waits, fakes.board("b", fakes.Device(always))], ["x"])
    assert done(events) == {"b": ["x"]}
    assert waits.set_aside == []
    assert not [note for note in notes if "set aside" in note]


def test_what_was_finished_and_not_heard_is_kept_and_is_unchecked() -> None:
    finished, interrupted = threading.Event(), threading.Event()

    def answers(name: str) -> Observation | str:
        if name != "z":
            return fakes.seen()
        finished.set()  # x and y lie in the queue
        assert interrupted.wait(60)
        return "the run has ended"

    device = fakes.Device(answers)
    device.interrupt = interrupted.set  # type: ignore[method-assign]
    farm = DeviceFarm([fakes.board("a", device)], fakes.rules(), HOW, prepare=lambda *_: None, work=work)
    events = farm.measure([fakes.task(name) for name in ("x", "y", "z")], Notes())
    first = next(events)
    assert finished.wait(60)
    events.close()
    assert done([first, *farm.unheard]) == {"a": ["x", "y"]}
    assert farm.unchecked == {"x": "a", "y": "a"}
