"""What a run and the tuning may be asked for: typed options with ranges and defaults, for Python and the command line.

What is written here is checked when an option set is made. What depends on the target or on this machine is checked in
`mbench.pipeline.options`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import msgspec.inspect
from msgspec import Meta

from mbench.core.choices import Prefer
from mbench.core.errors import UsageError, shown
from mbench.core.field_types import MOST_REPEAT, Batch, Patience, Threads
from mbench.core.sessions import Sessions

FEWEST_SAMPLES = 3
AskedRepeat = Annotated[int, Meta(ge=FEWEST_SAMPLES, le=MOST_REPEAT)]
Batches = Annotated[tuple[Batch, ...], Meta(min_length=1, max_length=1000)]

FLAGS = {
    "target_dirs": "--targets", "use_cache": "--no-cache", "use_tuned": "--no-tuned", "timeout_s": "--timeout",
    "build_timeout_s": "--build-timeout", "thresholds": "--threshold", "sensitivities": "--sensitivity",
    "allowed": "--allow-different", "labels": "--label", "wait_quiet_s": "--wait-quiet", "sustain_s": "--sustain",
    "input_shapes": "--input-shape", "inputs": "--input", "activation_type": "--activations",
    "max_latency_s": "--max-latency", "max_memory_bytes": "--max-memory", "max_weight_bytes": "--max-weights",
    "max_energy_j": "--max-energy", "time_s": "--time",
}  # fmt: skip
"""Options of the command line that are not called as the field is."""


def flag(field: str) -> str:
    """Return what the command line calls an option: `--build-timeout` for `build_timeout_s`."""
    return FLAGS.get(field, f"--{field.replace('_', '-')}")


class CheckedOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Base: values are checked against the fields' types when a set of options is made; paths may be given as text."""

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            UsageError: a value is not of its field's type, or out of its range.
        """
        for field in msgspec.structs.fields(type(self)):
            value = getattr(self, field.name)
            try:
                checked = msgspec.convert(value, field.type, dec_hook=_converted)
            except msgspec.ValidationError as error:
                raise UsageError(f"{flag(field.name)} {_refusal(field.type, value, error)}") from error
            msgspec.structs.force_setattr(self, field.name, checked)


def _converted(kind: type, value: object) -> Any:
    if kind is Path and isinstance(value, str | os.PathLike):
        return Path(value)
    raise TypeError(f"Expected a path, got {type(value).__name__}")


def _refusal(kind: Any, value: object, error: msgspec.ValidationError) -> str:
    """Return what is wrong with a value, and what the field takes."""
    given = shown(list(value) if isinstance(value, tuple) else value)
    said = str(error).partition(" - at ")[0].replace("`", "")
    if not any(sign in said for sign in ("<", ">")):
        return f"{given} cannot be; {said[:1].lower()}{said[1:]}"
    return f"{given} is out of range; expected {_range(msgspec.inspect.type_info(kind)) or said}"


def _range(info: msgspec.inspect.Type) -> str | None:
    """Return the range of the first number in a type: `1 to 1024`."""
    inside = info.types if isinstance(info, msgspec.inspect.UnionType) else (info,)
    for part in inside:
        number = part.type if isinstance(part, msgspec.inspect.Metadata) else part
        if isinstance(number, msgspec.inspect.IntType):
            return f"{number.ge if number.gt is None else number.gt + 1} to {number.le}"
        if isinstance(number, msgspec.inspect.FloatType):
            return f"more than {number.gt:g}, up to {number.le:g}"
    return None


class SharedOptions(CheckedOptions, frozen=True, kw_only=True):
    """What a run and the tuning have in common."""

    device: str | None = None
    """Where to run: `local`, `emulated`, `rpc://HOST:PORT`, a farm's `FILE.toml` (docs/farm.md), or a name given by
    `mbench device add`; None: this machine if it can execute the target's code, else emulation."""
    threads: Threads | None = None
    """None: one for each core, within the processor quota."""
    dtype: str | None = None
    """Of weights and values: `float32`, `int8`, `bfloat16` on newer x86, `float16` on GPUs and newer Arm; of a run
    several, as `float32,int8`: then the record has each network in each. None: what a name or a file says, or
    float32."""
    target_dirs: tuple[Path, ...] = ()
    """More folders of target folders."""
    build_timeout_s: Patience = 600.0
    """Seconds after which the build of a network, or of a kernel, is given up; the import of a file, too."""
    input_shapes: tuple[str, ...] = ()
    """Shapes of the inputs of a file or a function, where one is open, as `NAME=1,3,224,224`."""
    inputs: Path | None = None
    """An .npz with inputs by name, which a file or a function is checked on; the others are drawn."""


class RunOptions(SharedOptions, frozen=True, kw_only=True):
    """How to run networks. Times are in seconds.

    Example:
        `RunOptions(threads=1, repeat=30, output="results")`
    """

    batch: Batch | Batches | None = None
    """Images that one run takes, or several sizes: then the record has each network at each size. None: 1, or what a
    file has."""
    standard: bool = False
    """Also run the standard twin of each network that has a depthwise convolution."""
    output: Path = Path("mbench-results")
    """The folder for the record; it is made if it is not there."""
    sessions: Sessions | None = None
    """Fresh processes that measure each network, in turn with the other networks; None: 5, or 1 with `quick`."""
    quick: bool = False
    """One session a network: sooner done, and nothing is known of how far processes lie apart."""
    wait_quiet_s: Patience | None = None
    """Seconds to wait, at most, for a quiet and cool machine before measuring; None: not at all."""
    repeat: AskedRepeat | None = None
    """End-to-end samples of each session; None: 8 to 100, spread over 0.4 s."""
    timeout_s: Patience = 600.0
    """Seconds of silence after which a network is given up."""
    sustain_s: Patience | None = None
    """For how long each network then runs without a pause, in one more process, so that a device that grows hot shows
    it; up to a day. None: it does not."""
    compile_only: bool = False
    """Build, and record what is known without running."""
    counts: bool = False
    """Also count instructions exactly, in emulation."""
    keep_artifacts: bool = False
    """Keep what was compiled beside the record, for a paired gate."""
    use_cache: bool = True
    """Whether builds and calibrations of before may be used."""
    prefer: Prefer = None
    """Which kernels are taken that are quicker and have more weights, such as Winograd's: all of them (`latency`), none
    (`memory`), or, by default, as many as keep all weights below twice the network's parameters."""
    calibration: Path | None = None
    """For `int8`: an .npz of images by input, or a folder of pictures, that the ranges of values are seen on; None:
    drawn images."""
    percentile: Annotated[float, Meta(gt=50, le=100)] = 100.0
    """For `int8`: the range of a value leaves out the largest and the smallest (100 - percentile) % of its numbers."""
    keep_float: tuple[str, ...] = ()
    """For `int8`: patterns of names of layers that stay float, such as `classifier*`."""
    weight_bits: Literal[7, 8] = 8
    """For `int8`: 7 halves the steps of weights, and is quicker where a processor has no dot product of bytes."""
    activation_type: Literal["uint8", "int8"] = "uint8"
    """For `int8`: the type of activations."""
    evaluate: Path | None = None
    """For `int8`, of the user's own network: an .npz of images and `labels`, or a folder of pictures for each class, on
    which top-1 of float32 and int8 is counted."""
    preprocessing: Literal["torchvision", "tensorflow", "unit"] | None = None
    """What becomes of pictures, 0 to 255: without mean and deviation of ImageNet's, -1 to 1, or 0 to 1; None: the
    first."""
    use_tuned: bool = True
    """Whether kernels are made by tuned choices where there are some; else all are made by rule."""
    labels: tuple[str, ...] = ()
    """What the record is to say of the run, as `KEY=VALUE`: a commit, a branch; a CI's own variables are read too."""

    @property
    def batches(self) -> tuple[int, ...]:
        """The batch sizes, each once."""
        if self.batch is None:
            return (1,)
        return (self.batch,) if isinstance(self.batch, int) else tuple(dict.fromkeys(self.batch))


class TuneOptions(SharedOptions, frozen=True, kw_only=True):
    """How to tune the kernels of networks. Times are in seconds."""

    tries: Annotated[int, Meta(ge=1, le=1000)] = 12
    """Tiles that are tried of each rule."""
    again: bool = False
    """Whether what this version has tuned already is tuned once more."""
    deep: bool = False
    """Whether TVM's MetaSchedule searches too: minutes a kernel."""
    trials: Annotated[int, Meta(ge=1, le=100_000)] | None = None
    """Schedules of each kernel that MetaSchedule tries; goes with `deep`; None: 64."""
    timeout_s: Patience = 60.0
    """Seconds after which a candidate is given up."""
