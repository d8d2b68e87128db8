"""Tickets for boards that share a key: whichever the tracker gives reaches whoever waits for it."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from mbench.core.errors import MeasureError
from mbench.devices.address import Address
from mbench.devices.tickets import TicketOffice
from mbench.devices.tracker import TrackerBusy

TRACKER = Address("10.0.0.5", 9190, "pi4")
ONE, OTHER = Address("10.0.0.21", 9090), Address("10.0.0.22", 9090)


class Tracker:
    """Gives what is written down, and then is busy; the clock goes on by what it is told to wait."""

    def __init__(self, *given: Address, known: tuple[Address, ...] = (ONE, OTHER)) -> None:
        self._given, self._known = list(given), known
        self.now_s = 0.0
        self.asked = 0

    def request(self, _address: Address, *, waiting: Any, patience_s: float, answer_s: float) -> tuple[str, int, str]:
        self.asked += 1
        if not self._given:
            self.now_s += patience_s
            raise TrackerBusy("every device stayed busy")
        board = self._given.pop(0)
        return board.host, board.port, f"pi4:{self.asked}"

    def boards(self, _address: Address, *, answer_s: float) -> tuple[Address, ...]:
        return self._known

    def office(self) -> TicketOffice:
        return TicketOffice(TRACKER, ask=self.request, known=self.boards, clock=lambda: self.now_s)


def ignore(_text: str) -> None:
    pass


def never() -> bool:
    return False


def test_the_board_that_is_wanted_is_waited_for() -> None:
    tracker = Tracker(OTHER, ONE)
    assert tracker.office().ticket(ONE, ignore, 30.0, never) == Address("10.0.0.21", 9090, ticket="pi4:2")


def test_a_ticket_for_another_board_is_kept_for_whoever_wants_it_next() -> None:
    tracker = Tracker(OTHER, ONE)
    office = tracker.office()
    office.ticket(ONE, ignore, 30.0, never)
    assert office.ticket(OTHER, ignore, 30.0, never).ticket == "pi4:1"
    assert tracker.asked == 2


def test_a_ticket_that_lay_too_long_is_not_used() -> None:
    tracker = Tracker(OTHER, ONE, OTHER)
    office = tracker.office()
    office.ticket(ONE, ignore, 30.0, never)
    tracker.now_s += 4.0
    assert office.ticket(OTHER, ignore, 30.0, never).ticket == "pi4:3"


def test_each_of_two_who_wait_gets_its_own() -> None:
    tracker, got = Tracker(OTHER, ONE), dict[Address, Address]()
    office = tracker.office()

    def wait(board: Address) -> None:
        got[board] = office.ticket(board, ignore, 30.0, never)

    threads = [threading.Thread(target=wait, args=(board,)) for board in (ONE, OTHER)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert {board: (ticket.host, ticket.port) for board, ticket in got.items()} == {
        ONE: (ONE.host, ONE.port), OTHER: (OTHER.host, OTHER.port),
    }  # fmt: skip


def test_a_board_that_is_never_given_is_named() -> None:
    with pytest.raises(MeasureError, match=r"did not give the device at 10\.0\.0\.21:9090 within 30 s: it hangs, or"):
        Tracker(OTHER, OTHER).office().ticket(ONE, ignore, 30.0, never)


def test_a_board_has_time_for_three_offers_however_short_the_patience() -> None:
    with pytest.raises(MeasureError, match=r"did not give the device at 10\.0\.0\.21:9090 within 15 s"):
        Tracker(OTHER, OTHER).office().ticket(ONE, ignore, 1.0, never)


def test_a_board_that_the_tracker_has_lost_is_named_at_once() -> None:
    tracker = Tracker(ONE, known=(OTHER,))
    with pytest.raises(MeasureError, match=r"has lost the device at 10\.0\.0\.21:9090; is it switched off\?"):
        tracker.office().ticket(ONE, ignore, 30.0, never)
    assert tracker.asked == 0


def test_once_the_run_is_over_no_ticket_is_taken() -> None:
    tracker = Tracker(ONE)
    with pytest.raises(MeasureError, match="the run has ended"):
        tracker.office().ticket(ONE, ignore, 30.0, lambda: True)
    assert tracker.asked == 0


def test_a_request_is_taken_back_when_the_run_ends() -> None:
    ended, said = list[bool](), list[str]()

    def busy(_address: Address, *, waiting: Any, patience_s: float, answer_s: float) -> tuple[str, int, str]:
        waiting("waiting for a device")
        ended.append(True)
        waiting("waiting for a device")
        pytest.fail("the tracker would have given a board to nobody")

    office = TicketOffice(TRACKER, ask=busy, known=lambda *_, **__: (ONE,), clock=lambda: 0.0)
    with pytest.raises(MeasureError, match="the run has ended"):
        office.ticket(ONE, said.append, 30.0, lambda: bool(ended))
    assert said == ["waiting for a device"]


def test_the_name_of_a_host_may_be_in_capitals_at_the_tracker() -> None:
    shouted = Address("Board-1.LAN", 9090)
    tracker = Tracker(shouted, known=(shouted,))
    ticket = tracker.office().ticket(Address("board-1.lan", 9090), ignore, 30.0, never)
    assert ticket.ticket == "pi4:1"
