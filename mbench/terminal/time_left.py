"""How long work will take yet, by what its parts have taken so far. Reads a clock; shows nothing.

Sessions of a run take much the same time each: those to come are known once the first is over. Where earlier runs
had such sessions, they are known before. How long networks are under load is known once the first one is. To that comes
the time of builds. Other work is estimated by the share of it that is done.
"""

from __future__ import annotations

import dataclasses
import re
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from mbench.core import session_times
from mbench.core.progress import NetworkPlan, RunPlan
from mbench.measure.sustain import STAGE
from mbench.terminal.builds_left import BuildsLeft, Clock

_PREFIX = re.compile(r"(again )?(\d+)/(\d+) (.*)")
_ONCE = ("metering energy", "metering layers")
"""Stages that only the first session of a network has."""
_NO_PLAN, _NO_NETWORK = RunPlan(), NetworkPlan()
"""Of which nothing is known before."""
_AS_MANY = 5
"""Sessions that what earlier runs showed of repetitions counts for."""
_MOST_REPEATED = 0.5
"""Share of sessions, at most, that is expected to be repeated: where all are disturbed, repeating is given up."""
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

    plan: NetworkPlan = _NO_NETWORK
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
    """The time left of a run's sessions, each as long as those of its network that are over, or as is expected."""

    def __init__(self, names: Sequence[str], clock: Clock = time.monotonic, plan: RunPlan = _NO_PLAN) -> None:
        """Begin; `clock` in seconds; `plan`: what is known before."""
        self._clock, self._plan = clock, plan
        self._networks = {name: _Lasting(plan=plan.networks.get(name, _NO_NETWORK)) for name in names}
        self._session: _Current | None = None
        self._load: _Loaded | None = None
        self._ended_s: float | None = None
        """When the last session ended; until the next one begins, its process starts."""
        self._load_s = plan.load_s
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
            began_s = now if self._ended_s is None else self._ended_s
            self._session = _Current(network=network, number=said.number, began_s=began_s)
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
        self._ended_s = now
        once_s = session.once_s + (0.0 if session.once_since_s is None else now - session.once_since_s)
        session.network.lasted_s.append(now - session.began_s - once_s)
        if session.network.once_s is None:
            session.network.once_s = once_s

    def seconds(self) -> float | None:
        """Return the seconds that are left; None until a session is over, here or in an earlier run."""
        if self._plan.sessions == 0:
            return 0.0
        each_s, number = self._each_s(), self._number()
        if each_s is None or number is None:
            return None
        onces = [each.once_s for each in self._networks.values() if each.once_s is not None]
        left_s = 0.0
        for network in self._networks.values():
            if network.over:
                continue
            usual_s, once_s = each_s(network), statistics.fmean(onces) if onces else network.plan.once_s
            begun_s = self._load.began_s if self._load and self._load.network is network else None
            left_s += max(0.0, self._load_s - (0.0 if begun_s is None else self._clock() - begun_s))
            to_come = max(0.0, number(network) - network.begun)
            left_s += to_come * usual_s + (once_s if not network.begun else 0.0)
            if self._session is not None and self._session.network is network:
                first_s = once_s if network.once_s is None else 0.0
                left_s += max(0.0, usual_s + first_s - (self._clock() - self._session.began_s))
        return left_s

    def _number(self) -> Callable[[_Lasting], float] | None:
        """Return what knows how many sessions a network will have had at the end; None: it is not known.

        Some are repeated: as many of those to come as of those that are over, with what earlier runs showed.
        """
        known, wanted = [each for each in self._networks.values() if each.expected is not None], self._plan.sessions
        if wanted is None:
            usual = statistics.fmean(each.expected or 0 for each in known) if known else None
            return None if usual is None else lambda network: network.expected or usual
        again = sum(max(0, (each.expected or 0) - wanted) for each in known)
        over = sum(min(len(each.lasted_s), wanted) for each in known)
        share = (again + self._plan.repeated * _AS_MANY) / (over + _AS_MANY) if wanted > 1 else 0.0
        planned = wanted * (1 + min(_MOST_REPEATED, share))
        return lambda network: (
            network.expected if network.expected and network.begun >= wanted else max(network.expected or 0, planned)
        )

    def _each_s(self) -> Callable[[_Lasting], float] | None:
        """Return what knows how long a session of a network takes; None: it is not known."""
        lasted = [(each, statistics.fmean(each.lasted_s)) for each in self._networks.values() if each.lasted_s]
        before = {id(each): each.plan.session_s for each in self._networks.values()}
        if all(expected_s is not None for expected_s in before.values()):
            known_s = sum(before[id(each)] or 0.0 for each, _ in lasted)
            ratio = sum(seconds for _, seconds in lasted) / known_s if known_s else 1.0
            return lambda network: _own_s(network, ratio * (network.plan.session_s or 0.0))
        if not lasted:
            return None
        line = session_times.line([(each.plan.macs, seconds) for each, seconds in lasted])
        return lambda network: _own_s(network, line(network.plan.macs))


def _own_s(network: _Lasting, expected_s: float) -> float:
    """Return how long a session of a network takes: as its own did, if there were any."""
    return statistics.fmean(network.lasted_s) if network.lasted_s else expected_s


class RunLeft:
    """The time left of a run: that of its builds, and that of its sessions, which begin when all builds are done."""

    def __init__(self, names: Sequence[str], plan: RunPlan, clock: Clock = time.monotonic) -> None:
        """Begin; `plan`: what is known before; `clock` in seconds."""
        sizes = {name: each.build_size for name, each in plan.networks.items()}
        self._builds = BuildsLeft(sizes, plan.builders, clock)
        self._sessions = SessionsLeft(names, clock, plan)
        self._measuring = False

    def stage(self, variant: str, stage: str, fraction: float) -> None:
        """Hear of a stage."""
        self._measuring |= read(stage).told
        self._builds.stage(variant, stage, fraction)
        self._sessions.stage(variant, stage, fraction)

    def seconds(self) -> float | None:
        """Return the seconds that are left; None: not known yet."""
        builds_s = 0.0 if self._measuring else self._builds.seconds()
        sessions_s = self._sessions.seconds()
        return None if builds_s is None or sessions_s is None else builds_s + sessions_s


class FarmLeft:
    """The time left of a run whose networks are measured side by side: as much for sessions to come as for those over.

    Nothing is known before one is over: how many devices are right shows only then.
    """

    def __init__(self, names: Sequence[str], clock: Clock = time.monotonic) -> None:
        """Begin; `clock` in seconds."""
        self._clock = clock
        self._done = dict.fromkeys(names, 0.0)
        """Of the sessions of each network, the share that is over."""
        self._began_s: float | None = None
        """When the first session began."""
        self._over_s = 0.0
        """When the last one ended."""

    def stage(self, variant: str, stage: str, fraction: float) -> None:
        """Hear of a stage."""
        said = read(stage)
        if variant not in self._done or said.name == "compiling":
            return
        if said.name == "failed" and self._began_s is None:
            del self._done[variant]  # it was not built: no device takes time for it
            return
        now = self._clock()
        if self._began_s is None:
            self._began_s = now
        over = said.name in ("done", "failed")
        share = 1.0 if over else (said.number - 1) / max(said.number, said.of)
        if share != self._done[variant]:
            self._done[variant], self._over_s = share, now

    def seconds(self) -> float | None:
        """Return the seconds that are left; None until a session is over."""
        done = sum(self._done.values()) / len(self._done) if self._done else 0.0
        if self._began_s is None or not done:
            return None
        left_s = (self._over_s - self._began_s) * (1 - done) / done
        return max(0.0, left_s - (self._clock() - self._over_s))


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
