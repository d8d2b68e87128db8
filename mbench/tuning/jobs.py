"""What tuning has child processes do. Importing this imports neither tvm nor torch; calling it does."""

from __future__ import annotations

from collections.abc import Sequence

from mbench.core.errors import BuildError
from mbench.core.machine_types import Target
from mbench.core.records import Variant
from mbench.tuning.plans import Candidate, Task


def tasks(variant: Variant, target: Target) -> tuple[Task, ...]:
    """Return the kernels of a network, as it is built for a target, that can be tuned, each once."""
    from mbench.tuning import candidates

    return candidates.tasks(variant, target)


def tiles(function: str, target: Target, tries: int) -> tuple[Candidate, tuple[Candidate, ...]]:
    """Return what the rules choose, and the tiles to try."""
    from mbench.tuning import candidates

    return candidates.tiles(function, target, tries)


def grids(function: str, target: Target, chosen: Sequence[Candidate], tries: int) -> tuple[Candidate, ...]:
    """Return other task grids of the chosen tiles."""
    from mbench.tuning import candidates

    return candidates.grids(function, target, chosen, tries)


def compiled(function: str, target: Target, candidate: Candidate, library: str) -> str:
    """Compile a candidate to `library`; return why it could not be, or nothing."""
    from mbench.compile.schedules.rule import StaleChoiceError
    from mbench.tuning import candidates

    try:
        candidates.compile_candidate(function, target, candidate, library)
    except (StaleChoiceError, BuildError) as error:
        return str(error)
    return ""
