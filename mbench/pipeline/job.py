"""A run as it was asked for: what to measure, on what, and where to write."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from mbench.build.builders import TIMEOUT_S
from mbench.build.places import LOCAL_PLACE, BuildPlace
from mbench.core.choices import NO_CHOICES, Choices
from mbench.core.errors import CollisionError
from mbench.core.machine_types import DeviceKind, Host, Target
from mbench.core.records import Record, Variant
from mbench.core.settings import Settings
from mbench.devices import emulation
from mbench.hardware import device_kinds, platforms, targets


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A run: what to measure, on what, and where to write."""

    target: Target
    host: Host
    device: DeviceKind
    device_name: str = ""
    """What the record calls the device; by default its kind."""
    address: str = ""
    """Of an `rpc` device."""
    settings: Settings
    networks: tuple[Variant, ...]
    """What to measure, in the order of the settings' names."""
    labels: dict[str, str] = {}
    """Of the record; see `mbench.core.labels`."""
    path: Path
    """The record file."""
    counted: Target | None = None
    """The target whose code is counted in emulation beside what is measured."""
    use_cache: bool = True
    build_timeout_s: float = TIMEOUT_S
    """How long one build may take."""
    place: BuildPlace = LOCAL_PLACE
    """Where builds and emulated counts are done."""
    keep_artifacts: bool = False
    """Whether the artifacts are copied to a folder beside the record."""
    choices: Choices = NO_CHOICES
    """How kernels are made that were tuned."""
    before: Record | None = None
    """The record to go on with."""
    wait_quiet_s: float | None = None
    """Seconds to wait, at most, for a quiet machine before measuring."""
    notes: tuple[str, ...] = ()
    """What the user should know before it begins."""

    def named(self, names: Iterable[str]) -> list[Variant]:
        """Return networks of the job by their names."""
        known = {network.name: network for network in self.networks}
        return [known[name] for name in names]

    @property
    def target_as_run(self) -> Target:
        """The target with the caches and cores of what executes it."""
        return targets.as_run_here(self.target, self.host) if device_kinds.of(self.device).here else self.target


def counted_target(target: Target, device: DeviceKind) -> Target | None:
    """Return the target whose code `--counts` counts in emulation; None where the run itself is emulated and counts.

    For a board, the target itself. For this machine, the reference target of its architecture, so that counts are
    comparable across machines.

    Raises:
        UsageError: nothing is run, or this machine cannot emulate it.
    """
    kind, platform = device_kinds.of(device), platforms.of(target)
    if kind.counts_only:
        return None
    if not kind.runs:
        raise CollisionError("--counts needs a run; leave out --compile-only", "--counts", "--compile-only")
    if platform.counted is None:
        said = f"--counts: only CPUs' code can be counted; leave it out for target '{target.name}'"
        raise CollisionError(said, "--counts", "--target")
    counted = target if kind.remote else targets.load(platform.counted)
    try:
        emulation.check(counted)
    except CollisionError as error:
        raise CollisionError(f"--counts: {error}", "--counts", "--target") from error
    return counted
