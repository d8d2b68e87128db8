"""What a tuning came to: what is known of each kernel and network, and what failed."""

from __future__ import annotations

from pathlib import Path

import msgspec

from mbench.tuning.choice_files import TimedNetwork, TunedKernel


class TuningFailure(msgspec.Struct, frozen=True, kw_only=True):
    """A candidate that could not be compiled or timed, or, without a candidate, a kernel or a network."""

    kernel: str
    candidate: str
    reason: str


class KernelFound(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a kernel."""

    layers: tuple[str, ...]
    """The layers of all networks that it serves, as NETWORK.LAYER."""
    choice: TunedKernel


class TuningResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a tuning came to; times are in seconds."""

    target: str
    threads: int
    file: Path
    """The file of choices, which runs on this machine follow."""
    kernels: tuple[KernelFound, ...]
    waiting: tuple[str, ...]
    """Kernels that are not tuned yet."""
    networks: tuple[TimedNetwork, ...]
    """Whole networks, by rule and as tuned."""
    failures: tuple[TuningFailure, ...]

    def complete(self) -> bool:
        """Return whether no kernel and no network failed; a candidate may have."""
        return all(failure.candidate for failure in self.failures)
