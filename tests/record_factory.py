"""Records for tests, made without compiling: shapes and costs are true, times are drawn from a seeded generator."""

from __future__ import annotations

import datetime
import random
from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from mbench.core.machine_types import (
    Cache,
    Calibration,
    Conditions,
    Device,
    EnergyCoefficients,
    Figure,
    Gpu,
    GpuConditions,
    Host,
    Mix,
    Peaks,
    Processor,
    Target,
)
from mbench.core.records import (
    ArtifactInfo,
    Counters,
    Counts,
    EndToEnd,
    Energy,
    Failure,
    Layer,
    Memory,
    MeteredEnergy,
    Numerics,
    Record,
    Result,
    Roofline,
    TimeBalance,
)
from mbench.core.replacement import Replacement
from mbench.core.sessions import Session
from mbench.core.settings import Settings, Warmup
from mbench.networks import architectures, costs, folding, variants
from mbench.networks import layers as layers_of
from mbench.networks.graph import Graph
from mbench.networks.layers import LayerSpec

PAIR = variants.DEFAULT
RUN_ID = "20250301-120000-test"
NO_LATENCY = "compiled only, as --compile-only asked: nothing ran"
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>',
    "</script>",
    "{{7*7}}",
    "[bold]x[/bold] \u2028&amp;",
)
PEAK_FLOPS = 2.0e11
DRAM_BYTES_PER_S = 2.0e10
REACHED = {
    "conv2d": 0.55,
    "depthwise_conv2d": 0.10,
    "pointwise_conv2d": 0.60,
    "dense": 0.04,
    "pool": 0.02,
    "other": 0.02,
}
READING_S = 1.0e-7
NO_TIME = "executed in emulation: its time says nothing about the processor"
EMULATOR = "qemu-aarch64 7.2.22, cortex-a72"
COUNTS_METHOD = "every instruction of the compiled library that one run executes, on one thread"
TRAFFIC_METHOD = "a model of the target's caches, least recently used, warmed up by one run"
MODEL_METHOD = "a model: the slowest of issue, multiply-adds, loads, stores and traffic, layer by layer"
PER_FMA = {"conv2d": 1.6, "depthwise_conv2d": 3.1, "pointwise_conv2d": 1.25, "dense": 2.4, "pool": 1.0, "other": 1.0}
"""Instructions that a vector multiply-add takes."""


def record(
    names: Sequence[str] = PAIR, *, latency: bool = True, failed: Sequence[str] = (),
    run_id: str = RUN_ID, block: int = 10, repeat: int = 100, layer_repeat: int = 20,
) -> Record:  # fmt: skip
    """Return a valid record; `latency=False`: it only compiled; `failed`: variants that could not be built.

    Each `run_id` has samples of its own, as each run has.
    """
    settings = Settings(
        variants=(*names, *failed), threads=2, batch=1, dtype="float32", number=1, repeat=repeat,
        layer_repeat=layer_repeat, block=block, warmup=Warmup(max_s=5.0), timeout_s=600.0, compile_only=not latency,
    )  # fmt: skip
    kind: Literal["local", "none"] = "local" if latency else "none"
    missing = {} if latency else {"calibration": NO_LATENCY}
    return Record(
        run_id=run_id, created_at_utc="2025-03-01T12:00:00Z", mbench_version="0.1.0", host=_host(),
        target=_target(), device=Device(
            kind=kind, name="testhost", calibration=_calibration() if latency else None, missing=missing
        ),
        settings=settings, results=tuple(_result(name, settings, run_id) for name in names),
        failures=tuple(
            Failure(variant=name, stage="build", reason="out of registers", detail="line 1\nline 2") for name in failed
        ),
    )  # fmt: skip


def with_layers(result: Result, layers: Sequence[Layer]) -> Result:
    """Return a counted result with other layers, and what they count more or less in the network's counts too."""
    replace, counts = msgspec.structs.replace, result.counts
    assert counts
    totals = {
        name: getattr(counts.counters, name) + sum(
            getattr(new.counters, name) - getattr(old.counters, name)
            for new, old in zip(layers, result.layers, strict=True) if new.counters and old.counters
        )
        for name in counts.counters.__struct_fields__ if isinstance(getattr(counts.counters, name), int)
    }  # fmt: skip
    return replace(result, layers=tuple(layers), counts=replace(counts, counters=replace(counts.counters, **totals)))


def with_graph(result: Result, graph: Graph, *, replaced: Sequence[Replacement] = ()) -> Result:
    """Return a timed result with the layers of another graph in its place."""
    settings, generator = record(PAIR[:1]).settings, random.Random(result.variant.name)
    specs = layers_of.of_graph(folding.fold(graph).graph)
    found = tuple(_layer(index, spec, settings, generator) for index, spec in enumerate(specs))
    balance, whole = _end_to_end(found, settings, generator)
    return msgspec.structs.replace(
        result, layers=found, replaced=tuple(replaced), artifact=_artifact(found), end_to_end=whole,
        memory=_memory(found), energy=_energy(found, balance), time_balance=balance,
    )  # fmt: skip


def short(item: Record) -> Record:
    """Return the record with four layers a network, for tests of what does not hang on their number."""
    results = (msgspec.structs.replace(result, layers=result.layers[:4]) for result in item.results)
    return msgspec.structs.replace(item, results=tuple(results))


def again(item: Record, run_id: str, factor: float = 1.0) -> Record:
    """Return the record as another run of the same job: each time is `factor` times as long, and a little besides."""
    replace, by = msgspec.structs.replace, factor * (1 + 1e-7 * (1 + random.Random(run_id).random()))

    def longer(samples: tuple[float, ...] | None) -> tuple[float, ...] | None:
        return samples and tuple(by * value for value in samples)

    def measured(result: Result) -> Result:
        whole = result.end_to_end
        return replace(
            result, layers=tuple(replace(layer, latency_s=longer(layer.latency_s)) for layer in result.layers),
            end_to_end=replace(
                whole, latency_s=longer(whole.latency_s), twin_latency_s=longer(whole.twin_latency_s)
            ),
        )  # fmt: skip

    return replace(item, run_id=run_id, results=tuple(map(measured, item.results)))


BUSY = "other processes kept 0.90 processors busy"
APART = 0.01
"""How far the sessions of `in_sessions` lie apart, as a share of the first's times."""


def in_sessions(
    base: Record, *, count: int = 5, disturbed: Sequence[int] = (), only: Sequence[str] = (), why: str = BUSY
) -> Record:
    """Return a timed record as measured in sessions: each has the record's samples, longer by 0, 1, 2 … times `APART`.

    Args:
        base: with the samples that each session has.
        count: of sessions.
        disturbed: indices of those that something disturbed; if there are others, these are left out, twice as long.
        only: names of the networks to which that happened; empty: to all.
        why: what disturbed them.
    """
    results = [
        _in_sessions(result, place, len(base.results), count, why, disturbed if _among(result, only) else ())
        for place, result in enumerate(base.results)
    ]
    settings = msgspec.structs.replace(base.settings, sessions=count)
    return msgspec.structs.replace(base, settings=settings, results=tuple(results))


def _among(result: Result, names: Sequence[str]) -> bool:
    return not names or result.variant.name in names


def _in_sessions(
    result: Result, place: int, networks: int, count: int, why: str, disturbed: Sequence[int]
) -> Result:  # fmt: skip
    replace, whole = msgspec.structs.replace, result.end_to_end
    assert whole.latency_s
    quiet = [number for number in range(count) if number not in disturbed]
    counting = quiet or list(range(count))

    def taken(samples: tuple[float, ...] | None, numbers: Sequence[int]) -> tuple[float, ...] | None:
        return samples and tuple(value * _longer(number, disturbed) for number in numbers for value in samples)

    found = [
        Session(
            samples=len(whole.latency_s), layer_samples=len(result.layers[0].latency_s or ()),
            began_utc=_moment(3 * (number * networks + place)), memory_offset=64 * number, load_s=0.02 + 0.01 * number,
            first_s=0.2 + 0.1 * number, warmup_runs=50, warmup_s=0.5, wall_s=2.0,
            others_busy_s=1.8 if number in disturbed else 0.02, processor_share=0.999, flops_per_s=PEAK_FLOPS,
            exchange_s=2e-6, conditions_before=whole.conditions_before, conditions_after=whole.conditions_after,
            disturbed=(why,) if number in disturbed else (), left_out=number not in counting,
            latency_s=None if number in counting else taken(whole.latency_s, (number,)),
        )
        for number in range(count)
    ]  # fmt: skip
    return replace(
        result, sessions=tuple(found),
        end_to_end=replace(whole, latency_s=taken(whole.latency_s, counting), twin_latency_s=None),
        layers=tuple(replace(layer, latency_s=taken(layer.latency_s, counting)) for layer in result.layers),
    )  # fmt: skip


def _longer(number: int, disturbed: Sequence[int]) -> float:
    return (1 + APART * number) * (2 if number in disturbed else 1)


def _moment(seconds: int) -> str:
    return (datetime.datetime(2025, 3, 1, 12, tzinfo=datetime.UTC) + datetime.timedelta(seconds=seconds)).isoformat()


def emulated(names: Sequence[str] = PAIR) -> Record:
    """Return a record of an emulated Cortex-A72: no times but modelled ones, and counts in their place."""
    replace = msgspec.structs.replace
    base = counted(record(names, latency=False), target="arm64_cortex_a72", vector_bits=128, digest="0" * 64)
    tuned = replace(
        base.target, name="arm64_cortex_a72", family="arm", description="Arm Cortex-A72", default_device="emulated",
        processor=replace(base.target.processor, vector_bits=128, requires=("asimd", "crc32")),
    )  # fmt: skip
    device = Device(kind="emulated", name="emulated", emulator=EMULATOR, missing={"calibration": NO_TIME})
    return replace(
        base, target=tuned, device=device, settings=replace(base.settings, compile_only=False),
        results=tuple(map(_modelled, base.results)),
    )  # fmt: skip


def _modelled(result: Result) -> Result:
    replace = msgspec.structs.replace
    layers = tuple(
        replace(layer, latency_model_s=layer.counters.instructions / 3.9e9) for layer in result.layers if layer.counters
    )
    end_to_end = replace(
        result.end_to_end, method="not measured", latency_model_method=MODEL_METHOD,
        latency_model_s=sum(layer.latency_model_s for layer in layers if layer.latency_model_s),
    )  # fmt: skip
    missing = {key: NO_TIME if reason == NO_LATENCY else reason for key, reason in result.missing.items()}
    del missing["numerics"]
    numerics = Numerics(
        max_abs_error=1e-5, max_rel_error=2e-6, tolerance=1e-4, reference="torch 2.13.0, float32", passed=True
    )
    return replace(result, layers=layers, end_to_end=end_to_end, missing=missing, numerics=numerics)


def counted(
    base: Record, *, target: str = "x86_64_v3", vector_bits: int = 256, digest: str = "1" * 64
) -> Record:  # fmt: skip
    """Return the record with exact counts of code for `target`, as `--counts` adds them."""

    def count(result: Result) -> Result:
        replace = msgspec.structs.replace
        layers = tuple(
            replace(layer, counters=_counters(layer, vector_bits // 32), traffic_bytes=_traffic(layer))
            for layer in result.layers
        )
        found = [layer.counters for layer in layers if layer.counters]
        whole = Counters(**{
            name: sum(getattr(item, name) for item in found) for name in Counters.__struct_fields__
        })  # fmt: skip
        traffic = {level: sum((layer.traffic_bytes or {})[level] for layer in layers) for level in ("L1", "L2", "DRAM")}
        counts = Counts(
            method=COUNTS_METHOD, target=target, vector_bits=vector_bits, artifact_digest=digest, emulator=EMULATOR,
            counters=whole, traffic_bytes=traffic, traffic_method=TRAFFIC_METHOD,
        )  # fmt: skip
        missing = {key: reason for key, reason in result.missing.items() if key != "layers.counters"}
        return replace(result, layers=layers, counts=counts, missing=missing)

    return msgspec.structs.replace(base, results=tuple(map(count, base.results)))


def _counters(layer: Layer, lanes: int) -> Counters:
    fma = layer.macs // lanes or layer.activation_bytes // 16
    instructions = int(PER_FMA.get(layer.op, PER_FMA["other"]) * fma)
    return Counters(
        instructions=instructions, loads=instructions // 5, stores=instructions // 50,
        load_bytes=instructions // 5 * 16, store_bytes=instructions // 50 * 16,
        vector_instructions=instructions - instructions // 10, fma_instructions=fma if layer.macs else 0,
        flops=2 * layer.macs,
    )  # fmt: skip


def _traffic(layer: Layer) -> dict[str, int]:
    moved = layer.weight_bytes + layer.activation_bytes
    return {"L1": 8 * moved, "L2": 2 * moved, "DRAM": layer.weight_bytes + layer.activation_bytes // 4}


def on_board(base: Record) -> Record:
    """Return the record as measured on a board behind TVM's RPC."""
    board = msgspec.structs.replace(
        _host(), name="raspberrypi", os="Debian GNU/Linux 12", architecture="aarch64", cores_physical=4,
        cores_logical=4, cpu="Cortex-A72 (Raspberry Pi 4 Model B Rev 1.4)", features=("asimd", "crc32"),
        virtual_machine=None, caches_bytes={"L1d": 32768, "L2": 1048576},
        conditions=Conditions(at_utc="2025-03-01T12:00:01Z", governor="ondemand", temperature_c=48.2),
    )  # fmt: skip
    device = msgspec.structs.replace(base.device, kind="rpc", name="rpc://10.0.0.7:9090", machine=board)
    return msgspec.structs.replace(base, device=device)


def on_gpu(base: Record) -> Record:
    """Return the record as measured on a GPU that its power limit held back."""
    replace = msgspec.structs.replace
    gpu = Gpu(
        name="NVIDIA H100 80GB HBM3", arch="sm_90", multiprocessors=132, memory_bytes=85520809984,
        sm_clock_max_hz=1.98e9, power_limit_w=700.0, driver="580.82.07", cuda="13.0",
        missing={"memory_clock_max_hz": "NVML reports 'Not Supported'"},
    )  # fmt: skip
    now = GpuConditions(
        sm_clock_hz=1.23e9, power_w=699.8, power_limit_w=700.0, temperature_c=86.0, memory_used_bytes=664600576,
        slowed_by=("power cap",), missing={"memory_clock_hz": "NVML reports 'Not Supported'"},
    )  # fmt: skip
    metered = MeteredEnergy(energy_j=0.31, method="measured: NVML", window_s=2.0, runs=900, idle_w=70.25)
    alone = MeteredEnergy(energy_j=0.012, method="measured: the layer alone", window_s=0.5, runs=700)

    def on_it(result: Result) -> Result:
        whole = result.end_to_end
        before, after = (m and replace(m, gpu=now) for m in (whole.conditions_before, whole.conditions_after))
        return replace(
            result,
            end_to_end=replace(whole, conditions_before=before, conditions_after=after),
            memory=replace(result.memory, device_bytes=23_000_000),
            energy=replace(result.energy, measured=metered),
            time_balance=result.time_balance and replace(result.time_balance, method="layers: device events"),
            layers=tuple(replace(layer, metered=alone) for layer in result.layers),
        )

    processor = replace(base.target.processor, requires=())
    tvm = {"kind": "cuda", "arch": "sm_90"}
    target = replace(base.target, name="cuda_sm90", family="gpu", tvm=tvm, processor=processor)
    device = replace(base.device, gpu=gpu)
    return replace(base, target=target, device=device, results=tuple(map(on_it, base.results)))


def chained(layers: Iterable[Layer]) -> tuple[Layer, ...]:
    """Return layers as those of a network of their own, each fed by the one before."""
    kept = tuple(layers)
    before = [(), *((layer.name,) for layer in kept)]
    return tuple(msgspec.structs.replace(layer, index=at, inputs=before[at]) for at, layer in enumerate(kept))


def hostile(base: Record) -> Record:
    """Return the record with markup in every name that comes from outside."""
    script, image, close, braces, rich = HOSTILE
    replace = msgspec.structs.replace

    def spoil(result: Result) -> Result:
        layers = tuple(
            replace(
                layer, name=f"{layer.name}{script}", kernel=f"{image}{close}", block=close, role=braces,
                inputs=tuple(f"{name}{script}" for name in layer.inputs), source_names=(image,),
            )
            for layer in result.layers[:3]
        )  # fmt: skip
        variant = replace(
            result.variant, name=f"{script}{result.variant.name}", family=f"{braces}{image}", parameters={close: script}
        )
        return replace(
            result,
            variant=variant,
            layers=layers,
            warnings=HOSTILE,
            missing={**result.missing, close + script: image + rich},
        )

    results = tuple(map(spoil, base.results))
    asked = (*(result.variant.name for result in results), script)
    return replace(
        base, host=replace(base.host, name=script + close, cpu=image + braces), results=results,
        labels={"branch": script + image},
        settings=replace(base.settings, variants=asked),
        device=replace(base.device, name=rich + script), target=replace(base.target, name=image, description=rich),
        failures=(Failure(variant=script, stage=close, reason=image + braces, detail="\n".join(HOSTILE)),),
    )  # fmt: skip


def _figure(value: float) -> Figure:
    return Figure(value=value, estimate="a test's invention")


def _host() -> Host:
    return Host(
        name="testhost", os="Linux 6.1", architecture="x86_64", cpu="Test CPU @ 2.0 GHz", cores_physical=1,
        cores_logical=2,
        features=("avx2", "avx512f", "fma"), caches_bytes={"L1d": 32768, "L2": 1048576, "L3": 34603008},
        memory_bytes=8 * 10**9, virtual_machine="kvm",
        versions={"python": "3.11.7", "tvm": "0.27.0", "torch": "2.13.0"},
        conditions=Conditions(at_utc="2025-03-01T12:00:00Z", load_1min=0.2),
    )  # fmt: skip


def _target() -> Target:
    processor = Processor(
        cores=2, vector_bits=512, frequency_hz=_figure(2.0e9), flops_per_cycle={"float32": _figure(64)},
        l1d=Cache(bytes=Figure(value=32768, source="sysfs")), requires=("avx512f",),
    )  # fmt: skip
    return Target(
        name="host", family="x86", description="this machine", default_device="local", threads=2,
        tvm={"kind": "llvm", "mtriple": "x86_64-linux-gnu", "mcpu": "skylake-avx512"}, processor=processor,
        peaks=Peaks(flops_per_s={"float32": _figure(PEAK_FLOPS)}, bytes_per_s={"DRAM": _figure(DRAM_BYTES_PER_S)}),
        energy=_coefficients(),
    )  # fmt: skip


def _coefficients() -> EnergyCoefficients:
    paper = "Horowitz, ISSCC 2014, 45 nm"
    return EnergyCoefficients(
        multiply_j={"float32": Figure(value=3.7e-12, source=paper)},
        add_j={"float32": Figure(value=0.9e-12, source=paper)},
        bytes_j={"DRAM": Figure(value=2.4e-10, source=paper)}, static_w=_figure(1.5),
    )  # fmt: skip


def _calibration() -> Calibration:
    return Calibration(
        method="fused multiply-adds and a triad, best of 5", measured_at_utc="2025-03-01T12:00:00Z", threads=2,
        flops_per_s={"float32": PEAK_FLOPS}, bytes_per_s={"L1": 4e11, "L2": 1.5e11, "DRAM": DRAM_BYTES_PER_S},
        mixes=tuple(
            Mix(level=level, written=written, bytes_per_s=rate)
            for level, rate in (("L1", 2e11), ("L2", 7.5e10), ("DRAM", DRAM_BYTES_PER_S)) for written in (0.2, 0.5)
        ),
        parallel_loop_s=2e-6, working_set_bytes={"L1": 32768, "L2": 1048576, "DRAM": 268435456},
    )  # fmt: skip


def _samples(generator: random.Random, centre: float, count: int) -> tuple[float, ...]:
    return tuple(centre * (1 + abs(generator.gauss(0, 0.02))) for _ in range(count))


def _result(name: str, settings: Settings, run_id: str) -> Result:
    variant = variants.parse(name, batch=settings.batch, dtype=settings.dtype)
    generator = random.Random(name if run_id == RUN_ID else f"{name} {run_id}")
    layers = tuple(_layer(index, spec, settings, generator) for index, spec in enumerate(architectures.layers(variant)))
    missing = {"memory.process_peak_bytes": "a test has no process", "energy.measured": "no meter: no RAPL, no NVML"}
    if settings.compile_only:
        missing |= dict.fromkeys(
            ("end_to_end.latency_s", "layers.latency_s", "time_balance", "numerics", "layers.roofline"), NO_LATENCY
        )
    else:
        missing["layers.counters"] = "only the emulated device counts instructions"
    books, end_to_end = _end_to_end(layers, settings, generator)
    return Result(
        variant=variant, artifact=_artifact(layers), end_to_end=end_to_end, memory=_memory(layers), layers=layers,
        replaced=architectures.replaced(variant), numerics=None if settings.compile_only else Numerics(
            max_abs_error=1e-5, max_rel_error=2e-6, tolerance=1e-4, reference="torch 2.13.0, float32", passed=True,
        ),
        energy=_energy(layers, books), time_balance=books, missing=missing,
    )  # fmt: skip


def _artifact(layers: Sequence[Layer]) -> ArtifactInfo:
    schedules = {layer.kernel: f"x86.{layer.op}" for layer in layers if layer.op != "pool"}
    fallbacks = {layer.kernel: "no rule for reductions" for layer in layers if layer.op == "pool"}
    return ArtifactInfo(
        digest="0" * 64, library_bytes=10**6, compile_s=12.0, cached=False, schedules=schedules, fallbacks=fallbacks
    )


def _layer(index: int, spec: LayerSpec, settings: Settings, generator: random.Random) -> Layer:
    cost = costs.of_layer(spec, settings.dtype)
    seconds = (
        2 * cost.macs / (REACHED.get(spec.op, REACHED["other"]) * PEAK_FLOPS)
        + cost.activation_bytes / (10 * DRAM_BYTES_PER_S)
        + 2e-6
    )
    samples = None if settings.compile_only else _samples(generator, seconds, settings.layer_repeat)
    return Layer(
        index=index, name=spec.name, block=spec.block, role=spec.role, inputs=spec.inputs, op=spec.op,
        kernel=f"fused_{spec.op}{index}_add_relu",
        operations=spec.operations, input_shape=spec.input_shape, output_shape=spec.output_shape,
        kernel_size=spec.kernel_size, stride=spec.stride, groups=spec.groups,
        macs=cost.macs, params=cost.params, weight_bytes=cost.weight_bytes, activation_bytes=cost.activation_bytes,
        workspace_bytes=0, parallel_loops=1, latency_s=samples,
        energy_j=4.6e-12 * cost.macs + 2.4e-10 * cost.weight_bytes,
        energy_method="model: operations and DRAM bytes times coefficients", counters=None,
        roofline=_roofline(cost, samples) if samples else None,
    )  # fmt: skip


def _roofline(cost: costs.Costs, samples: Sequence[float]) -> Roofline:
    rate = 2 * cost.macs / sorted(samples)[len(samples) // 2]
    intensity = 2 * cost.macs / (cost.weight_bytes + cost.activation_bytes)
    roof = min(PEAK_FLOPS, intensity * DRAM_BYTES_PER_S)
    return Roofline(
        flops_per_s=rate, arithmetic_intensity=intensity, bound="compute" if roof == PEAK_FLOPS else "DRAM",
        fraction_of_peak=rate / PEAK_FLOPS, fraction_of_bound=rate / roof if roof else 0.0,
    )  # fmt: skip


def _end_to_end(
    layers: Sequence[Layer], settings: Settings, generator: random.Random
) -> tuple[TimeBalance | None, EndToEnd]:
    method = "perf_counter around one run; worker process; A/A pair"
    if settings.compile_only:
        return None, EndToEnd(latency_s=None, twin_latency_s=None, method=method)
    layer_sum = sum(sorted(layer.latency_s)[len(layer.latency_s) // 2] for layer in layers if layer.latency_s)
    first, twin = (_samples(generator, layer_sum * 1.03, settings.repeat) for _ in range(2))
    whole = sorted(first)[len(first) // 2]
    books = TimeBalance(
        end_to_end_s=whole, layer_sum_s=layer_sum, overhead_s=0.02 * layer_sum, unattributed_s=whole - 1.02 * layer_sum,
        instrument_cost_s=READING_S,
    )  # fmt: skip
    moment = Conditions(
        at_utc="2025-03-01T12:00:05Z",
        load_1min=0.9,
        governor="performance",
        turbo=True,
        frequency_hz=2.0e9,
        steal_s=1.0,
    )
    return books, EndToEnd(
        latency_s=first, twin_latency_s=twin, method=method, threads=2, affinity=(0, 1), warmup_runs=50, warmup_s=0.5,
        conditions_before=moment, conditions_after=moment,
    )  # fmt: skip


def _memory(layers: Sequence[Layer]) -> Memory:
    return Memory(
        weight_bytes=sum(layer.weight_bytes for layer in layers),
        activation_peak_bytes=max(layer.activation_bytes for layer in layers),
        workspace_bytes=0, process_peak_bytes=None, method="planned by the compiler",
    )  # fmt: skip


def _energy(layers: Sequence[Layer], books: TimeBalance | None) -> Energy:
    arithmetic = sum(4.6e-12 * layer.macs for layer in layers)
    memory = sum(2.4e-10 * layer.weight_bytes for layer in layers)
    parts = {"arithmetic": arithmetic, "DRAM": memory} | ({"static": 1.5 * books.end_to_end_s} if books else {})
    return Energy(
        energy_j=sum(parts.values()), method="model: operations, DRAM bytes and static power times coefficients",
        components_j=parts, coefficients=_coefficients(),
    )  # fmt: skip
