"""How long work will take yet, by what its parts have taken so far. Reads a clock; shows nothing.

A run's sessions take much the same time each, so that those to come are known once the first is over; before, nothing
is. How long networks are under load is known once the first one is. Other work is estimated by the share of it that
is done.
"""

from __future__ import annotations

import dataclasses
import re
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from mbench.measure.sustain import STAGE

Clock = Callable[[], float]
_PREFIX = re.compile(r"(again )?(\d+)/(\d+) (.*)")
_ONCE = ("metering energy", "metering layers")
"""Stages that only the first session of a network has."""
_SURE = 0.03
"""Below this share, what is done says nothing of the rest."""


class SessionStage(NamedTuple):
    """A stage as a run reports it: `2/5 measuring`; `again 6/7 measuring` where a disturbed session is repeated."""

    name: str
    number: int = 1
    of: int = 1
    """Sessions that are expected now: those planned, and the repeated ones."""
    again: bool = False
    told: bool = False
    """Whether it says which session it belongs to."""

    @property
    def under_load(self) -> bool:
        """Whether the sessions are over and the network runs without a pause: `sustaining, 55 s left`."""
        return self.name.startswith(STAGE)


def read(stage: str) -> SessionStage:
    """Return what a stage's text says."""
    match = _PREFIX.fullmatch(stage)
    if match is None:
        return SessionStage(stage)
    return SessionStage(match[4], int(match[2]), int(match[3]), again=bool(match[1]), told=True)


class Estimator(Protocol):
    """Hears how far work is, and says how long it will take yet."""

    def stage(self, variant: str, stage: str, fraction: float) -> None:
        """`variant` is at `stage`, `fraction` of it done (0 to 1)."""
        ...

    def seconds(self) -> float | None:
        """Return the seconds that are left; None: not known yet."""
        ...


@dataclasses.dataclass
class _Lasting:
    """What is known of a network's sessions."""

    expected: int | None = None
    begun: int = 0
    lasted_s: list[float] = dataclasses.field(default_factory=list)
    """Of each session that is over, without what only the first has."""
    once_s: float | None = None
    """Of what only the first has; None: it is not over."""
    over: bool = False


@dataclasses.dataclass
class _Loaded:
    """The network that is under load, after its sessions."""

    network: _Lasting
    began_s: float


@dataclasses.dataclass
class _Current:
    """The one that is running."""

    network: _Lasting
    number: int
    began_s: float
    once_s: float = 0.0
    once_since_s: float | None = None


class SessionsLeft:
    """The time left of a run: sessions to come, each as long as those of its network that are over, or as all are."""

    def __init__(self, names: Sequence[str], clock: Clock = time.monotonic, load_s: float = 0.0) -> None:
        """Begin; `clock` in seconds; `load_s`: how long each network is asked to run under load."""
        self._clock = clock
        self._networks = {name: _Lasting() for name in names}
        self._session: _Current | None = None
        self._load: _Loaded | None = None
        self._load_s = load_s
        """How long each network is under load: as asked for, then as the last one was."""

    def stage(self, variant: str, stage: str, fraction: float) -> None:
        """Hear of a stage."""
        network, said, now = self._networks.get(variant), read(stage), self._clock()
        if network is None:
            return
        if said.name in ("compiling", "done", "failed"):
            if said.name != "compiling":
                network.over = True
                if self._session and self._session.network is network:
                    self._end(now)
            return
        if said.under_load:
            self._end(now)
            self._under_load(network, fraction, now)
            return
        if said.told or network.expected is None:
            network.expected = said.of
        running = self._session
        if said.name == "measured":
            if running is not None and running.network is network:
                self._end(now)
            return
        if running is None or running.network is not network or (said.told and said.number != running.number):
            self._end(now)
            network.begun += 1
            self._session = _Current(network=network, number=said.number, began_s=now)
        self._count_once(said, now)

    def _under_load(self, network: _Lasting, fraction: float, now: float) -> None:
        """Hear how much of its time under load a network has behind it; while that is nothing, it is being loaded."""
        if self._load is None or self._load.network is not network or fraction == 0:
            self._load = _Loaded(network=network, began_s=now)
        else:
            self._load_s = (now - self._load.began_s) / fraction

    def _count_once(self, said: SessionStage, now: float) -> None:
        """Count the time of what no later session does: meters, and counting in emulation, which says no number."""
        session = self._session
        assert session is not None
        once = said.name in _ONCE or (not said.told and (session.network.expected or 1) > 1)
        if once and session.once_since_s is None:
            session.once_since_s = now
        elif not once and session.once_since_s is not None:
            session.once_s += now - session.once_since_s
            session.once_since_s = None

    def _end(self, now: float) -> None:
        session, self._session = self._session, None
        if session is None:
            return
        once_s = session.once_s + (0.0 if session.once_since_s is None else now - session.once_since_s)
        session.network.lasted_s.append(now - session.began_s - once_s)
        if session.network.once_s is None:
            session.network.once_s = once_s

    def seconds(self) -> float | None:
        """Return the seconds that are left; None until the first session is over."""
        means = [statistics.fmean(each.lasted_s) for each in self._networks.values() if each.lasted_s]
        onces = [each.once_s for each in self._networks.values() if each.once_s is not None]
        if not means:
            return None
        usual_s, once_s = statistics.fmean(means), statistics.fmean(onces)
        expected = statistics.fmean(each.expected for each in self._networks.values() if each.expected is not None)
        left_s = 0.0
        for network in self._networks.values():
            if network.over:
                continue
            begun_s = self._load.began_s if self._load and self._load.network is network else None
            left_s += max(0.0, self._load_s - (0.0 if begun_s is None else self._clock() - begun_s))
            each_s = statistics.fmean(network.lasted_s) if network.lasted_s else usual_s
            to_come = max(0, (network.expected or expected) - network.begun)
            left_s += to_come * each_s + (once_s if not network.begun else 0.0)
            if self._session is not None and self._session.network is network:
                first_s = once_s if network.once_s is None else 0.0
                left_s += max(0.0, each_s + first_s - (self._clock() - self._session.began_s))
        return left_s


class ShareLeft:
    """The time left of other work: as much for what is to do as it took for what is done."""

    def __init__(
        self, names: Sequence[str], share: Callable[[str, float], float], clock: Clock = time.monotonic
    ) -> None:
        """Begin; `share`: how much of one name's work is done at a stage and its fraction; `clock` in seconds."""
        self._clock, self._share = clock, share
        self._done: Mapping[str, float] = dict.fromkeys(names, 0.0)
        self._began_s = clock()

    def stage(self, variant: str, stage: str, fraction: float) -> None:
        """Hear of a stage."""
        if variant in self._done:
            self._done = {**self._done, variant: self._share(stage, fraction)}

    def seconds(self) -> float | None:
        """Return the seconds that are left; None while too little is done."""
        done = sum(self._done.values()) / len(self._done) if self._done else 0.0
        return (self._clock() - self._began_s) * (1 - done) / done if done >= _SURE else None
