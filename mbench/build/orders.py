"""What travels between a run and the workers that build for it: orders, what they need by content, and deliveries.

An order is complete but for bulk: the user's own networks, tuned databases and artifacts are named by their digests. A
worker that lacks one answers so, and gets the order again with it.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from mbench.build.artifact_store import ArtifactStore
from mbench.core import artifact, resources, scratch
from mbench.core.choices import NO_CHOICES, Choices
from mbench.core.errors import BuildError, UnwritableCacheError, why
from mbench.core.machine_types import Target
from mbench.core.records import Variant
from mbench.measure.observation import MeasurePlan
from mbench.networks import imported_store

NETWORK, DATABASE, ARTIFACT = "networks", "databases", "artifacts"
"""Kinds of content, called as their folders in the cache."""
Content = dict[str, bytes]
"""Files by name."""
DeliveryOutcome = Literal["done", "lacking", "failed", "elsewhere", "target", "plugin", "given up"]
"""`failed`: it would fail anywhere; `elsewhere`: another worker may succeed; `target`, `plugin`: all have it; `given
up`: nobody waits for it any more."""


class SharedFolder(msgspec.Struct, frozen=True, kw_only=True):
    """A folder that the run and its workers reach by one path, and the token by which they recognise it."""

    path: str
    token: str

    @property
    def artifacts(self) -> Path:
        """Where artifacts are kept in it."""
        return Path(self.path) / ARTIFACT


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What all orders have: whom they are for, and what they need."""

    facts: dict[str, str]
    """What the worker must have, see `worker_facts`."""
    shared: SharedFolder | None = None
    contents: dict[str, Content] = {}
    """What is sent along, by `KIND/DIGEST`."""


class BuildOrder(Order, frozen=True, kw_only=True):
    """Build one network."""

    variant: Variant
    target: Target
    choices: Choices = NO_CHOICES
    """Their databases are named by content; see `named_by_content`."""
    inputs: dict[str, str]
    """All that decides what is built, as it is here: the worker must come to the same."""
    use_cache: bool
    limit_s: float

    @property
    def needs(self) -> tuple[str, ...]:
        """What the worker must have, by `KIND/DIGEST`."""
        network = [f"{NETWORK}/{imported_store.content(self.variant)}"] if self.variant.imported else []
        kept = {choice.database for choice in self.choices.kernels.values() if choice.database}
        return (*network, *sorted(f"{DATABASE}/{name}" for name in kept))


class CountOrder(Order, frozen=True, kw_only=True):
    """Count one run of an artifact in emulation."""

    digest: str
    """Of the artifact."""
    target: Target
    plan: MeasurePlan
    timeout_s: float
    emulator: str
    """What must execute it: program, version, processor."""

    @property
    def needs(self) -> tuple[str, ...]:
        """What the worker must have, by `KIND/DIGEST`."""
        return () if self.shared else (f"{ARTIFACT}/{self.digest}",)


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker answers."""

    worker: str
    outcome: DeliveryOutcome = "done"
    answer: Any = None
    """What was counted, or whether an artifact came from the worker's cache."""
    files: Content | None = None
    """Of an artifact; None where it lies in a shared folder."""
    lacking: tuple[str, ...] = ()
    reason: str = ""
    detail: str = ""


# ------------------------------------------------------------------------------------------------------------ contents
def packed(folder: Path, names: Iterable[str]) -> Content:
    """Return the files of a folder.

    Raises:
        BuildError: one cannot be read.
    """
    try:
        return {name: (folder / name).read_bytes() for name in names}
    except OSError as error:
        raise BuildError(f"{folder}: cannot be sent to a worker: {why(error)}") from error


def content_of(needed: str, databases: Mapping[str, Path], artifacts: Path) -> Content:
    """Return what an order needs, as it lies here.

    Args:
        needed: `KIND/DIGEST`.
        databases: the folders of tuned databases, by the names that `named_by_content` gave them.
        artifacts: the folder of artifacts here.

    Raises:
        BuildError: it cannot be read.
    """
    kind, _, digest = needed.partition("/")
    if kind == NETWORK:
        return packed(imported_store.folder() / digest, imported_store.FILES)
    if kind == ARTIFACT:
        return packed(artifacts / digest, artifact.FILES)
    return packed(databases[digest], sorted(file.name for file in databases[digest].glob("*.json")))


def place_of(needed: str) -> Path:
    """Return where a worker keeps what an order needs."""
    return resources.cache_dir() / needed


def unpack(contents: Mapping[str, Content]) -> None:
    """Keep on a worker what was sent along, each whole or not at all; what is there already stays.

    Raises:
        UnwritableCacheError: it cannot be written.
    """
    for needed, files in contents.items():
        place = place_of(needed)
        if place.exists():
            continue
        try:
            with scratch.folder(place.parent) as work:
                for name, data in files.items():
                    (work / Path(name).name).write_bytes(data)
                with contextlib.suppress(FileExistsError):
                    work.rename(place)
        except OSError as error:
            if not place.exists():  # else another process was first
                raise UnwritableCacheError(
                    f"{place.parent}: what was sent along cannot be written: {why(error)}; free space there"
                ) from error


def lacking(needs: Iterable[str]) -> tuple[str, ...]:
    """Return what a worker does not have; what was damaged there is removed."""
    found = []
    for each in needs:
        kind, _, digest = each.partition("/")
        if kind == NETWORK and place_of(each).exists() and not imported_store.is_sound(digest):
            shutil.rmtree(place_of(each), ignore_errors=True)
        sound = ArtifactStore.of_user().sound(digest) is not None if kind == ARTIFACT else place_of(each).exists()
        found += [] if sound else [each]
    return tuple(found)


# ----------------------------------------------------------------------------------------------------- tuned databases
def named_by_content(choices: Choices) -> tuple[Choices, dict[str, Path]]:
    """Return choices whose databases are named by what is in them, and the folders by these names.

    The names sort as the folders do, since the digest of choices depends on their order.
    """
    folders = sorted({choice.database for choice in choices.kernels.values() if choice.database})
    names = {folder: f"{place:03}-{_digest(Path(folder))}" for place, folder in enumerate(folders)}
    return _with_databases(choices, names), {name: Path(folder) for folder, name in names.items()}


def with_local_databases(choices: Choices) -> Choices:
    """Return choices as a worker reads them: with the folders in its own cache."""
    names = {choice.database for choice in choices.kernels.values() if choice.database}
    return _with_databases(choices, {name: str(place_of(f"{DATABASE}/{name}")) for name in names})


def _with_databases(choices: Choices, places: Mapping[str, str]) -> Choices:
    replace = msgspec.structs.replace
    kernels = {
        name: replace(choice, database=places[choice.database]) if choice.database else choice
        for name, choice in choices.kernels.items()
    }
    return replace(choices, kernels=kernels)


def _digest(folder: Path) -> str:
    hashed = hashlib.sha256()
    for file in sorted(folder.glob("*.json")):
        hashed.update(file.name.encode() + b"\0" + file.read_bytes())
    return hashed.hexdigest()[:32]
