"""Where builds and emulated counts are done: on this machine, on a Dask cluster, or by any executor that is given."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from typing import Protocol

from mbench.build import builders, carried, dask_address
from mbench.build.artifact_store import ArtifactStore
from mbench.build.builders import Build
from mbench.build.carried import Carrier
from mbench.build.carried_counts import CarriedEmulator
from mbench.core.choices import NO_CHOICES, Choices
from mbench.core.errors import UsageError, shortened, shown
from mbench.core.machine_types import Target
from mbench.core.progress import Note, Stage
from mbench.core.records import Variant
from mbench.devices import emulation
from mbench.devices.protocols import DeviceRunner

LOCAL = "local"
MOST_LOCAL = 256
EXPECTED = "expected local, local:N, or dask://HOST:PORT"
_LOCAL = re.compile(rf"{LOCAL}(?::([0-9]{{1,9}}))?")


class BuildPlace(Protocol):
    """Where builds are done."""

    def build_all(
        self,
        wanted: Sequence[Variant],
        target: Target,
        report: Stage,
        *,
        use_cache: bool,
        choices: Choices = NO_CHOICES,
        timeout_s: float,
        note: Note,
    ) -> dict[str, Build]:
        """Build variants; return what came of each, by name. See `builders.build_all`."""
        ...

    def emulator(self, target: Target, *, timeout_s: float, note: Note) -> DeviceRunner | None:
        """Return a device that counts in emulation; None where this machine does it itself."""
        ...


class LocalPlace:
    """This machine, with so many builds side by side; None: as many as it bears."""

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers

    def build_all(
        self,
        wanted: Sequence[Variant],
        target: Target,
        report: Stage,
        *,
        use_cache: bool,
        choices: Choices = NO_CHOICES,
        timeout_s: float,
        note: Note,
    ) -> dict[str, Build]:
        """Build variants in child processes; see `builders.build_all`."""
        return builders.build_all(
            wanted, target, report, use_cache=use_cache, choices=choices, timeout_s=timeout_s, workers=self.workers
        )

    def emulator(self, target: Target, *, timeout_s: float, note: Note) -> DeviceRunner | None:
        """Return None: the device `emulated` counts here."""
        return None


class CarriedPlace:
    """The workers of an executor."""

    def __init__(self, carrier: Carrier) -> None:
        self._carrier = carrier
        shared = carrier.shared
        self._store = ArtifactStore(shared.artifacts) if shared else ArtifactStore.of_user()

    def build_all(
        self,
        wanted: Sequence[Variant],
        target: Target,
        report: Stage,
        *,
        use_cache: bool,
        choices: Choices = NO_CHOICES,
        timeout_s: float,
        note: Note,
    ) -> dict[str, Build]:
        """Have variants built by workers; see `carried.build_all`. What needs the user's own pictures is built here."""
        here = [variant for variant in wanted if _reads_pictures(variant)]
        there = [variant for variant in wanted if variant not in here]
        built = carried.build_all(
            self._carrier, self._store, there, target, report, note, use_cache=use_cache, choices=choices,
            timeout_s=timeout_s,
        ) if there else {}  # fmt: skip
        if here:
            note(
                f"built on this machine, since images of yours are read for it: {', '.join(each.name for each in here)}"
            )
            built |= LOCAL_PLACE.build_all(
                here, target, report, use_cache=use_cache, choices=choices, timeout_s=timeout_s, note=note
            )
        return {variant.name: built[variant.name] for variant in wanted}

    def emulator(self, target: Target, *, timeout_s: float, note: Note) -> DeviceRunner | None:
        """Return what has artifacts counted by workers; this machine says which emulator they must have."""
        return CarriedEmulator(
            self._carrier, self._store, target, emulation.prepare(target, note).name, timeout_s, note
        )


LOCAL_PLACE = LocalPlace()


def _reads_pictures(variant: Variant) -> bool:
    asked = variant.quantization
    return asked is not None and bool(asked.calibration_sha256 or asked.evaluation_sha256)


def check(executor: Executor | str) -> None:
    """Refuse, before any work, what is no executor.

    Raises:
        UsageError: it is none.
    """
    if isinstance(executor, Executor):
        return
    if not isinstance(executor, str):
        raise UsageError(f"executor {shown(executor)}: {EXPECTED}, or an executor of concurrent.futures")
    if executor.partition("://")[0] in dask_address.SCHEMES:
        dask_address.DaskAddress.parse(executor)
        return
    _local(executor)


def side_by_side(executor: Executor | str) -> int | None:
    """Return how many builds an executor runs side by side; None: only the executor knows."""
    if isinstance(executor, Executor) or executor.partition("://")[0] in dask_address.SCHEMES:
        return None
    return _local(executor).workers or builders.builders()


def _local(text: str) -> LocalPlace:
    found = _LOCAL.fullmatch(text)
    if found is None:
        raise UsageError(f"--executor {shortened(text, dask_address.MOST)}: not known; {EXPECTED}")
    if found[1] is None:
        return LOCAL_PLACE
    if not 1 <= int(found[1]) <= MOST_LOCAL:
        raise UsageError(
            f"--executor {text}: {found[1]} is out of range; expected 1 to {MOST_LOCAL} builds side by side"
        )
    return LocalPlace(int(found[1]))


@contextlib.contextmanager
def opened(executor: Executor | str, note: Note) -> Iterator[BuildPlace]:
    """Yield where builds are done.

    Args:
        executor: `local`, `local:N`, `dask://HOST:PORT`, or an executor, which is left open.
        note: called with what the user should know.

    Raises:
        UsageError: it is none, or the cluster cannot be used.
    """
    check(executor)
    if isinstance(executor, Executor):
        yield CarriedPlace(carried.ExecutorCarrier(executor))
    elif "://" in executor:
        from mbench.build import dask_cluster

        with dask_cluster.connected(dask_address.DaskAddress.parse(executor), note) as cluster:
            yield CarriedPlace(cluster)
    else:
        yield _local(executor)
