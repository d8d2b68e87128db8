"""What there is to measure, and where: networks, hardware targets, this machine, boards with names.

The work behind `mbench variants`, `targets`, `doctor`, `schema` and `device`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, NamedTuple

from mbench.analysis.frame import AnyPath, each_path
from mbench.core import fit_files, record_files
from mbench.core.errors import UsageError, shown
from mbench.core.machine_types import Target
from mbench.core.progress import Note, unheard
from mbench.devices import doctor as examination
from mbench.devices import package, registry
from mbench.devices.doctor import Check
from mbench.devices.package import Package
from mbench.devices.registry import NamedDevice
from mbench.hardware import targets as known_targets
from mbench.networks import architectures, costs, given
from mbench.networks import published_counts as published
from mbench.networks import variants as networks
from mbench.networks.costs import Costs
from mbench.networks.given import AnyNetwork, GivenNetworks, HowToImport
from mbench.networks.layers import LayerSpec
from mbench.networks.published_counts import ComparedNetwork
from mbench.pipeline import runner


class PlannedLayer(NamedTuple):
    """A layer of a network, from shapes alone."""

    spec: LayerSpec
    costs: Costs


def variants(*patterns: str) -> tuple[str, ...]:
    """Return the names of networks that patterns stand for; without any, those of the catalog.

    Args:
        patterns: names, or grids such as `mobilenet_v1_{0.25,0.5}_{128,224}`.

    Raises:
        UsageError: a name is not a network's, or a brace is not closed.
    """
    wrong = next((each for each in patterns if not isinstance(each, str)), None)
    if wrong is not None:
        raise UsageError(f"got {shown(wrong)}; expected names, as in variants('mobilenet_v1_0.25_128', …)")
    return networks.expand(patterns or networks.catalog())


def published_counts(*patterns: str) -> tuple[ComparedNetwork, ...]:
    """Return multiply-adds and parameters as they are published, beside mbench's own; without names, all there are.

    Args:
        patterns: names, or grids such as `mobilenet_v1_{0.25,0.5}_{128,224}`.

    Raises:
        UsageError: a name is not a network's, or no count of it is published.
    """
    return published.compared(variants(*patterns) if patterns else ())


def layers(network: AnyNetwork) -> tuple[PlannedLayer, ...]:
    """Return the layers of a network in float32, at batch 1 or a file's own: shapes, multiply-adds, weights, bytes.

    Args:
        network: a name, a file, a function, or a `Network`; see `run`.

    Raises:
        UsageError: the name is not a network's, or a file cannot be imported.
    """
    found = GivenNetworks(given.each(network), HowToImport()).variants()
    if len(found) != 1:
        raise UsageError(f"{network} are {len(found)} networks; expected one")
    return tuple(PlannedLayer(spec, costs.of_layer(spec)) for spec in architectures.layers(found[0]))


def targets(*, target_dirs: AnyPath | Iterable[AnyPath] = ()) -> dict[str, Target]:
    """Return every hardware target that has a description, by name.

    Args:
        target_dirs: more folders of target folders.

    Raises:
        TargetError: a description is wrong, or two share a name.
    """
    return known_targets.load_all(each_path(target_dirs))


def target(name: str, *, target_dirs: AnyPath | Iterable[AnyPath] = ()) -> Target:
    """Return one hardware target; `host` and `cuda` are what this machine has.

    Raises:
        TargetError: it is not known, or its description is wrong.
    """
    return runner.resolve_target(name, each_path(target_dirs))


def doctor() -> tuple[Check, ...]:
    """Return what this machine can run and measure, what is missing, and whether it is quiet enough for timing."""
    return tuple(examination.checks())


def schema(kind: Literal["record", "fit"] = "record") -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a record, or of a file of `mbench fit`.

    Raises:
        UsageError: there is no such kind of file.
    """
    schemas = {"record": record_files.json_schema, "fit": fit_files.json_schema}
    if kind not in schemas:
        raise UsageError(f"kind is {shown(kind)}; expected 'record' or 'fit'")
    return schemas[kind]()


def named_devices() -> dict[str, NamedDevice]:
    """Return the devices that have names, sorted by name. None is contacted.

    Raises:
        UsageError: the file of named devices cannot be read, or is wrong.
    """
    return registry.devices()


def add_device(name: str, device: NamedDevice, *, replace: bool = False) -> None:
    """Give a device a name, for `RunOptions(device=name)`. It is not contacted.

    Args:
        name: letters, digits, - and _.
        device: how it is reached.
        replace: forget a device of that name.

    Raises:
        UsageError: the name or the address cannot be, or the name is taken.
        OutputError: the file of named devices could not be written.
    """
    registry.add(name, device, replace=replace)


def remove_device(name: str) -> None:
    """Forget a device.

    Raises:
        UsageError: it is not known.
        OutputError: the file of named devices could not be written.
    """
    registry.remove(name)


def pack_server(board: Target, folder: Path | None = None, *, note: Note = unheard) -> Package:
    """Write a folder with all that a board needs to measure: a server, TVM's runtime, and a script that starts it.

    Args:
        board: what the board is; see `target`.
        folder: to be made; by default `mbench-server-ARCHITECTURE` here.
        note: called with a line about what takes long.

    Raises:
        UsageError: nothing is served for such a target, the folder holds something else, or a compiler is missing.
        OutputError: the folder could not be written.
    """
    return package.pack(board, package.default_folder(board) if folder is None else Path(folder), note)
