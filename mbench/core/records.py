"""The record of a run: frozen types. Reading and writing are in `core.record_files`.

A record holds what was seen (raw samples, SI units) and what is needed to read it; everything that can be derived is
derived where it is shown.

A field that could not be had is null, and the `missing` of the struct around it says why, by dotted path.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from mbench.core import dtypes
from mbench.core.farm_records import Farm
from mbench.core.field_types import (
    LABEL_KEY,
    MOST_KEYS,
    MOST_LAYERS,
    MOST_VARIANTS,
    Amount,
    AmountTable,
    Batch,
    Bytes,
    Count,
    Dimension,
    Joules,
    Moment,
    Name,
    Number,
    Op,
    PositiveInt,
    Samples,
    Seconds,
    Shape,
    Sides,
    Strict,
    Text,
    Texts,
    TextTable,
    Threads,
    Traffic,
)
from mbench.core.machine_types import Conditions, Device, EnergyCoefficients, Host, Target
from mbench.core.quantized import QuantizationOutcome, QuantizationSettings
from mbench.core.replacement import Replacement
from mbench.core.sessions import MOST_SESSIONS, Session
from mbench.core.settings import Settings
from mbench.core.sustained import Sustained

FORMAT_VERSION: Literal[2] = 2
"""Grows when an older reader would misread; `core.record_migrations` brings older records here."""
FORMAT_MINOR = 4
"""Grows with each field that is added. 1: `layers.operations`, `replaced`, any operation. 2: `sessions`,
processor quotas, `sustained`. 3: quantised networks. 4: `farm`, `results.device`."""
FAMILY = "family"
"""The source of a built-in network."""
LabelKey = Annotated[str, Meta(pattern=LABEL_KEY, max_length=64)]
Labels = Annotated[dict[LabelKey, Annotated[str, Meta(max_length=1000)]], Meta(max_length=100)]


# ------------------------------------------------------------------------------------------------------------ result
class Variant(Strict, frozen=True, kw_only=True):
    """A network: its name, where it is from, and what the name means. `network` in the file."""

    name: Name
    source: Text = FAMILY
    """Where it is from. `family`: a built-in network, which its name describes; `onnx`, `export`, `function`: the
    user's own file or function."""
    family: Text
    """Of an imported network: its name without batch and `_standard`."""
    parameters: Annotated[dict[Text, bool | Count | Number | Text | None], Meta(max_length=MOST_KEYS)] = {}
    """What the family leaves open, such as `width_multiplier` and `resolution`. Of an imported network: `producer`,
    `opset`, `file_sha256`, and `content_sha256` of all that was imported."""
    digest: Text | None = None
    """SHA-256 of its layers: names, operations, shapes without the batch, and what reads what. Null before a build."""
    quantization: QuantizationSettings | None = None
    """How a network of `int8` was made; null: it is of another type, or the user's file is quantised itself."""
    convolution: Literal["depthwise_separable", "standard"] | None
    """`standard`: the standard twin of a network; null: it has no depthwise convolution."""
    batch: Batch
    dtype: Text

    @property
    def imported(self) -> bool:
        """Whether it is the user's own: its name means nothing, and it lies in the cache."""
        return self.source != FAMILY

    @property
    def quantised_file(self) -> bool:
        """Whether the user's file holds whole numbers itself, so that mbench does not quantise it."""
        return self.imported and self.dtype == dtypes.INT8 and self.quantization is None

    def number(self, parameter: str) -> float:
        """Return a parameter that is a number.

        Raises:
            TypeError: it is none.
        """
        if not isinstance(value := self.parameters[parameter], int | float):
            raise TypeError(f"{parameter} of {self.name} is {value!r}; expected a number")
        return value

    def __hash__(self) -> int:
        """Allow networks as keys, although parameters are a dict."""
        return hash((self.name, self.batch, self.dtype))


class ArtifactInfo(Strict, frozen=True, kw_only=True):
    """What was compiled.

    `schedules` names the rule of each kernel, and whether it was tuned; `fallbacks` are the kernels that no rule took,
    `ignored` those whose tuned choice was not followed.
    """

    digest: Text
    library_bytes: Bytes
    compile_s: Seconds
    cached: bool
    schedules: TextTable
    rules: TextTable = {}
    """Kernel to the name of its schedule rule, without tiling; a kernel that no rule took has none."""
    fallbacks: TextTable = {}
    """Kernel to the reason."""
    ignored: TextTable = {}
    """Kernel to the reason."""


class Numerics(Strict, frozen=True, kw_only=True):
    """The output against PyTorch's. `max_rel_error`: the largest error over the largest magnitude of the reference."""

    max_abs_error: Amount | None
    max_rel_error: Amount | None
    tolerance: Amount
    """Largest `max_rel_error` that passes."""
    reference: Text
    passed: bool
    detail: Text | None = None


class EndToEnd(Strict, frozen=True, kw_only=True):
    """Whole runs. `latency_s` has the samples of the sessions that count, one session after the other."""

    latency_s: Samples | None
    twin_latency_s: Samples | None = None
    """In records without sessions: a second copy of the same library, timed in turns with the first."""
    method: Text
    threads: Threads | None = None
    """As the runtime reports it."""
    latency_model_s: Seconds | None = None
    """What a model of the target says of one thread; a model, never a measurement. Sum over the layers."""
    latency_model_method: Text | None = None
    latency_model_error: Text | None = None
    """How far the model was from measured and from published latencies; None in records of earlier versions."""
    latency_model_threads_s: AmountTable = {}
    """What the model says of more threads, by their number; empty where it says nothing of them."""
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


class Memory(Strict, frozen=True, kw_only=True):
    """Bytes. Planned by the compiler, but for `process_peak_bytes`: the resident set of the process that measured."""

    weight_bytes: Bytes
    activation_peak_bytes: Bytes
    workspace_bytes: Bytes
    process_peak_bytes: Bytes | None
    method: Text
    device_bytes: Bytes | None = None
    """Where a GPU ran it: what its driver gave out for the network, of its own memory."""


class MeteredEnergy(Strict, frozen=True, kw_only=True):
    """Energy of one run as a meter saw it over a window of many. The idle power is not taken off."""

    energy_j: Joules
    method: Text
    window_s: Seconds
    runs: PositiveInt
    idle_w: Amount | None = None
    """What the same meter showed of the idle device before; null: it was not looked at."""


class Energy(Strict, frozen=True, kw_only=True):
    """Energy of one run. `energy_j` is a model of operations, bytes and static power; `measured` is a meter's."""

    energy_j: Joules | None
    method: Text
    components_j: Annotated[dict[Text, Joules], Meta(max_length=MOST_KEYS)]
    """`arithmetic`, `L1`, `L2`, `L3`, `DRAM`, `static`."""
    coefficients: EnergyCoefficients | None
    measured: MeteredEnergy | None = None


class TimeBalance(Strict, frozen=True, kw_only=True):
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
    """How layers and overhead were separated; null: by the runtime's instrument, call by call."""


class Roofline(Strict, frozen=True, kw_only=True):
    """A layer under the measured peaks. `bound` names the lowest: `compute`, or the memory level that its data pass."""

    flops_per_s: Amount
    arithmetic_intensity: Amount
    """FLOPs a byte of input, weights and output."""
    bound: Text
    fraction_of_peak: Amount
    """Of the measured peak FLOP/s."""
    fraction_of_bound: Amount
    """Of what `bound` allows at this intensity."""


class Counters(Strict, frozen=True, kw_only=True):
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
    integer_operations: Count = 0
    """Multiplications of 8 or 16 bits and the additions that go with them, two for each pair; other arithmetic on whole
    numbers is not counted here."""


class Counts(Strict, frozen=True, kw_only=True):
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


class Layer(Strict, frozen=True, kw_only=True):
    """One layer of the network, with every kernel that was made for it. Shapes are NCHW (networks' own order)."""

    index: Count
    name: Name
    block: Name | None
    """The block of the network that it belongs to. A standard twin's convolution belongs to the block it replaces."""
    role: Text
    """What it does there: `stem`, `expand`, `standard` (in a standard twin), … ; `fused`: several of them."""
    inputs: Annotated[tuple[Name, ...], Meta(max_length=MOST_LAYERS)]
    """Names of the layers whose outputs it reads; none: it reads the network's input."""
    source_names: Texts = ()
    """What the user's own file calls it; empty for a built-in network."""
    op: Op
    """What it is mostly: `conv2d`, `depthwise_conv2d`, `pointwise_conv2d`, `grouped_conv2d`, `transposed_conv2d`,
    `dense`, `matmul`, `pool`, `softmax`, `resize`, `reduce`, `elementwise`, … , or `other`; of a fused kernel,
    `inverted_residual` and the like."""
    operations: Texts = ()
    """All that its kernels compute, in order, such as `conv2d`, `relu6`, `add`; empty where it was not recorded."""
    contains: Texts = ()
    """Names of the layers that its one kernel computes, in order, where it is fused of several; else empty."""
    kernel: Text
    """The compiled function; several, in order, are joined by ` + `."""
    input_shape: Shape
    output_shape: Shape
    kernel_size: Sides | None
    stride: Sides | None
    groups: Dimension | None
    macs: Count
    params: Count
    weight_bytes: Bytes
    activation_bytes: Bytes
    """Input plus output."""
    workspace_bytes: Bytes
    parallel_loops: Count | None = None
    """That one run executes; each starts the threads and joins them. None where the build did not record it."""
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


class Result(Strict, frozen=True, kw_only=True):
    """What one variant showed."""

    variant: Variant = msgspec.field(name="network")
    """`network` in the file."""
    artifact: ArtifactInfo
    numerics: Numerics | None
    end_to_end: EndToEnd
    memory: Memory
    energy: Energy
    time_balance: TimeBalance | None
    counts: Counts | None = None
    layers: Annotated[tuple[Layer, ...], Meta(min_length=1, max_length=MOST_LAYERS)]
    replaced: Annotated[tuple[Replacement, ...], Meta(max_length=MOST_LAYERS)] = ()
    """Of a standard twin: each convolution that was replaced; empty otherwise, and in records of earlier versions."""
    device: Name | None = None
    """The device of the record's farm that all its sessions ran on; null: the record has one device."""
    sessions: Annotated[tuple[Session, ...], Meta(max_length=MOST_SESSIONS)] = ()
    """In the order in which they ran; empty: not timed, or a record of before, with one process."""
    quantized: QuantizationOutcome | None = None
    """Of a network that mbench quantised; null for others."""
    sustained: Sustained | None = None
    """The network under load without a pause, where that was asked for."""
    missing: TextTable = {}
    warnings: Texts = ()


class Failure(Strict, frozen=True, kw_only=True):
    """A network that could not be built or measured, and why."""

    variant: Name = msgspec.field(name="network")
    """Its name; `network` in the file."""
    stage: Text
    reason: Text
    detail: Text = ""


class Record(Strict, frozen=True, kw_only=True):
    """What one run saw."""

    format_version: Literal[2] = FORMAT_VERSION
    format_minor: Count = FORMAT_MINOR
    """Grows with each field that is added; an older reader of the same version ignores what it does not know."""
    run_id: Name
    created_at_utc: Moment
    mbench_version: Text
    host: Host
    target: Target
    device: Device
    settings: Settings
    labels: Labels = {}
    """What the run belongs to: `commit`, `branch`, `change`, and what `--label KEY=VALUE` adds."""
    imported: Annotated[tuple[Variant, ...], Meta(max_length=MOST_VARIANTS)] = ()
    """The networks among those that were asked for whose name does not say all: the user's own, and quantised ones;
    with or without a result."""
    farm: Farm | None = None
    """The devices of a run that measured on several; null: there was one, `device`."""
    results: Annotated[tuple[Result, ...], Meta(max_length=MOST_VARIANTS)] = ()
    failures: Annotated[tuple[Failure, ...], Meta(max_length=MOST_VARIANTS)] = ()

    def machine_of(self, result: Result) -> Host:
        """Return the machine that ran a result: a device of the farm, the device's, or the host."""
        found = self.farm.device(result.device) if self.farm else None
        return (found.machine if found else None) or self.device.machine or self.host

    def unfinished(self) -> tuple[str, ...]:
        """Return the networks that were asked for and have no result, too few sessions, or no sustained run."""
        done = {result.variant.name for result in self.results if self._finished(result)}
        return tuple(name for name in self.settings.variants if name not in done)

    def _finished(self, result: Result) -> bool:
        if result.end_to_end.latency_s is None:
            return True
        wanted, sustained = self.settings.sessions, self.settings.sustain_s is not None
        return (wanted == 1 or len(result.sessions) >= wanted) and not (sustained and result.sustained is None)
