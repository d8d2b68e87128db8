"""How long work reports its progress: one interface for runs, tuning and the gate; what shows it is elsewhere.

`Progress` is what a person sees. Work that reports less takes a part of it: `Stage` and `Note` are its two
methods, `Report` is `Stage` for one variant, and `Fraction` is `Report` for one stage.
"""

from __future__ import annotations

import contextlib
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
        self, names: Sequence[str], shares: Mapping[str, float] | None = None, load_s: float = 0.0, /
    ) -> AbstractContextManager[Progress]:
        """Return it as a context.

        Args:
            names: what there is to do: networks or kernels.
            shares: how much of one of them is done when a stage begins, from 0 to 1; None: a run's.
            load_s: of a run: how long each of them runs without a pause after its sessions.
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
    _names: Sequence[str], _shares: Mapping[str, float] | None = None, _load_s: float = 0.0, /
) -> Iterator[Progress]:
    """Show nothing: the display of programs."""
    yield _Silence()
