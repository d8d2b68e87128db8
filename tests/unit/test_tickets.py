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


def test_the_board_that_is_wanted_is_waited_for() -> None:
    tracker = Tracker(OTHER, ONE)
    assert tracker.office().ticket(ONE, ignore, 30.0) == Address("10.0.0.21", 9090, ticket="pi4:2")


def test_a_ticket_for_another_board_is_kept_for_whoever_wants_it_next() -> None:
    tracker = Tracker(OTHER, ONE)
    office = tracker.office()
    office.ticket(ONE, ignore, 30.0)
    assert office.ticket(OTHER, ignore, 30.0).ticket == "pi4:1"
    assert tracker.asked == 2


def test_a_ticket_that_lay_too_long_is_not_used() -> None:
    tracker = Tracker(OTHER, ONE, OTHER)
    office = tracker.office()
    office.ticket(ONE, ignore, 30.0)
    tracker.now_s += 4.0
    assert office.ticket(OTHER, ignore, 30.0).ticket == "pi4:3"


def test_each_of_two_who_wait_gets_its_own() -> None:
    tracker, got = Tracker(OTHER, ONE), dict[Address, Address]()
    office = tracker.office()

    def wait(board: Address) -> None:
        got[board] = office.ticket(board, ignore, 30.0)

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
        Tracker(OTHER, OTHER).office().ticket(ONE, ignore, 30.0)


def test_a_board_that_the_tracker_has_lost_is_named_at_once() -> None:
    tracker = Tracker(ONE, known=(OTHER,))
    with pytest.raises(MeasureError, match=r"has lost the device at 10\.0\.0\.21:9090; is it switched off\?"):
        tracker.office().ticket(ONE, ignore, 30.0)
    assert tracker.asked == 0
