"""How long work reports its progress: one interface for runs, tuning and the gate; what shows it is elsewhere.

`Progress` is what a person sees. Work that reports less takes a part of it: `Stage` and `Note` are its two
methods, `Report` is `Stage` for one variant, and `Fraction` is `Report` for one stage.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

Stage = Callable[[str, str, float], None]
"""Called with a variant, a stage (`warming up`, `measuring`, …) and how much of it is done, from 0 to 1.

Where a run has several sessions of each network, a stage says which and how many are expected: `2/5 measuring`; `again
6/7 measuring` where a disturbed one is repeated; `2/6 measured` at its end.
"""
Report = Callable[[str, float], None]
"""Called with a stage and how much of it is done, from 0 to 1."""
Fraction = Callable[[float], None]
"""Called with how much is done, from 0 to 1."""
Note = Callable[[str], None]
"""Called with what the user should know."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class NetworkPlan:
    """What is known of the time of one network before a run begins."""

    build_size: float = 0.0
    """How much there is to build, in a unit of its own; 0: it is built."""
    macs: int = 0
    """Multiply-adds: how much a session has to do."""
    session_s: float | None = None
    """What a session of it takes, by runs of before; None: there were none like this one."""
    once_s: float = 0.0
    """What its first session takes beyond that."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunPlan:
    """What is known of the time that a run takes before it begins."""

    networks: Mapping[str, NetworkPlan] = dataclasses.field(default_factory=dict)
    """In the order in which they are built."""
    builders: int | None = None
    """How many builds run side by side; None: nobody knows."""
    sessions: int | None = None
    """Of each network; 0: none is measured."""
    repeated: float = 0.0
    """How many of them are repeated, as a share, by runs of before."""
    load_s: float = 0.0
    """How long each network runs without a pause after its sessions."""
    side_by_side: bool = False
    """Whether networks are measured side by side, by the devices of a farm."""


class Progress(Protocol):
    """Shows what the run is doing."""

    def stage(self, variant: str, stage: str, fraction: float) -> None:
        """`variant` is at `stage`, `fraction` of it done (0 to 1)."""
        ...

    def note(self, text: str) -> None:
        """Show a line to the user."""
        ...


class Display(Protocol):
    """Makes a `Progress` for the time that some work takes."""

    def __call__(
        self, names: Sequence[str], shares: Mapping[str, float] | None = None, plan: RunPlan | None = None, /
    ) -> AbstractContextManager[Progress]:
        """Return it as a context.

        Args:
            names: what there is to do: networks or kernels.
            shares: how much of one of them is done when a stage begins, from 0 to 1; None: a run's.
            plan: of a run: what is known of its time.
        """
        ...


def unheard(_text: str) -> None:
    """Show nothing: a `Note` of programs."""


class _Silence:
    note = staticmethod(unheard)

    def stage(self, variant: str, stage: str, fraction: float) -> None:
        """Show nothing."""


@contextlib.contextmanager
def silent(
    _names: Sequence[str], _shares: Mapping[str, float] | None = None, _plan: RunPlan | None = None, /
) -> Iterator[Progress]:
    """Show nothing: the display of programs."""
    yield _Silence()
