"""What a board of a farm shows by its reference network: first figures, drift, wrong results, and how patient to be."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import farm_fakes as fakes
import pytest
import record_factory

from mbench.core.errors import MeasureError
from mbench.devices.address import Address
from mbench.devices.farm_board import BoardPlan, FarmBoard, Reference
from mbench.measure.observation import Observation


def ignore(_stage: str, _fraction: float) -> None:
    pass


def timed(*seconds: float) -> Callable[[str], Observation]:
    """Return what answers with these times, one after the other, and then with the last."""
    left = list(seconds)
    return lambda _name: fakes.seen(left.pop(0) if len(left) > 1 else left[0])


def test_the_first_sessions_are_its_own_figures() -> None:
    board = fakes.opened("one", fakes.Device(timed(0.010, 0.011, 0.012)))
    assert board.check(ignore) is None
    assert board.first_s == [0.010, 0.011, 0.012]
    described = board.described()
    assert (described.name, described.kind, described.reference_s) == ("one", "pi", (0.010, 0.011, 0.012))


def test_a_slower_session_that_is_not_repeated_is_no_drift() -> None:
    board = fakes.opened("one", fakes.Device(timed(0.010, 0.010, 0.010, 0.030, 0.010)))
    assert board.check(ignore) is None
    assert board.check(ignore) is None
    assert board.later_s == [0.030, 0.010]
    assert not board.doubtful


def test_a_board_that_stays_slower_drifts() -> None:
    board = fakes.opened("one", fakes.Device(timed(0.010, 0.010, 0.010, 0.012)))
    assert board.check(ignore) is None
    wrong = board.check(ignore)
    assert wrong is not None
    assert wrong.startswith(
        "it drifts: its reference network takes 12.0 ms, at first it took 10.0 ms, and up to 10.4 ms"
    )
    assert board.doubtful


def test_the_farm_file_may_allow_more() -> None:
    board = fakes.opened("one", fakes.Device(timed(0.010, 0.010, 0.010, 0.012)), fakes.rules(max_slowdown=0.3))
    assert [board.check(ignore), board.check(ignore)] == [None, None]


def test_a_wrong_reference_network_is_said_and_doubts_what_was_measured() -> None:
    board = fakes.opened("one", fakes.Device(lambda _: fakes.seen(right=False)))
    assert board.check(ignore) == "its reference network came out wrong: all zeros"
    assert board.doubtful


def test_a_board_that_is_silent_has_measured_rightly_until_then() -> None:
    answers: list[Observation | str] = [fakes.seen()] * 3
    board = fakes.opened("one", fakes.Device(lambda _: answers.pop() if answers else "was silent for 30 s"))
    assert board.check(ignore) is None
    assert board.check(ignore) == "was silent for 30 s"
    assert not board.doubtful


def test_a_reference_is_due_again_after_the_interval() -> None:
    now = [0.0]
    board = fakes.opened("one", fakes.Device(timed(0.01)), fakes.rules(check_every_s=60.0), clock=lambda: now[0])
    assert board.check(ignore) is None
    now[0] = 59.0
    assert not board.due
    now[0] = 60.0
    assert board.due


def test_patience_follows_from_what_the_reference_network_needs() -> None:
    now = [0.0]

    def slow(_name: str) -> Observation:
        now[0] += 4.0  # without a word
        return fakes.seen(0.1)

    device = fakes.Device(slow)
    board = fakes.opened("one", device, fakes.rules(patience_s=5.0), clock=lambda: now[0])
    assert board.patience_s(fakes.artifact("x"), fakes.PLAN) == 600.0  # nothing is known yet
    assert board.check(ignore) is None
    assert device.patience_s[0] == 600.0
    once = board.patience_s(fakes.artifact("x"), fakes.PLAN)
    assert once == 10.0  # three times 4 blocks of 8 runs of 0.1 s; the silence before "measuring" was short
    assert board.patience_s(fakes.artifact("x", 100 * fakes.MACS), fakes.PLAN) == 600.0
    assert board.patience_s(fakes.artifact("x", 10 * fakes.MACS), fakes.PLAN) == pytest.approx(96.0, abs=1.0)


def test_a_board_may_return_once() -> None:
    board = fakes.opened("one", fakes.Device(timed(0.01)))
    board.put_aside("it hangs")
    assert board.may_return
    board.taken_back()
    board.put_aside("it hangs again")
    assert not board.may_return
    assert [(event.reason, event.returned) for event in board.set_aside] == [
        ("it hangs", True), ("it hangs again", False),
    ]  # fmt: skip


def test_after_a_stop_nothing_is_measured() -> None:
    board = fakes.opened("one", fakes.Device(timed(0.01)))
    board.stop()
    assert board.check(ignore) == "the run has ended"


def powered(*command: str) -> FarmBoard:
    return fakes.opened("one", fakes.Device(timed(0.01)), power_cycle=command)


def test_a_command_switches_a_board_off_and_on(tmp_path: Path) -> None:
    written = tmp_path / "cycled"
    board = powered(sys.executable, "-c", f"open({str(written)!r}, 'w')")
    assert board.cycle_power() == "its power was cycled"
    assert written.exists()
    assert fakes.opened("one", fakes.Device(timed(0.01))).cycle_power() is None


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ((sys.executable, "-c", "raise SystemExit('no relay 3')"), "exit status 1: no relay 3"),
        (("/no/such/program",), "power_cycle '/no/such/program': No such file or directory"),
    ],
)
def test_a_command_that_fails_is_said_in_a_line(command: tuple[str, ...], said: str) -> None:
    with pytest.raises(MeasureError) as caught:
        powered(*command).cycle_power()
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_another_run_holds_is_waited_for_and_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tries, told = [0], list[str]()

    def sleep(_seconds: float) -> None:
        tries[0] += 1

    def opened(*_: object, waiting: Callable[[str], None], **__: object) -> fakes.Device:
        if tries[0] < 3:
            waiting("another run measures there")
        return fakes.Device(timed(0.01))

    monkeypatch.setattr("mbench.devices.farm_board.time.sleep", sleep)
    board = fakes.board("one", fakes.Device(timed(0.01)))
    monkeypatch.setattr(board, "_opener", opened)
    board.open(None, lock_dir=Path(), timeout_s=1.0, waiting=told.append)  # type: ignore[arg-type]
    assert (tries[0], told) == (3, ["another run measures there"])


def test_what_is_described_stays_as_it_is() -> None:
    board = fakes.opened("one", fakes.Device(timed(0.01)))
    board.machine = record_factory.record().host
    described = board.described()
    board.missing["calibration"] = "the farm file says peaks = false"
    assert described.missing == {}


def test_who_waits_for_a_place_learns_that_the_run_is_over() -> None:
    class Place:
        name = "shelf"

        def acquire(self, _waiting: object, _patience_s: float, stopped: Callable[[], bool]) -> None:
            asked.append(stopped())
            board.stop()
            asked.append(stopped())
            raise MeasureError("the run has ended")

    asked: list[bool] = []
    board = fakes.board("one", fakes.Device(timed(0.01)), place=Place())
    with pytest.raises(MeasureError, match="the run has ended"):
        board.open(None, lock_dir=Path(), timeout_s=1.0, waiting=lambda _: None)  # type: ignore[arg-type]
    assert asked == [False, True]


def test_who_waits_for_a_ticket_learns_that_the_run_is_over(tmp_path: Path) -> None:
    asked: list[bool] = []

    class Office:
        def ticket(self, _board: object, _waiting: object, _patience_s: float, stopped: Callable[[], bool]) -> None:
            asked.append(stopped())
            board.stop()
            asked.append(stopped())
            raise MeasureError("the run has ended")

    plan = BoardPlan(name="one", kind="pi", address=Address("10.0.0.21", 9090), office=Office())  # type: ignore[arg-type]
    artifact = fakes.artifact("x")
    artifact.folder = tmp_path
    board = FarmBoard(plan, Reference(artifact=artifact, plan=lambda: fakes.PLAN), fakes.rules())
    board.open(None, lock_dir=tmp_path, timeout_s=1.0, waiting=lambda _: None)  # type: ignore[arg-type]
    try:
        assert board.check(ignore) == "the run has ended"
    finally:
        board.close(lambda _: None)
    assert asked == [False, True]
