"""Progress of a run on standard error: bars with the time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, Task, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

SHARES = {
    "compiling": 0.35,
    "calibrating": 0.0,
    "loading": 0.38,
    "checking": 0.40,
    "warming up": 0.42,
    "measuring": 0.45,
    "measuring layers": 0.85,
    "metering energy": 0.95,
    "done": 1.0,
    "failed": 1.0,
}
"""How much of a variant's work is done when a stage begins; compiling counts from 0 to its own share."""
_ALL_SHOWN = 12
"""Up to so many variants have a bar each; of more, only the one that is measured."""


def share(stage: str, fraction: float, shares: Mapping[str, float] = SHARES) -> float:
    """Return how much of one variant's work is done, 0 to 1, if `shares` of it are done when stages begin."""
    if stage == "compiling":
        return shares["compiling"] * fraction
    begun = shares.get(stage, 0.0)
    after = min((later for later in shares.values() if later > begun), default=begun)
    return begun + (after - begun) * fraction if stage in shares else 0.0


class Lines:
    """For pipes and CI logs: one line when a variant enters a stage."""

    def __init__(self, console: Console, names: Sequence[str]) -> None:
        self._console = console
        self._names = list(names)
        self._last: dict[str, str] = {}

    def stage(self, variant: str, stage: str, fraction: float) -> None:
        """Print a new stage once."""
        if stage == "compiling":
            stage = "compiled" if fraction == 1.0 else "compiling"
        if self._last.get(variant) == stage:
            return
        self._last[variant] = stage
        number = f"[{self._names.index(variant) + 1}/{len(self._names)}] " if variant in self._names else ""
        self._console.print(f"{number}{variant}: {stage}", markup=False, soft_wrap=True)

    def note(self, text: str) -> None:
        """Print a remark."""
        self._console.print(text, markup=False, soft_wrap=True)


class _TimeLeft(TimeRemainingColumn):
    """The time left over all; one variant alone cannot show it while it waits for its turn."""

    def render(self, task: Task) -> Text:
        return Text() if task.fields["part"] else super().render(task)


class Bars:
    """For terminals: one bar a variant, and one over all with the time that is left."""

    def __init__(self, console: Console, names: Sequence[str], shares: Mapping[str, float] = SHARES) -> None:
        self._console = console
        self._shares = shares
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=14),
            TextColumn("{task.fields[stage]:16}"),
            TimeElapsedColumn(),
            _TimeLeft(compact=True),
            console=console,
            refresh_per_second=2,  # drawing takes time from what is being measured
        )
        self._tasks: dict[str, TaskID] = {}
        self._all = self.progress.add_task("all", total=float(len(names)), stage="", part=False)
        self._few = len(names) <= _ALL_SHOWN
        for name in names:
            self._tasks[name] = self.progress.add_task(
                name, total=1.0, start=False, visible=self._few, stage="waiting", part=True
            )

    def stage(self, variant: str, stage: str, fraction: float) -> None:
        """Move the variant's bar and the one over all."""
        if variant not in self._tasks:
            self.progress.update(self._all, stage=stage)
            return
        task = self._tasks[variant]
        self.progress.start_task(task)
        shown = self._few or stage not in ("compiling", "done")
        word = "compiled" if (stage, fraction) == ("compiling", 1.0) else stage
        self.progress.update(task, completed=share(stage, fraction, self._shares), stage=word, visible=shown)
        done = sum(entry.completed for entry in self.progress.tasks if entry.id != self._all)
        self.progress.update(self._all, completed=done, stage="")

    def note(self, text: str) -> None:
        """Print a remark above the bars."""
        self._console.print(text, markup=False)


@contextmanager
def show(console: Console, names: Sequence[str], shares: Mapping[str, float] | None = None) -> Iterator[Bars | Lines]:
    """Yield what to report progress to, for as long as the run takes. `shares`: see `share`; None: a run's."""
    if not console.is_terminal:
        yield Lines(console, names)
        return
    bars = Bars(console, names, SHARES if shares is None else shares)
    with bars.progress:
        yield bars
