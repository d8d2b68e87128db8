"""Tuned choices: what `mbench tune` found quicker than the rules, kernel by kernel, in a file that people can read.

A target may bring a file (`targets/NAME/tuned/rules.toml`); what was tuned on this machine lies in the user's own
folder and goes before it. Reading, writing and picking only: neither tvm nor torch is needed.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from mbench.core import atomic_files, names, regular_files, resources, toml_files
from mbench.core.choices import METASCHEDULE, Choice, Choices
from mbench.core.errors import OutputError, RecordError
from mbench.core.field_types import MOST_THREADS
from mbench.core.machine_types import Host, Target
from mbench.core.toml_files import Source
from mbench.hardware import platforms, targets

_SHIPPED = Path("tuned") / "rules.toml"
_HEAD = """\
# How kernels are made for this target where a measurement found something quicker than the rules' own choice.
# Written by 'mbench tune', read by 'mbench run'. `default` is what the rules chose; where nothing was quicker, the
# entry repeats it, and the rules are asked. They are also asked where the choice was not quicker `in_place`: in the
# networks, in at least three quarters of the processes that timed them (`high_ratio` below 1).
"""

ChosenParameters = dict[str, Annotated[int, Meta(ge=0, lt=2**31)]]
ChoiceText = Annotated[str, Meta(min_length=1, max_length=300)]
TunedThreads = Annotated[int, Meta(ge=1, le=MOST_THREADS)]
MeasuredSeconds = Annotated[float, Meta(ge=0, le=1e6)]


class _ChoiceStruct(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Base: immutable, and an unknown field is an error."""


class TimedChoice(_ChoiceStruct, frozen=True, kw_only=True):
    """A way to make a kernel, and the seconds that it took."""

    rule: ChoiceText
    parameters: ChosenParameters
    seconds: MeasuredSeconds


class MadeWith(_ChoiceStruct, frozen=True, kw_only=True):
    """What measured an entry, and when."""

    mbench: str
    tvm: str
    date: str
    others_busy: Annotated[float, Meta(ge=0)] = 0.0
    """Processors that other processes kept busy meanwhile; with more than a little, the times mean less."""


class InPlace(_ChoiceStruct, frozen=True, kw_only=True):
    """How the layers that a kernel serves did in their networks, made by rule and as tuned, in turns."""

    layers: Annotated[int, Meta(ge=1, lt=2**31)]
    """How many they are, over all the networks that were timed."""
    default_seconds: MeasuredSeconds
    """Of all of them, by rule; 0 where they are too short for the runtime's instrument, and then no choice wins."""
    seconds: MeasuredSeconds
    """Of all of them, as tuned."""
    high_ratio: Annotated[float, Meta(gt=0)]
    """The upper quartile over processes of tuned / by rule."""
    mcpu: ChoiceText
    """LLVM's name for the processor that ran them."""
    made_with: MadeWith


class TunedKernel(_ChoiceStruct, frozen=True, kw_only=True):
    """One kernel at one number of threads. Its seconds are of one call, alone in a loop."""

    kernel: ChoiceText
    """Its signature: shapes, stride, padding."""
    threads: TunedThreads
    rule: ChoiceText
    parameters: ChosenParameters
    seconds: MeasuredSeconds
    error: Annotated[float, Meta(ge=0)] | None = None
    """Largest difference from the kernel as TVM made it, as a share of the largest element; null for the rules' own."""
    default: TimedChoice
    """What the rules choose, timed in turns with the choice."""
    made_with: MadeWith
    trials: Annotated[int, Meta(ge=0, lt=2**31)] = 0
    """Candidates that MetaSchedule tried."""
    in_place: InPlace | None = None
    """Null where it was not timed there."""

    @property
    def key(self) -> tuple[str, int]:
        """What there is one entry of."""
        return self.kernel, self.threads

    @property
    def differs(self) -> bool:
        """Whether it is another choice than the rules'."""
        return (self.rule, self.parameters) != (self.default.rule, self.default.parameters)

    @property
    def wins(self) -> bool:
        """Whether to follow the choice: it differs from the rules' own, and is quicker in the network (if timed)."""
        return self.differs and (self.in_place is None or self.in_place.high_ratio < 1)


class TimedNetwork(_ChoiceStruct, frozen=True, kw_only=True):
    """A whole network at one number of threads, made by rule and as tuned, in turns."""

    variant: ChoiceText
    threads: TunedThreads
    default_seconds: MeasuredSeconds
    """By rule."""
    seconds: MeasuredSeconds
    """As tuned."""
    mcpu: ChoiceText
    """LLVM's name for the processor that ran it."""
    made_with: MadeWith
    content: ChoiceText = ""
    """SHA-256 of what was imported, of a user's own network: others may have its name."""

    @property
    def key(self) -> tuple[str, str, int]:
        """What there is one of."""
        return self.variant, self.content, self.threads


class File(_ChoiceStruct, frozen=True, kw_only=True):
    """A file of tuned choices."""

    format_version: Literal[1]
    target: ChoiceText
    cpu: ChoiceText
    """The processor, or the GPU, that they were measured on."""
    mcpu: ChoiceText
    """LLVM's name for it, or the GPU's architecture."""
    kernels: tuple[TunedKernel, ...] = ()
    networks: tuple[TimedNetwork, ...] = ()

    def find(self, kernel: str, threads: int) -> TunedKernel | None:
        """Return the entry of a kernel at a number of threads."""
        return next((entry for entry in self.kernels if entry.key == (kernel, threads)), None)

    def with_entry(self, entry: TunedKernel) -> File:
        """Return the file with an entry added, or replaced where it has one of the same kernel and threads."""
        kept = [other for other in self.kernels if other.key != entry.key]
        return msgspec.structs.replace(self, kernels=tuple(sorted([*kept, entry], key=lambda one: one.key)))

    def with_network(self, network: TimedNetwork) -> File:
        """Return the file with a network added, or replaced where it has the same one at as many threads."""
        kept = [other for other in self.networks if other.key != network.key]
        return msgspec.structs.replace(self, networks=tuple(sorted([*kept, network], key=lambda one: one.key)))

    def without_networks(self, variants: Collection[str], threads: int) -> File:
        """Return the file without some networks at a number of threads."""
        kept = tuple(one for one in self.networks if one.variant not in variants or one.threads != threads)
        return msgspec.structs.replace(self, networks=kept)


# ------------------------------------------------------------------------------------------------- reading and writing
def read(path: Path) -> File:
    """Read and validate a file.

    Raises:
        RecordError: it cannot be read, is not TOML, is of another version, or breaks the format.
    """
    source = Source(path, RecordError, "correct it, remove it, or leave it out with --no-tuned")
    found = toml_files.read(source, File)
    for kind, entries in (("kernel", found.kernels), ("network", found.networks)):
        keys = Counter(entry.key for entry in entries)
        twice = next((key for key, count in keys.items() if count > 1), None)
        if twice:
            raise source.refuse(f"{kind} {twice[0]!r} at {twice[-1]} threads is there twice")
    return found


def write(path: Path, file: File) -> None:
    """Write a file whole or not at all.

    Raises:
        OutputError: it could not be written. The old content, if any, is untouched.
    """
    try:
        atomic_files.write_atomically(path, encode(file).encode())
    except OutputError as error:
        why = getattr(error.__cause__, "strerror", None) or error
        raise OutputError(
            f"{path}: cannot be written: {why}; choose another folder with the environment variable MBENCH_TUNED_DIR"
        ) from error


def encode(file: File) -> str:
    """Return a file as TOML: one line a field, in a stable order."""
    head = {"format_version": file.format_version, "target": file.target, "cpu": file.cpu, "mcpu": file.mcpu}
    kernels = (f"[[kernels]]\n{_fields(msgspec.to_builtins(entry))}" for entry in file.kernels)
    networks = (f"[[networks]]\n{_fields(msgspec.to_builtins(network))}" for network in file.networks)
    return "\n".join([_HEAD + _fields(head), *kernels, *networks])


def _fields(table: dict[str, Any]) -> str:
    return "".join(f"{name} = {_toml(value)}\n" for name, value in table.items())


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(name)} = {_toml(item)}" for name, item in value.items()) + "}"
    if isinstance(value, float):
        return f"{value:.4g}" if set("e.") & set(f"{value:.4g}") else f"{value:.1f}"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _toml(name)


# ------------------------------------------------------------------------------------------------------------ look-up
def folder() -> Path:
    """Return the user's folder of tuned choices: `$MBENCH_TUNED_DIR`, or in the user's folder for data."""
    own = resources.user_dir("data", "MBENCH_TUNED_DIR")
    return own if os.environ.get("MBENCH_TUNED_DIR") else own / "tuned"


def processor(target: Target, host: Host) -> str:
    """Return what choices for a target are measured on here: the processor, or the GPU."""
    platform = platforms.of(target)
    if platform.on_host:
        return host.cpu
    gpu = platform.detect()
    return gpu.name if gpu else "no GPU"


def own_file(target: Target, host: Host) -> Path:
    """Return where this user's choices for a target lie, as measured on this kind of processor."""
    code = f"host-{target.tvm.get('mcpu', '')}" if target.name == "host" else target.name
    return folder() / f"{names.component(f'{code}-{_slug(processor(target, host))}')}.toml"


def database(file: Path) -> Path:
    """Return the folder of MetaSchedule's records that goes with a file."""
    return file.with_suffix(".metaschedule")


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "unknown"


def choices(target: Target, host: Host, threads: int, extra_dirs: Sequence[Path] = ()) -> Choices:
    """Return the choices for a target at a number of threads: the shipped ones, and before them the user's own.

    A board has those of its core's target as well; its own go before them.

    A kernel that was not tuned at this number of threads takes the choice for the next higher one: fewer tasks than
    threads would leave threads idle, while more do little harm.

    Raises:
        RecordError: a file of choices is not valid.
    """
    found: dict[tuple[str, int], tuple[TunedKernel, Path]] = {}
    files = {}
    own = [own_file(each, host) for each in _with_core(target, extra_dirs)]
    for name, path in (*_shipped(target, extra_dirs), *((file.name, file) for file in own)):
        if path.exists():
            content = read(path)
            files[name] = hashlib.sha256(regular_files.read(path)).hexdigest()
            found.update({entry.key: (entry, path) for entry in content.kernels})
    return Choices(kernels=_picked(found, threads), files=files)


def choices_of(file: File, path: Path, threads: int) -> Choices:
    """Return the choices of one file, which lies or will lie at `path`, at a number of threads."""
    return Choices(kernels=_picked({entry.key: (entry, path) for entry in file.kernels}, threads))


def _picked(found: Mapping[tuple[str, int], tuple[TunedKernel, Path]], threads: int) -> dict[str, Choice]:
    picked: dict[str, Choice] = {}
    for kernel in sorted({kernel for kernel, _ in found}):
        at = min((count for other, count in found if other == kernel and count >= threads), default=None)
        if at is not None and found[kernel, at][0].wins:
            picked[kernel] = _choice(*found[kernel, at])
    return picked


def _choice(entry: TunedKernel, path: Path) -> Choice:
    beside = str(database(path)) if entry.rule == METASCHEDULE else None
    return Choice(rule=entry.rule, parameters=entry.parameters, database=beside)


def _shipped(target: Target, extra_dirs: Sequence[Path]) -> Iterable[tuple[str, Path]]:
    """Yield the name and the file of what is shipped for a target.

    For `host` these are files that were measured on such a processor, for targets with the same vector registers.
    """
    files = {name: file.parent / _SHIPPED for name, file in targets.available(extra_dirs).items()}
    there = {name: file for name, file in files.items() if file.exists()}
    if target.name != "host":
        wanted = [each.name for each in _with_core(target, extra_dirs) if each.name in there]
    else:
        described = targets.load_all(extra_dirs) if there else {}
        alike = [name for name in there if _same_registers(described[name], target)]
        wanted = [name for name in alike if read(there[name]).mcpu == target.tvm.get("mcpu")]
    for name in wanted:
        yield f"{name}/{_SHIPPED.as_posix()}", there[name]


def _with_core(target: Target, extra_dirs: Sequence[Path]) -> list[Target]:
    """Return the targets whose choices hold for one: the target of its core, where it is a board, and itself."""
    core = targets.cores(extra_dirs).get(target.name)
    described = [targets.load(core, extra_dirs=extra_dirs)] if core else []
    return [*(each for each in described if _same_registers(each, target)), target]


def _same_registers(first: Target, second: Target) -> bool:
    one, other = first.processor, second.processor
    return (first.family, one.vector_bits, one.vector_registers) == (
        second.family,
        other.vector_bits,
        other.vector_registers,
    )
