"""Several boards behind one key of a TVM tracker: which of them the tracker gives cannot be chosen.

A ticket admits one client to one board, once. The office asks the tracker for tickets, and hands each to whoever waits
for that board. One that nobody wants expires: the board registers again after some seconds.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable

from mbench.core.errors import MeasureError
from mbench.core.progress import Note
from mbench.devices import tracker
from mbench.devices.address import Address, host_and_port

_WAIT_S = 1.0
_TURN_S = 2.0
"""How long the office waits for any board before it looks again whether the tracker still has the wanted one."""
_OLDEST_S = 3.0
"""Of a ticket that lay here: a board looks every second whether its offer was taken, and makes a new one after five."""
_LEAST_PATIENCE_S = 3 * 5.0
"""How long any board is waited for: three offers."""
_ANSWER_S = 10.0
_ENDED = "the run has ended"

AskTicket = Callable[..., tuple[str, int, str]]
AskBoards = Callable[..., tuple[Address, ...]]


class TicketOffice:
    """Gets tickets for the boards of one key."""

    def __init__(
        self,
        address: Address,
        *,
        ask: AskTicket = tracker.request,
        known: AskBoards = tracker.boards,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Ask nobody yet.

        Args:
            address: of the tracker, with the key.
            ask: how the tracker is asked for a ticket, see `mbench.devices.tracker.request`.
            known: how it is asked which boards it has, see `mbench.devices.tracker.boards`.
            clock: seconds.
        """
        self._address, self._ask, self._known, self._clock = address, ask, known, clock
        self._lying: dict[str, tuple[float, Address]] = {}
        self._changed = threading.Condition()
        self._asking = False

    def ticket(self, board: Address, waiting: Note, patience_s: float, stopped: Callable[[], bool]) -> Address:
        """Return the address of a board with a ticket for it, in a queue with the tracker's other clients.

        Args:
            board: its own address, as the tracker knows it.
            waiting: called again and again while it is busy.
            patience_s: how long to wait for it; at least for three of the offers that a board makes.
            stopped: asked every second whether the run is over.

        Raises:
            MeasureError: the tracker does not give it, or does not answer; or the run is over.
        """
        patience_s = max(patience_s, _LEAST_PATIENCE_S)
        wanted, deadline = _where(board), self._clock() + patience_s

        def still_waiting(text: str) -> None:
            if stopped():
                raise MeasureError(_ENDED)
            waiting(text)

        while True:
            if stopped():
                raise MeasureError(_ENDED)
            with self._changed:
                found = self._lying.pop(wanted, None)
                if found is not None and self._clock() - found[0] <= _OLDEST_S:
                    return found[1]
                if self._asking:
                    self._changed.wait(_WAIT_S)
                    mine = False
                else:
                    mine = self._asking = True
            if mine:
                self._fetch(board, still_waiting)
            if self._clock() > deadline:
                raise MeasureError(
                    f"the tracker {self._address} did not give the device at {wanted} within {patience_s:g} s: "
                    "it hangs, or another client has it"
                )

    def _fetch(self, board: Address, waiting: Note) -> None:
        """Get one ticket, for whichever board is free; none where all stay busy for a while.

        Raises:
            MeasureError: the tracker does not answer, or has lost the board.
        """
        try:
            where = _where(board)
            if where not in map(_where, self._known(self._address, answer_s=_ANSWER_S)):
                raise MeasureError(f"the tracker {self._address} has lost the device at {where}; is it switched off?")
            host, port, key = self._ask(self._address, waiting=waiting, patience_s=_TURN_S, answer_s=_ANSWER_S)
            given = dataclasses.replace(Address(host, port), ticket=key)
            with self._changed:
                self._lying[_where(given)] = (self._clock(), given)
        except tracker.TrackerBusy:
            pass
        finally:
            with self._changed:
                self._asking = False
                self._changed.notify_all()


def _where(board: Address) -> str:
    """Return host and port of a board; trackers spell a host's name as the board does, addresses in lower case."""
    return host_and_port(board.host.lower(), board.port)
