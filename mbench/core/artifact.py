"""An artifact: a compiled network as a plain folder that can be copied, cached, and measured anywhere.

    artifact.json   what it is: digest, variant, target, kernels, layers, memory plan, and a hash of each other file
    model.so        the library: code, the VM's program, and the weights
    reference.npz   the inputs (`input`, `input1`, …) and the reference's own outputs for them (`output`, `output1`, …)

Reading and writing only: neither tvm nor torch is needed. `mbench.build.build` makes them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import hashlib
import os
import shutil
import stat
import sys
from pathlib import Path
from typing import Annotated, Any

import msgspec

from mbench.core import names, record_migrations, record_rules, regular_files, scratch, strict_json
from mbench.core.errors import BuildError, OutputError, why
from mbench.core.field_types import (
    MOST_LAYERS,
    Amount,
    Bytes,
    BytesTable,
    Count,
    Dimension,
    Name,
    Op,
    Seconds,
    Shape,
    Sides,
    Text,
    Texts,
    TextTable,
)
from mbench.core.quantized import QuantizationOutcome
from mbench.core.records import Variant
from mbench.core.replacement import Replacement

MANIFEST = "artifact.json"
LIBRARY = "model.so"
REFERENCE = "reference.npz"
PYTORCH = "PyTorch eager on the same input, BatchNorm not folded"
"""What computed the reference of a built-in network."""
FILES = (MANIFEST, LIBRARY, REFERENCE)
"""All that an artifact's folder holds; what else lies there is not mbench's."""
ENTRY = "main"
GRAPH_ENTRY = "main_graph"
"""On NVIDIA GPUs: the same network, its kernels in a CUDA graph and launched at once. `ENTRY` launches them one by one,
to time each."""
CALIBRATION_ENTRY = "instrument_calibration"
CALIBRATION_GRAPH_ENTRY = "instrument_calibration_graph"
"""The two again for a chain of kernels that do next to nothing, which shows what the instrument costs."""
_MOST_BYTES = 256 * 2**20
"""Of a manifest."""
BESIDE = ".artifacts"
"""How folders end that lie beside a record."""
CALIBRATION_CALLS = 32
CALIBRATION_ELEMENTS = 16


class LayerPlan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One layer as compiled: its shapes (of images NCHW), costs, and its kernels. Bytes are of one inference."""

    name: Name
    block: Name | None = None
    role: Text = "other"
    inputs: Annotated[tuple[Name, ...], msgspec.Meta(max_length=MOST_LAYERS)] = ()
    """See `records.Layer`."""
    source_names: Texts = ()
    op: Op
    operations: Texts = ()
    contains: Texts = ()
    kernels: Texts
    input_shape: Shape
    output_shape: Shape
    kernel_size: Sides | None
    stride: Sides | None
    groups: Dimension | None
    macs: Count
    params: Count
    weight_bytes: Bytes
    activation_bytes: Bytes
    workspace_bytes: Bytes
    parallel_loops: Count | None = None
    """That one run executes; None in artifacts of earlier versions."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything about an artifact but its bulk."""

    digest: Text
    inputs: TextTable
    """What went into the digest, by name."""
    network_digest: Text | None = None
    """Of the network, whatever its kernels are fused of; see `core.network_digest`. None in artifacts of 0.1.0."""
    variant: Variant
    target: Text
    compile_s: Seconds
    schedules: TextTable
    rules: TextTable = {}
    """The rule of each kernel that one took; `schedules` adds how, for people."""
    fallbacks: TextTable
    narrow: BytesTable
    """Kernels that use less than half of each vector register, with the lanes in use."""
    ignored: TextTable = {}
    """Kernels whose tuned choice was not followed, with the reason."""
    limited: TextTable = {}
    """Kernels that are made another way to keep weights within their limit, with how they would be made without it."""
    calls: tuple[tuple[Text, Count], ...]
    """(kernel, index of its layer) in order of execution."""
    layers: Annotated[tuple[LayerPlan, ...], msgspec.Meta(min_length=1, max_length=MOST_LAYERS)]
    replaced: Annotated[tuple[Replacement, ...], msgspec.Meta(max_length=MOST_LAYERS)] = ()
    """See `records.Result`."""
    weight_bytes: Bytes
    activation_peak_bytes: Bytes
    workspace_bytes: Bytes
    input_names: Texts = ()
    """Of the network's inputs, in its order; empty in artifacts of earlier versions."""
    output_names: Texts = ()
    reference: Text = PYTORCH
    """What computed the expected outputs, for people."""
    reference_dtype: Text = "float32"
    """The type that it computed in."""
    reference_resolution: Amount = 0.0
    """What it does not distinguish where outputs are nearly 0, in their unit."""
    tolerance: Amount | None = None
    """Largest error over the largest magnitude of the reference; 0 where all that is computed is whole numbers, and
    None where it is that of the type."""
    quantized: QuantizationOutcome | None = None
    """See `records.Result`."""
    files: TextTable
    """SHA-256 by file name."""


@dataclasses.dataclass(frozen=True)
class Artifact:
    """A manifest and the folder that it lies in."""

    folder: Path
    manifest: Manifest

    @property
    def library(self) -> Path:
        """The shared library."""
        return self.folder / LIBRARY

    @property
    def reference(self) -> Path:
        """Inputs and expected outputs; see `program.entries`."""
        return self.folder / REFERENCE

    @property
    def library_bytes(self) -> int:
        """Size of the library, weights included."""
        return self.library.stat().st_size


def load(folder: Path) -> Artifact:
    """Read an artifact and check every file against its hash.

    Raises:
        BuildError: it is missing, unreadable, or was changed since it was written.
    """
    try:
        manifest, seal = _manifest(folder / MANIFEST)
        if manifest.files.keys() != set(FILES):
            raise BuildError(f"artifact {folder}: {MANIFEST} does not list its files; it was damaged")
        for name, expected in manifest.files.items():
            found = seal if name == MANIFEST else _sha256(folder / name)
            if found != expected:
                raise BuildError(
                    f"artifact {folder}: {name} has hash {found[:12]}, expected {expected[:12]}; it was damaged"
                )
    except (strict_json.NotJsonError, strict_json.MisfitError) as error:
        raise BuildError(f"artifact {folder}: cannot be read: {MANIFEST}: {why(error)}") from error
    except OSError as error:
        name = f"{Path(error.filename).name}: " if isinstance(error.filename, str) else ""
        raise BuildError(f"artifact {folder}: cannot be read: {name}{why(error)}") from error
    return Artifact(folder, manifest)


def _manifest(file: Path) -> tuple[Manifest, str]:
    """Return what a manifest's file says, also one of an earlier version, and the hash of what it says.

    Raises:
        OSError: it cannot be read.
        NotJsonError: it is no JSON.
        MisfitError: it is no manifest.
    """
    data = regular_files.read(file, most_bytes=_MOST_BYTES)
    document = _sharing_strings(strict_json.decode(data, dict[str, Any]))
    manifest = _converted(document)
    strict_json.refuse_repeated_keys(data)
    broken = next(record_rules.of_layers(manifest.layers, "$.layers"), None)
    if broken:
        raise strict_json.MisfitError(broken)
    beyond = next((index for _, index in manifest.calls if index >= len(manifest.layers)), None)
    if beyond is not None:
        raise strict_json.MisfitError(f"a call is of layer {beyond}, of {len(manifest.layers)} - at `$.calls`")
    return manifest, _seal(document)


def _sharing_strings(value: Any) -> Any:
    """Return a document in which equal strings are one: thousands of manifests may be held at once."""
    if isinstance(value, str):
        return sys.intern(value)
    if isinstance(value, dict):
        return {name: _sharing_strings(each) for name, each in value.items()}
    return [_sharing_strings(each) for each in value] if isinstance(value, list) else value


def _converted(document: dict[str, Any]) -> Manifest:
    """Return a manifest from its document; an earlier version described networks as records of version 1 did.

    Raises:
        MisfitError: it is no manifest.
    """
    variant = document.get("variant")
    if isinstance(variant, dict) and "parameters" not in variant:
        document = {
            **document,
            "variant": record_migrations.network_of_version_1(variant),
            "layers": record_migrations.layers_of_version_1(document.get("layers")),
            "rules": record_migrations.rules_of_version_1(document),
        }
    return strict_json.converted(document, Manifest)


def store(manifest: Manifest, files: Path, folder: Path) -> Artifact:
    """Move the files of a finished build into `folder`, whole or not at all; an artifact that is there already stays.

    Args:
        manifest: without hashes; they are added here.
        files: a scratch folder on the same file system with the library and the reference.
        folder: where the artifact shall lie.
    """
    hashes = {name: _sha256(files / name) for name in (LIBRARY, REFERENCE)}
    whole = msgspec.structs.replace(manifest, files=hashes)
    whole = msgspec.structs.replace(whole, files={**hashes, MANIFEST: _seal(msgspec.to_builtins(whole))})
    (files / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(whole)))
    try:
        files.rename(folder)
    except OSError:  # another process was first, or a damaged one lies there
        try:
            return load(folder)
        except BuildError:
            _put(files, folder)
    return Artifact(folder, whole)


def beside(record: Path) -> Path:
    """Return the folder where `mbench run --keep-artifacts` keeps the artifacts of a record file."""
    return record.with_name(record.name.removesuffix(".json") + BESIDE)


def is_folder(folder: Path) -> bool:
    """Return whether a folder is there; not where its name is too long to be one."""
    return os.path.isdir(folder)  # noqa: PTH112 - which raises nothing


def place(record: Path, variant: str) -> Path:
    """Return the folder where the artifact of one network of a record file is kept."""
    return beside(record) / names.component(variant)


def keep(kept: Artifact, folder: Path) -> None:
    """Copy an artifact to a folder, whole or not at all; an artifact that lies there gives way.

    Raises:
        OutputError: it could not be written, or something else lies there.
    """
    try:
        with scratch.folder(folder.parent) as work:
            copied(kept, work)
            _put(work, folder)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written: {why(error)}; choose another --output") from error


def copied(kept: Artifact, folder: Path) -> Path:
    """Copy the files of an artifact into a folder, and return it; nothing else of the artifact's folder is copied."""
    for name in FILES:
        shutil.copyfile(kept.folder / name, folder / name)
    return folder


def _put(work: Path, folder: Path) -> None:
    """Move a folder to its place; what lies there gives way, also what another process puts there meanwhile."""
    while True:
        discard(folder)
        try:
            work.rename(folder)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        else:
            return


def discard(folder: Path) -> None:
    """Remove the folder of an artifact, first by moving it aside so that nobody meets it half gone.

    Raises:
        OutputError: it holds something that is no artifact's, and nothing of it was removed.
    """
    alien = foreign(folder)
    if alien is not None:
        raise OutputError(f"{alien} is not mbench's, and is not removed; move it away")
    if folder.exists():
        with contextlib.suppress(FileNotFoundError), scratch.folder(folder.parent) as aside:  # another was first
            folder.rename(aside / folder.name)


def foreign(folder: Path) -> Path | None:
    """Return what lies at or in a folder and is no artifact's; None where an artifact's files alone do, or nothing."""
    try:
        if not stat.S_ISDIR(folder.lstat().st_mode):
            return folder
    except OSError:  # it is not there, or no folder can be called so
        return None
    try:
        with os.scandir(folder) as inside:  # which knows what each entry is, also if another process removes it now
            others = [each.name for each in inside if each.name not in FILES or not each.is_file(follow_symlinks=False)]
    except FileNotFoundError:
        return None
    return folder / min(others) if others else None


def recognised(folder: Path) -> bool:
    """Return whether a folder is an artifact that mbench kept there, by its own manifest, and nothing else."""
    if foreign(folder) is not None:
        return False
    try:
        manifest, _ = _manifest(folder / MANIFEST)
    except (OSError, strict_json.NotJsonError, strict_json.MisfitError):
        return False
    return manifest.files.keys() == set(FILES) and folder.name == names.component(manifest.variant.name)


def _seal(document: dict[str, Any]) -> str:
    """Return the hash of a manifest's document as it was written, but for the place where the hash itself stands."""
    files = {name: value for name, value in document["files"].items() if name != MANIFEST}
    return hashlib.sha256(msgspec.json.encode({**document, "files": files})).hexdigest()


def _sha256(path: Path) -> str:
    with regular_files.opened(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
