"""What describes hardware: targets and their figures, machines as found, GPUs, devices, and their measured peaks."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from mbench.core.field_types import (
    MOST_KEYS,
    Amount,
    AmountTable,
    Bytes,
    BytesTable,
    Count,
    Moment,
    Name,
    Number,
    PositiveInt,
    Seconds,
    Strict,
    TargetFamily,
    Text,
    Texts,
    TextTable,
    Threads,
)


class Figure(Strict, frozen=True, kw_only=True):
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


class Cache(Strict, frozen=True, kw_only=True):
    """One cache level. `shared_by` cores use one copy."""

    bytes: Figure
    ways: Figure | None = None
    """Lines that one set holds (associativity)."""
    shared_by: PositiveInt = 1
    line_bytes: PositiveInt = 64


class Multiprocessor(Strict, frozen=True, kw_only=True):
    """What a streaming multiprocessor of a GPU holds at once, which decides how many blocks of threads share it."""

    threads: Figure
    blocks: Figure
    registers: Figure
    shared_bytes: Figure


class Processor(Strict, frozen=True, kw_only=True):
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
    vector_units: Figure | None = None
    """Units that start any arithmetic on vectors each cycle, multiply-adds or not."""
    in_order: bool = False
    """Whether instructions start in the program's order, so that vector loads, stores and arithmetic take turns."""
    data_overlap: Figure | None = None
    """Out of order: the share of the data from behind L1 that arrive while the core computes; null: all."""
    core_bytes_per_s: FigureTable = {}
    """By level behind L1: what one core alone reads and writes, where that is less than the level's peak."""
    l1d: Cache | None = None
    l2: Cache | None = None
    l3: Cache | None = None
    multiprocessor: Multiprocessor | None = None
    """Of a GPU."""
    requires: Texts = ()
    """Features that the machine must have to execute code for this target, in the words of /proc/cpuinfo."""


class Peaks(Strict, frozen=True, kw_only=True):
    """Peaks of the whole target, all cores: FLOP/s by dtype, bytes/s by level (`L1`, `L2`, `L3`, `DRAM`)."""

    flops_per_s: FigureTable = {}
    bytes_per_s: FigureTable = {}


class EnergyCoefficients(Strict, frozen=True, kw_only=True):
    """What the energy model multiplies: joules an operation, joules a byte at each level, and static watts."""

    multiply_j: FigureTable
    add_j: FigureTable
    bytes_j: FigureTable
    """By level: `L1`, `L2`, `L3`, `DRAM`."""
    static_w: Figure | None = None


class Target(Strict, frozen=True, kw_only=True):
    """A hardware target, as its target.toml describes it."""

    name: Name
    family: TargetFamily
    description: Text
    aliases: Texts = ()
    default_device: Literal["local", "emulated"]
    """Where its code usually runs. A run without `--device` asks this machine: locally if it can, else emulated."""
    threads: Threads
    tvm: Annotated[dict[Text, Text | Count], Meta(max_length=MOST_KEYS)]
    """The TVM target, as `tvm.target.Target` takes it; but `mattr` is one text, such as `+avx512bf16,+avx512vnni`."""
    processor: Processor
    peaks: Peaks = Peaks()
    energy: EnergyCoefficients | None = None
    emulation: TextTable = {}
    """`qemu_cpu`: what QEMU user mode calls this processor."""
    memory_bytes: Figure | None = None
    """A GPU's own memory, or that of a board."""
    power_limit_w: Figure | None = None
    """What a GPU's board may draw, or a board's module."""

    @property
    def tvm_options(self) -> dict[str, str | int | list[str]]:
        """`tvm` as TVM takes it."""
        given = {key: value for key, value in self.tvm.items() if key != "mattr"}
        features = str(self.tvm.get("mattr", ""))
        return {**given, "mattr": features.split(",")} if features else {**given}


class Gpu(Strict, frozen=True, kw_only=True):
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


class GpuConditions(Strict, frozen=True, kw_only=True):
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


class Conditions(Strict, frozen=True, kw_only=True):
    """What the machine was doing at one moment. Null: this machine does not report it."""

    at_utc: Moment
    load_1min: Amount | None = None
    governor: Text | None = None
    turbo: bool | None = None
    frequency_hz: Amount | None = None
    temperature_c: Number | None = None
    steal_s: Seconds | None = None
    """Processor time that the hypervisor gave to others, since boot (/proc/stat)."""
    throttled_s: Seconds | None = None
    """How long the processor quota held this process's control group back since the group was made, the processors of
    the machine added up. Null: there is no quota."""
    gpu: GpuConditions | None = None
    """Where a GPU was measured."""


class Host(Strict, frozen=True, kw_only=True):
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
    """Logical processors that this process may run on (its affinity, which Linux keeps within its cpuset)."""
    processors_quota: Amount | None = None
    """Processors whose time this process may use by the quota of its control group, such as 1.5; null: no quota."""
    features: Texts
    caches_bytes: BytesTable
    memory_bytes: Bytes
    virtual_machine: Text | None
    versions: TextTable
    conditions: Conditions

    def within_quota(self, wanted: int) -> int:
        """Return so many threads or processes, fewer where the processor quota would hold them back, and at least 1."""
        return wanted if self.processors_quota is None else max(1, min(wanted, int(self.processors_quota)))


class Mix(Strict, frozen=True, kw_only=True):
    """What code moves through a level of memory that writes a share of the bytes, and reads the others."""

    level: Text
    written: Annotated[float, Meta(gt=0, le=1)]
    bytes_per_s: Amount
    """Read and written together."""


class Calibration(Strict, frozen=True, kw_only=True):
    """Peaks of the device as measured with mbench's own kernels, at `threads` threads."""

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
    """Processors that other processes kept busy meanwhile; the peaks are too low if they were."""


DeviceKind = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$(?!\n)")]
"""`local`, `rpc`, `emulated`, `none`, or a kind that another package adds."""


class Device(Strict, frozen=True, kw_only=True):
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
