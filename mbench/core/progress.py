"""How long work reports on itself: one interface for runs, tuning and the gate; what shows it is elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

Report = Callable[[str, float], None]
"""Called with a stage (`warming up`, `measuring`, …) and how much of it is done, from 0 to 1."""


class Progress(Protocol):
    """Is told what the run is doing."""

    def stage(self, variant: str, stage: str, fraction: float) -> None:
        """`variant` is at `stage`, `fraction` of it done (0 to 1)."""
        ...

    def note(self, text: str) -> None:
        """Say something to the user."""
        ...
