"""Progress of a run on standard error: bars with the time left on a terminal, few plain lines elsewhere."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.text import Text

from mbench.core.progress import RunPlan
from mbench.terminal.builds_left import Clock
from mbench.terminal.time_left import Estimator, FarmLeft, RunLeft, ShareLeft, read

BUILT = 0.3
"""How much of a network's work is done once it is compiled; its sessions share the rest."""
LOADED = 0.7
"""How much of it is done before it runs under load, where it does."""
SESSION_SHARES = {
    "reading": 0.0,
    "connecting": 0.0,
    "loading": 0.0,
    "uploading": 0.05,
    "checking": 0.1,
    "warming up": 0.2,
    "emulating": 0.2,
    "measuring": 0.4,
    "counting": 0.4,
    "measuring layers": 0.7,
    "metering energy": 0.9,
    "metering layers": 0.95,
    "measured": 1.0,
}
"""How much of a session is done when a stage begins."""
_BRIEFLY = {"measuring layers": "layers", "metering energy": "energy", "metering layers": "layer energy"}
_ALL_SHOWN = 12
"""Up to so many networks have a bar each; of more, only the one that is measured."""
_BAR, _STAGE = 30, 20
"""Columns of a bar, and of the stage beside it."""
_OVER = ("done", "failed")


def share(stage: str, fraction: float, shares: Mapping[str, float]) -> float:
    """Return how much of a work is done, 0 to 1, if `shares` of it are done when stages begin."""
    if stage in _OVER:
        return shares.get(stage, 1.0)
    begun = shares.get(stage, 0.0)
    after = min((later for later in (*shares.values(), 1.0) if later > begun), default=begun)
    return begun + (after - begun) * fraction if stage in shares else 0.0


def share_of_run(stage: str, fraction: float, *, loaded: bool = False) -> float:
    """Return how much of a network's work is done, 0 to 1, at a stage as a run reports it, such as `2/5 measuring`.

    Args:
        stage: as it is reported.
        fraction: of the stage, which is done.
        loaded: whether each network runs without a pause after its sessions.
    """
    said, sessions_end = read(stage), LOADED if loaded else 1.0
    if said.name in _OVER:
        return 1.0
    if said.name == "compiling":
        return BUILT * fraction
    if said.under_load:
        return sessions_end + (1 - sessions_end) * fraction
    within = share(said.name, fraction, SESSION_SHARES)
    return BUILT + (sessions_end - BUILT) * min(1.0, (said.number - 1 + within) / said.of)


class Lines:
    """For pipes and CI logs: one line when a piece of work enters a stage."""

    def __init__(self, console: Console, names: Sequence[str]) -> None:
        """Print on `console` about `names`."""
        self._console = console
        self._names = list(names)
        self._said = set[tuple[str, str]]()

    def stage(self, variant: str, stage: str, fraction: float) -> None:
        """Print a new stage once."""
        self._say(variant, stage)

    def _say(self, variant: str, said: str, event: str | None = None) -> None:
        """Print a line once for each event, which is by default what it says."""
        if (variant, event or said) in self._said:
            return
        self._said.add((variant, event or said))
        number = f"[{self._names.index(variant) + 1}/{len(self._names)}] " if variant in self._names else ""
        self._console.print(f"{number}{variant}: {said}", markup=False, soft_wrap=True)

    def note(self, text: str) -> None:
        """Print a remark."""
        self._console.print(text, markup=False, soft_wrap=True)


class RunLines(Lines):
    """Of a run: a line when a network is compiled, when its first session begins, if some are repeated, at the end."""

    def stage(self, variant: str, stage: str, fraction: float) -> None:
        """Print what is new and worth a line."""
        said = read(stage)
        if said.name == "compiling":
            if fraction == 1.0:
                self._say(variant, "compiled")
        elif said.name in _OVER or variant not in self._names:
            self._say(variant, said.name)
        elif said.again:
            number = said.of - said.number + 1
            were = "session was" if number == 1 else "sessions were"
            self._say(variant, f"{number} {were} disturbed; measuring again", "again")
        elif said.number == 1:
            self._say(variant, "measuring" if not said.told else f"measuring, {said.of} sessions", "measuring")


class _StageOrTime(ProgressColumn):
    """Beside a network's bar its stage, beside the one over all the time that passed and the time left."""

    def __init__(self, left: Estimator) -> None:
        super().__init__()
        self._left = left

    def render(self, task: Task) -> Text:
        if task.fields["part"]:
            return Text(f"{task.fields['stage']:{_STAGE}}")
        left = self._left.seconds()
        rest = task.fields["stage"] if left is None else f"{clock_time(left)} left"
        return Text(f"{clock_time(task.elapsed or 0.0)}  {'' if task.finished else rest}")


def clock_time(seconds: float) -> str:
    """Return a time as a clock has it: `1:05`, `1:00:05`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Bars:
    """For terminals: one bar a network, and one over all with the time that is left."""

    def __init__(
        self,
        console: Console,
        names: Sequence[str],
        shares: Mapping[str, float] | None = None,
        clock: Clock = time.monotonic,
        plan: RunPlan | None = None,
    ) -> None:
        """Show bars on `console` for `names`.

        Args:
            console: the terminal.
            names: what there is to do.
            shares: see `share`; None: of a run.
            clock: in seconds.
            plan: of a run: what is known of its time.
        """
        self._console = console
        plan = plan or RunPlan()
        self._share = (
            functools.partial(share_of_run, loaded=plan.load_s > 0)
            if shares is None
            else functools.partial(share, shares=shares)
        )
        self.left: Estimator
        if shares is not None:
            self.left = ShareLeft(names, self._share, clock)
        else:
            self.left = FarmLeft(names, clock) if plan.side_by_side else RunLeft(names, plan, clock)
        longest = max(map(len, names), default=0)
        self.progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=max(4, min(_BAR, console.width - longest - _STAGE - 2))),
            _StageOrTime(self.left),
            console=console,
            get_time=clock,
            refresh_per_second=2,  # drawing takes time from what is being measured
        )
        self._tasks: dict[str, TaskID] = {}
        self._built = set[str]()
        self._expected: dict[str, int] = {}
        """Sessions of each network, as it said last."""
        self._all = self.progress.add_task("all", total=float(len(names)), stage="", part=False)
        self._few = len(names) <= _ALL_SHOWN
        for name in names:
            self._tasks[name] = self.progress.add_task(
                name, total=1.0, start=False, visible=self._few, stage="waiting", part=True
            )

    def stage(self, variant: str, stage: str, fraction: float) -> None:
        """Move the network's bar and the one over all."""
        self.left.stage(variant, stage, fraction)
        if variant not in self._tasks:
            self.progress.update(self._all, stage=stage)
            return
        task = self._tasks[variant]
        self.progress.start_task(task)
        shown = self._few or read(stage).name not in ("compiling", "measured", "done")
        said, done, before = read(stage), self._share(stage, fraction), self._expected.get(variant)
        if not said.told or before in (None, said.of):  # stages come in an order of the device's own
            done = max(done, self._task(task).completed)
        if said.told:
            self._expected[variant] = said.of
        self.progress.update(task, completed=done, stage=_word(stage, fraction), visible=shown)
        done = sum(entry.completed for entry in self.progress.tasks if entry.id != self._all)
        self.progress.update(self._all, completed=done, stage=self._compiled(variant, stage, fraction))

    def _compiled(self, variant: str, stage: str, fraction: float) -> str:
        """Return how many networks are compiled, as long as that is what is done."""
        if stage == "compiling" and fraction == 1.0:
            self._built.add(variant)
        return f"compiled {len(self._built)}/{len(self._tasks)}" if stage == "compiling" else ""

    def _task(self, number: TaskID) -> Task:
        return next(task for task in self.progress.tasks if task.id == number)

    def note(self, text: str) -> None:
        """Print a remark above the bars."""
        self._console.print(text, markup=False)


def _word(stage: str, fraction: float) -> str:
    """Return a stage in few words: `2/5 layers`."""
    if (stage, fraction) == ("compiling", 1.0):
        return "compiled"
    name = read(stage).name
    return stage.removesuffix(name) + _BRIEFLY.get(name, name)


@contextmanager
def show(
    console: Console, names: Sequence[str], shares: Mapping[str, float] | None = None, plan: RunPlan | None = None
) -> Iterator[Bars | Lines]:
    """Yield what to report progress to, for as long as the work takes. `shares`: see `share`; None: it is a run."""
    if not console.is_interactive:  # colours may be forced on a pipe, and a dumb terminal moves no cursor
        yield RunLines(console, names) if shares is None else Lines(console, names)
        return
    bars = Bars(console, names, shares, plan=plan)
    with bars.progress:
        yield bars
