"""The record of a run: frozen types, reading, writing, validation, JSON schema.

A record holds what was seen (raw samples, SI units) and what is needed to read it; everything that can be derived is
derived where it is shown. Nothing here measures, compiles, computes statistics or formats for people.

A field that could not be had is null, and the `missing` of the struct around it says why, by dotted path.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from mbench import plain, regular, scratch, strict_json, system_limits
from mbench.errors import OutputError, RecordError, shown

FORMAT_VERSION = 1

MOST_COUNT = 10**18
"""Of anything that is counted: sums of a few stay below 2^63, which is the end of a table's whole numbers."""
LEAST_MAGNITUDE, MOST_MAGNITUDE = 1e-60, 1e60
"""Of a number that is not 0: ratios and squares stay far from where floating point ends."""
MOST_S = 1e12
MOST_THREADS = 1024
MOST_BATCH = 65_536
MOST_REPEAT = 100_000
MOST_TIMEOUT_S = 86_400
MOST_VARIANTS = 10_000
MOST_LAYERS = 10_000
MOST_KEYS = 20_000
"""Of a table of kernels, reasons or figures."""
MOST_CHARACTERS = 65_536
"""Of a text; a name has its own, smaller limit."""
_MOST_SIDE = 10**9
_MOST_PARTS = 10**9
"""Of what a machine or a network has several of."""
_DATE = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|\+00:00)$"

Seconds = Annotated[float, Meta(ge=0, le=MOST_S, description="seconds")]
Joules = Annotated[float, Meta(ge=0, le=MOST_S, description="joules")]
Amount = Annotated[float, Meta(ge=0, le=MOST_MAGNITUDE)]
Number = Annotated[float, Meta(ge=-MOST_MAGNITUDE, le=MOST_MAGNITUDE)]
Count = Annotated[int, Meta(ge=0, le=MOST_COUNT)]
Bytes = Annotated[int, Meta(ge=0, le=MOST_COUNT, description="bytes")]
PositiveInt = Annotated[int, Meta(gt=0, le=_MOST_PARTS)]
Threads = Annotated[int, Meta(gt=0, le=MOST_THREADS)]
Batch = Annotated[int, Meta(gt=0, le=MOST_BATCH)]
Repeat = Annotated[int, Meta(gt=0, le=MOST_REPEAT)]
Patience = Annotated[float, Meta(gt=0, le=MOST_TIMEOUT_S, description="seconds")]
"""How long something may take."""
Name = Annotated[str, Meta(min_length=1, max_length=200)]
Text = Annotated[str, Meta(max_length=MOST_CHARACTERS)]
Texts = Annotated[tuple[Text, ...], Meta(max_length=MOST_KEYS)]
TextTable = Annotated[dict[Text, Text], Meta(max_length=MOST_KEYS)]
AmountTable = Annotated[dict[Text, Amount], Meta(max_length=MOST_KEYS)]
BytesTable = Annotated[dict[Text, Bytes], Meta(max_length=MOST_KEYS)]
Moment = Annotated[str, Meta(pattern=_DATE, description="a date and time in UTC, as ISO 8601 writes it")]
Samples = Annotated[tuple[Seconds, ...], Meta(max_length=MOST_REPEAT)]
Traffic = Annotated[dict[Text, Bytes], Meta(max_length=16)]
"""Bytes by level of the memory."""
Side = Annotated[int, Meta(gt=0, le=_MOST_SIDE)]
Shape = Annotated[tuple[Side, ...], Meta(min_length=2, max_length=8)]
Sides = Annotated[tuple[Side, ...], Meta(min_length=1, max_length=6)]
"""Of a kernel or a stride, one for each dimension that it moves in."""

Op = Literal["conv2d", "depthwise_conv2d", "pointwise_conv2d", "dense", "pool", "other"]
Family = Literal["x86", "arm", "gpu"]
LEVELS = ("L1", "L2", "L3", "DRAM")
"""Of the memory, nearest to the processor first."""


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base: immutable, and an unknown field is an error (`kw_only` is not inherited, so each type says it)."""


# ---------------------------------------------------------------------------------------------------------- hardware
class Figure(_Strict, frozen=True, kw_only=True):
    """A figure of a target's description: its value in SI units, and where it is from or how it was guessed."""

    value: Amount
    source: Text | None = None
    estimate: Text | None = None

    def __post_init__(self) -> None:
        """Refuse a figure that says neither or both."""
        if bool(self.source) == bool(self.estimate):
            raise ValueError(
                "a figure needs `source` (where it is published) or `estimate` (how it was guessed), one of the two"
            )


FigureTable = Annotated[dict[Text, Figure], Meta(max_length=MOST_KEYS)]


class Cache(_Strict, frozen=True, kw_only=True):
    """One cache level. `shared_by` cores use one copy."""

    bytes: Figure
    ways: Figure | None = None
    """Lines that one set holds (associativity)."""
    shared_by: PositiveInt = 1
    line_bytes: PositiveInt = 64


class Multiprocessor(_Strict, frozen=True, kw_only=True):
    """What a streaming multiprocessor of a GPU holds at once, which decides how many blocks of threads share it."""

    threads: Figure
    blocks: Figure
    registers: Figure
    shared_bytes: Figure


class Processor(_Strict, frozen=True, kw_only=True):
    """The processor of a target, as schedules and roofline need it. Frequencies in hertz; unknown figures are null."""

    cores: PositiveInt
    vector_bits: PositiveInt
    vector_registers: PositiveInt | None = None
    frequency_hz: Figure | None = None
    flops_per_cycle: FigureTable = {}
    """By dtype, for one core (x86, arm) or one streaming multiprocessor (gpu)."""
    issue_width: Figure | None = None
    fma_units: Figure | None = None
    """Units that start a vector multiply-add each cycle."""
    load_units: Figure | None = None
    """Vector loads that can start in a cycle."""
    store_units: Figure | None = None
    """Vector stores that can start in a cycle."""
    l1d: Cache | None = None
    l2: Cache | None = None
    l3: Cache | None = None
    multiprocessor: Multiprocessor | None = None
    """Of a GPU."""
    requires: Texts = ()
    """Features that the machine must have to execute code for this target, in the words of /proc/cpuinfo."""


class Peaks(_Strict, frozen=True, kw_only=True):
    """Ceilings of the whole target, all cores: FLOP/s by dtype, bytes/s by level (`L1`, `L2`, `L3`, `DRAM`)."""

    flops_per_s: FigureTable = {}
    bytes_per_s: FigureTable = {}


class EnergyCoefficients(_Strict, frozen=True, kw_only=True):
    """What the energy model multiplies: joules an operation, joules a byte at each level, and static watts."""

    multiply_j: FigureTable
    add_j: FigureTable
    bytes_j: FigureTable
    """By level: `L1`, `L2`, `L3`, `DRAM`."""
    static_w: Figure | None = None


class Target(_Strict, frozen=True, kw_only=True):
    """A hardware target, as its target.toml describes it."""

    name: Name
    family: Family
    description: Text
    aliases: Texts = ()
    default_device: Literal["local", "emulated"]
    threads: Threads
    tvm: Annotated[dict[Text, Text | Count], Meta(max_length=MOST_KEYS)]
    """The TVM target, as `tvm.target.Target` takes it."""
    processor: Processor
    peaks: Peaks = Peaks()
    energy: EnergyCoefficients | None = None
    emulation: TextTable = {}
    """`qemu_cpu`: what QEMU user mode calls this processor."""
    memory_bytes: Figure | None = None
    """A GPU's own memory."""
    power_limit_w: Figure | None = None
    """What a GPU's board may draw."""


class Gpu(_Strict, frozen=True, kw_only=True):
    """A GPU as its driver describes it. A null field's reason is in `missing`."""

    name: Name
    arch: Text
    """As compilers call it: `sm_90`."""
    multiprocessors: PositiveInt | None = None
    memory_bytes: Bytes | None = None
    sm_clock_max_hz: Amount | None = None
    memory_clock_max_hz: Amount | None = None
    power_limit_w: Amount | None = None
    driver: Text | None = None
    cuda: Text | None = None
    """The newest version of CUDA that the driver can run."""
    missing: TextTable = {}


class GpuConditions(_Strict, frozen=True, kw_only=True):
    """What a GPU was doing at one moment. A null field's reason is in `missing`. Clocks are read, never set."""

    sm_clock_hz: Amount | None = None
    memory_clock_hz: Amount | None = None
    power_w: Amount | None = None
    """The board's, as the driver averages it."""
    power_limit_w: Amount | None = None
    temperature_c: Number | None = None
    memory_used_bytes: Bytes | None = None
    """Of all processes on this GPU."""
    slowed_by: Texts | None = None
    """What held the clocks back at that moment; empty: nothing did."""
    missing: TextTable = {}


class Conditions(_Strict, frozen=True, kw_only=True):
    """What the machine was doing at one moment. Null: this machine does not tell."""

    at_utc: Moment
    load_1min: Amount | None = None
    governor: Text | None = None
    turbo: bool | None = None
    frequency_hz: Amount | None = None
    temperature_c: Number | None = None
    steal_s: Seconds | None = None
    """Processor time that the hypervisor gave to others, since boot (/proc/stat)."""
    gpu: GpuConditions | None = None
    """Where a GPU was measured."""


class Host(_Strict, frozen=True, kw_only=True):
    """The machine that compiled, and that measured too when the device is `local`."""

    name: Text
    os: Text
    architecture: Text
    cpu: Text
    cores_physical: PositiveInt | None
    cores_logical: PositiveInt
    cores_usable: PositiveInt | None = None
    """Physical cores that this process may run on (its affinity)."""
    processors_usable: PositiveInt | None = None
    """Logical processors that this process may run on (its affinity)."""
    features: Texts
    caches_bytes: BytesTable
    memory_bytes: Bytes
    virtual_machine: Text | None
    versions: TextTable
    conditions: Conditions


class Mix(_Strict, frozen=True, kw_only=True):
    """What code moves through a level of memory that writes a share of the bytes, and reads the others."""

    level: Text
    written: Annotated[float, Meta(gt=0, le=1)]
    bytes_per_s: Amount
    """Read and written together."""


class Calibration(_Strict, frozen=True, kw_only=True):
    """Ceilings of the device as measured with mbench's own kernels, at `threads` threads."""

    method: Text
    measured_at_utc: Moment
    threads: Threads
    flops_per_s: AmountTable
    bytes_per_s: AmountTable
    """Of reading alone, by level."""
    mixes: Annotated[tuple[Mix, ...], Meta(max_length=MOST_KEYS)] = ()
    """Of reading and writing by turns; none where only reading was measured."""
    parallel_loop_s: Seconds | None = None
    """What a parallel loop takes in which every thread does almost nothing: starting and joining them. None with one
    thread, or where it was not measured."""
    working_set_bytes: BytesTable
    """How many bytes each level's kernels went through, all threads together."""
    others_busy: Amount | None = None
    """Processors that other processes kept busy meanwhile; the ceilings are too low if they were."""


DeviceKind = Literal["local", "rpc", "emulated", "none"]


class Device(_Strict, frozen=True, kw_only=True):
    """Where the artifacts ran."""

    kind: DeviceKind
    name: Text
    machine: Host | None = None
    """The machine at the other end, where that is not the host: as its own /proc and /sys describe it."""
    emulator: Text | None = None
    """What executed the code where the kind is `emulated`: program, version and processor."""
    gpu: Gpu | None = None
    """The GPU that executed the code, where the target is one."""
    calibration: Calibration | None = None
    missing: TextTable = {}


# ---------------------------------------------------------------------------------------------------------- settings
class Warmup(_Strict, frozen=True, kw_only=True):
    """Runs that are thrown away first: until three blocks in a row agree, or time is up."""

    max_s: Annotated[float, Meta(ge=0, le=MOST_TIMEOUT_S, description="seconds")]
    steady_within: Annotated[float, Meta(ge=0, le=1)] = 0.02
    """How far the medians of the blocks may lie apart, as a share of the least."""


class Settings(_Strict, frozen=True, kw_only=True):
    """What was asked for."""

    variants: Annotated[tuple[Name, ...], Meta(max_length=MOST_VARIANTS)]
    threads: Threads
    batch: Batch
    dtype: Text
    number: Repeat
    """Runs a sample of end-to-end latency averages over; 1 keeps percentiles true."""
    repeat: Repeat
    """End-to-end samples of each twin of the A/A pair, at most: see `measure_max_s`."""
    layer_repeat: Repeat
    """Instrumented runs, at most: samples of each layer."""
    block: Repeat
    """Consecutive runs of one twin before the other takes over (A B B A)."""
    warmup: Warmup
    measure_max_s: Patience | None = None
    """When to be content with fewer samples, though never fewer than three blocks of each twin; null: never."""
    timeout_s: Patience
    compile_only: bool = False
    counts: bool = False
    """Whether exact counts were asked for beside what is measured; an emulated run always counts."""
    tuned: TextTable = {}
    """Files of tuned choices that kernels could be made by, with the hash of each; none with `--no-tuned`."""


# ------------------------------------------------------------------------------------------------------------ result
class Variant(_Strict, frozen=True, kw_only=True):
    """A network: its name and what the name means."""

    name: Name
    family: Text
    width_multiplier: Annotated[float, Meta(gt=0, le=1000)]
    resolution: PositiveInt
    convolution: Literal["depthwise_separable", "standard"]
    batch: Batch
    dtype: Text


class ArtifactInfo(_Strict, frozen=True, kw_only=True):
    """What was compiled.

    `schedules` names the rule of each kernel, and whether it was tuned; `fallbacks` are the kernels that no rule took,
    `ignored` those whose tuned choice was not followed.
    """

    digest: Text
    library_bytes: Bytes
    compile_s: Seconds
    cached: bool
    schedules: TextTable
    fallbacks: TextTable = {}
    """Kernel to the reason."""
    ignored: TextTable = {}
    """Kernel to the reason."""


class Numerics(_Strict, frozen=True, kw_only=True):
    """The output against PyTorch's. `max_rel_error`: the largest error over the largest magnitude of the reference."""

    max_abs_error: Amount | None
    max_rel_error: Amount | None
    tolerance: Amount
    """Largest `max_rel_error` that passes."""
    reference: Text
    passed: bool
    detail: Text | None = None


class EndToEnd(_Strict, frozen=True, kw_only=True):
    """Whole runs. `twin_latency_s` is a second copy of the same library, alternated with the first: the A/A pair."""

    latency_s: Samples | None
    twin_latency_s: Samples | None
    method: Text
    threads: Threads | None = None
    """As the runtime reports it."""
    latency_model_s: Seconds | None = None
    """What a model of the target says of one thread; a model, never a measurement. Sum over the layers."""
    latency_model_method: Text | None = None
    affinity: Annotated[tuple[Count, ...], Meta(max_length=MOST_KEYS)] | None = None
    """Processors that the first of these threads may run on."""
    warmup_runs: Count | None = None
    warmup_s: Seconds | None = None
    wall_s: Seconds | None = None
    """From the first warm-up to the last sample."""
    others_busy_s: Seconds | None = None
    """Processor time that other processes of this machine used meanwhile."""
    conditions_before: Conditions | None = None
    conditions_after: Conditions | None = None


class Memory(_Strict, frozen=True, kw_only=True):
    """Bytes. Planned by the compiler, but for `process_peak_bytes`: the resident set of the process that measured."""

    weight_bytes: Bytes
    activation_peak_bytes: Bytes
    workspace_bytes: Bytes
    process_peak_bytes: Bytes | None
    method: Text
    device_bytes: Bytes | None = None
    """Where a GPU ran it: what its driver gave out for the network, of its own memory."""


class MeteredEnergy(_Strict, frozen=True, kw_only=True):
    """Energy of one run as a meter saw it over a window of many. The idle power is not taken off."""

    energy_j: Joules
    method: Text
    window_s: Seconds
    runs: PositiveInt
    idle_w: Amount | None = None
    """What the same meter showed of the idle device before; null: it was not looked at."""


class Energy(_Strict, frozen=True, kw_only=True):
    """Energy of one run. `energy_j` is a model of operations, bytes and static power; `measured` is a meter's."""

    energy_j: Joules | None
    method: Text
    components_j: Annotated[dict[Text, Joules], Meta(max_length=MOST_KEYS)]
    """`arithmetic`, `L1`, `L2`, `L3`, `DRAM`, `static`."""
    coefficients: EnergyCoefficients | None
    measured: MeteredEnergy | None = None


class Books(_Strict, frozen=True, kw_only=True):
    """How the layers, the runtime between them and the whole fit: layer_sum + overhead + unattributed = end_to_end.

    Medians. `unattributed_s` is what is left; it is negative where the instrumented run was slower than the plain one.
    """

    end_to_end_s: Seconds
    layer_sum_s: Seconds
    overhead_s: Seconds
    unattributed_s: Number
    instrument_cost_s: Seconds
    """What the instrument adds to one reading; already taken off the layers and the overhead."""
    method: Text | None = None
    """How layers and overhead were told apart; null: by the runtime's instrument, call by call."""


class Roofline(_Strict, frozen=True, kw_only=True):
    """A layer under the ceilings. `bound` names the lowest one: `compute`, or the memory level that its data pass."""

    flops_per_s: Amount
    arithmetic_intensity: Amount
    """FLOPs a byte of input, weights and output."""
    bound: Text
    fraction_of_peak: Amount
    """Of the measured peak FLOP/s."""
    fraction_of_bound: Amount
    """Of what `bound` allows at this intensity."""


class Counters(_Strict, frozen=True, kw_only=True):
    """Exact counts of instructions that the compiled library executed in one run, on one thread."""

    instructions: Count
    loads: Count
    """Instructions that read memory."""
    stores: Count
    """Instructions that write memory."""
    load_bytes: Bytes
    store_bytes: Bytes
    vector_instructions: Count
    """Instructions on whole vectors."""
    fma_instructions: Count
    """Multiply-adds, on vectors and on single numbers."""
    flops: Count
    """Floating-point operations: two a lane of a multiply-add, one a lane of any other arithmetic instruction."""


class Counts(_Strict, frozen=True, kw_only=True):
    """Exact counts of one run of the network, and what they are counts of."""

    method: Text
    target: Text
    """The target that the counted code was compiled for; not the record's own with `--counts`."""
    vector_bits: PositiveInt | None = None
    """Width of that target's vectors; null: it is the record's own target."""
    artifact_digest: Text
    emulator: Text
    """Program, version and processor that executed it."""
    counters: Counters
    """Sum over the layers."""
    traffic_bytes: Traffic | None = None
    """Sum over the layers; see `Layer.traffic_bytes`."""
    traffic_method: Text | None = None


class Layer(_Strict, frozen=True, kw_only=True):
    """One layer of the network, with every kernel that was made for it. Shapes are NCHW (networks' own order)."""

    index: Count
    name: Name
    op: Op
    kernel: Text
    """The compiled function; several, in order, are joined by ` + `."""
    input_shape: Shape
    output_shape: Shape
    kernel_size: Sides | None
    stride: Sides | None
    groups: Side | None
    macs: Count
    params: Count
    weight_bytes: Bytes
    activation_bytes: Bytes
    """Input plus output."""
    workspace_bytes: Bytes
    parallel_loops: Count | None = None
    """That one run executes; each starts the threads and joins them. None where the build did not say."""
    latency_s: Samples | None
    energy_j: Joules | None
    energy_method: Text | None
    counters: Counters | None
    counters_by_kernel: Annotated[dict[Text, Counters], Meta(max_length=MOST_KEYS)] = {}
    """The same, of each kernel where the layer has several."""
    traffic_bytes: Traffic | None = None
    """Bytes that each level (`L1`, `L2`, `L3`, `DRAM`) delivered and took, in a model of the target's caches."""
    latency_model_s: Seconds | None = None
    """What a model of the target says of one thread; a model, never a measurement."""
    roofline: Roofline | None
    metered: MeteredEnergy | None = None
    """A meter's, of the layer's kernels looped alone; only a GPU's meter is quick enough for that."""


class Result(_Strict, frozen=True, kw_only=True):
    """What one variant showed."""

    variant: Variant
    artifact: ArtifactInfo
    numerics: Numerics | None
    end_to_end: EndToEnd
    memory: Memory
    energy: Energy
    books: Books | None
    counts: Counts | None = None
    layers: Annotated[tuple[Layer, ...], Meta(min_length=1, max_length=MOST_LAYERS)]
    missing: TextTable = {}
    warnings: Texts = ()


class Failure(_Strict, frozen=True, kw_only=True):
    """A variant that could not be built or measured, and why."""

    variant: Name
    stage: Text
    reason: Text
    detail: Text = ""


class Record(_Strict, frozen=True, kw_only=True):
    """What one run saw."""

    format_version: Literal[1]
    run_id: Name
    created_at_utc: Moment
    mbench_version: Text
    host: Host
    target: Target
    device: Device
    settings: Settings
    results: Annotated[tuple[Result, ...], Meta(max_length=MOST_VARIANTS)] = ()
    failures: Annotated[tuple[Failure, ...], Meta(max_length=MOST_VARIANTS)] = ()

    def unfinished(self) -> tuple[str, ...]:
        """Return the variants that were asked for and have no result."""
        done = {result.variant.name for result in self.results}
        return tuple(name for name in self.settings.variants if name not in done)


# ------------------------------------------------------------------------------------------------- reading and writing
def encode(record: Record) -> bytes:
    """Return the record as one line of JSON, times and energies at nine significant digits.

    Raises:
        ValueError: a number is not finite.
    """
    plain = msgspec.to_builtins(record)
    return json.dumps(_rounded(plain), ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode() + b"\n"


def _rounded(value: Any) -> Any:
    if isinstance(value, str):
        return plain.storable(value)
    if isinstance(value, float):
        return 0.0 if abs(value) < LEAST_MAGNITUDE else float(f"{value:.9g}")
    if isinstance(value, dict):
        return {_rounded(key): _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return value


class _Head(msgspec.Struct):
    """What tells whether a document is a record, and of which version."""

    format_version: msgspec.Raw = msgspec.Raw(b"null")


def decode(data: bytes, *, source: str) -> Record:
    """Return the record in `data`; `source` names it in errors.

    Raises:
        RecordError: not JSON, cut short, another format version, or a field that breaks the format.
    """
    from mbench import record_rules  # which knows the types of this module

    if not data.strip():
        raise RecordError(f"{source}: the file is empty; expected a record that 'mbench run' wrote")
    try:
        _refuse_other_versions(data, source)
        found = strict_json.decode(data, Record)
        strict_json.refuse_repeated_keys(data)
    except strict_json.NotJsonError as error:
        raise RecordError(f"{source}: not a whole JSON document ({error}); was it cut short?") from error
    except strict_json.MisfitError as error:
        raise RecordError(f"{source}: not a valid record: {error}") from error
    broken = record_rules.broken(found)
    if broken:
        raise RecordError(f"{source}: not a valid record: {broken}")
    return found


def _refuse_other_versions(data: bytes, source: str) -> None:
    version: object = None
    with contextlib.suppress(strict_json.MisfitError):  # no object, or a version that is no number of JSON's
        version = strict_json.decode(bytes(strict_json.decode(data, _Head).format_version), Any)
    if version is None:
        strict_json.decode(data, Any)  # what is no JSON at all is said to be that
        raise RecordError(f"{source}: no format_version; expected a record that 'mbench run' wrote")
    if version != FORMAT_VERSION:
        raise RecordError(
            f"{source}: format_version is {shown(version)}, this mbench reads {FORMAT_VERSION}; "
            "use the mbench that wrote it"
        )


def read(path: str | os.PathLike[str]) -> Record:
    """Read and validate one record file.

    Raises:
        RecordError: the file cannot be read, or is not a valid record of this version.
    """
    try:
        data = strict_json.content(Path(path))
    except OSError as error:
        raise RecordError(f"{path}: cannot be read: {system_limits.why(error)}") from error
    except strict_json.MisfitError as error:
        raise RecordError(f"{path}: {error}") from error
    return decode(data, source=str(path))


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file whole or not at all: a reader sees the old content or the new, never a part.

    Raises:
        OutputError: the folder is missing, not writable, or full. The old content, if any, is untouched.
    """
    try:
        regular.check_replaceable(path)
        with scratch.file(path.parent) as (temporary, handle):
            with os.fdopen(handle, "wb", closefd=False) as file:
                file.write(data)
            os.fsync(handle)
            os.fchmod(handle, 0o666 & ~_umask())
            temporary.replace(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {system_limits.why(error)}; choose another folder") from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write(path: Path, record: Record) -> None:
    """Write one record file atomically, if what is written can be read back; else what lies there stays.

    Raises:
        OutputError: it could not be written.
        RecordError: no reader would take it.
    """
    try:
        data = encode(record)
    except ValueError as error:  # NaN and infinity
        raise RecordError(f"{path}: not a valid record: a number is not finite") from error
    decode(data, source=str(path))
    write_atomically(path, data)


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a record file."""
    schema = msgspec.json.schema(Record)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"mbench record, format_version {FORMAT_VERSION}",
        **schema,
    }
