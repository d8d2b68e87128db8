"""Build: a pure function of (variant, target, tuned choices) to an artifact, cached by the digest of all that goes in.

`build` is called in a process of its own (see `mbench.pipeline`); this module imports tvm only when it has to compile,
so that taking an artifact from the cache is quick.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from mbench import artifact, costs, garbage, models, scratch, system_limits, tuned
from mbench.artifact import Artifact, LayerPlan, Manifest
from mbench.compile import linker
from mbench.errors import BuildError
from mbench.models import weights
from mbench.records import Target, Variant
from mbench.tuned import Choices

if TYPE_CHECKING:
    from mbench.compile.lower import KernelCall
    from mbench.compile.schedules import Machine, Scheduled

HOST_TRIPLE = f"{platform.machine()}-linux-gnu"
_VERSIONED = ("apache-tvm", "apache-tvm-ffi", "torch", "numpy")


def digest_inputs(variant: Variant, target: Target, choices: Choices = tuned.NONE) -> dict[str, str]:
    """Return everything that decides what is built, by name.

    Thread counts do not, since TVM shares out loops at run time, but that the tuned choices may be others.
    """
    described = {
        "variant": msgspec.json.encode(variant).decode(),
        "tvm_target": msgspec.json.encode(target.tvm, order="deterministic").decode(),
        "machine": _machine(target),
        "sources": _source_digest(),
        "tuned": choices.digest if choices.kernels else "none",
    }
    described["linker"] = _linker(target)
    versions = {name: importlib.metadata.version(name) for name in _VERSIONED}
    return {**described, **versions}


def _machine(target: Target) -> str:
    """Name what schedules depend on (`mbench.compile.schedules.Machine`), without importing it: that takes TVM."""
    processor = target.processor
    caches = [f"{cache.bytes.value:.0f}/{cache.shared_by}" if cache else "?" for cache in (processor.l1d, processor.l2)]
    words = [target.family, processor.vector_bits, processor.vector_registers, processor.cores, *caches]
    if target.family == "gpu":
        held = processor.multiprocessor
        figures = (held.threads, held.blocks, held.registers, held.shared_bytes) if held else ()
        words += [f"{figure.value:.0f}" for figure in figures]
        words += [f"{dtype} {figure.value:.0f}" for dtype, figure in sorted(processor.flops_per_cycle.items())]
        words += [f"{level} {figure.value:.3g}" for level, figure in sorted(target.peaks.bytes_per_s.items())]
        words += [f"{processor.frequency_hz.value:.3g} Hz" if processor.frequency_hz else "?"]
    return " ".join(map(str, words))


def _linker(target: Target) -> str:
    try:
        return " ".join(linker.find(str(target.tvm.get("mtriple", HOST_TRIPLE))))
    except BuildError:
        return "none"


def digest(inputs: dict[str, str]) -> str:
    """Return the address of an artifact: 32 hexadecimal digits."""
    return hashlib.sha256(msgspec.json.encode(inputs, order="deterministic")).hexdigest()[:32]


def _source_digest() -> str:
    """Hash the code that decides what is built: networks, their costs, lowering, schedules."""
    package = Path(__file__).resolve().parent.parent
    files = [*package.glob("compile/**/*.py"), *package.glob("models/*.py")]
    files += [package / "artifact.py", package / "costs.py"]
    hashed = hashlib.sha256()
    for file in sorted(files):
        hashed.update(file.relative_to(package).as_posix().encode() + b"\0" + file.read_bytes())
    return hashed.hexdigest()


def build(
    variant: Variant, target: Target, cache: Path, *, use_cache: bool = True, choices: Choices = tuned.NONE
) -> tuple[Artifact, bool]:
    """Return the artifact of a variant for a target, and whether it came from the cache.

    Args:
        variant: what to build.
        target: what for.
        cache: the folder that artifacts lie in, by digest.
        use_cache: whether one that is there already may be taken. A damaged one never is.
        choices: how kernels are made that were tuned.

    Raises:
        BuildError: lowering, code generation or linking failed, or the cache is full.
        TargetError: LLVM does not know the target's processor.
    """
    inputs = digest_inputs(variant, target, choices)
    folder = cache / digest(inputs)
    if folder.exists():
        if use_cache:
            try:
                return artifact.load(folder), True
            except BuildError:
                pass  # damaged: build it again
        artifact.discard(folder)
    try:
        with scratch.folder(cache) as work:
            with garbage.not_collected():
                manifest = _compile(variant, target, choices, inputs, work)
            return artifact.store(manifest, work, folder), False
    except OSError as error:
        raise BuildError(
            f"artifacts cannot be written to {cache}: {system_limits.why(error)}; free space or set MBENCH_CACHE_DIR"
        ) from error


def _compile(variant: Variant, target: Target, choices: Choices, inputs: dict[str, str], work: Path) -> Manifest:
    start = time.perf_counter()
    host_triple = str(target.tvm.get("mtriple", HOST_TRIPLE))
    link = linker.find(host_triple)
    drawing = weights.begin(variant)
    import numpy as np

    from mbench.compile import codegen, llvm, lower, memory, pack, parallel
    from mbench.compile.schedules import Machine, schedule_all

    llvm.check_llvm(target)
    lowered = lower.lower(variant)
    tvm_target = codegen.tvm_target(target, host_triple)
    with tvm_target:
        kernels = schedule_all(lower.kernel_calls(lowered.module), Machine.of(target), choices.kernels)
        drawn = drawing.result()
        module = pack.install(lower.bind(lowered.module, drawn.parameters), kernels)
    planned = codegen.plan(module, tvm_target)
    codegen.export(codegen.generate(planned, tvm_target), work / artifact.LIBRARY, link)
    np.savez(work / artifact.REFERENCE, input=drawn.example, output=drawn.expected)
    names = {name: pack.installed_name(name, kernel) for name, kernel in kernels.items()}
    calls = _surviving(lowered.calls, names, codegen.called_kernels(planned))
    workspace = {names[name]: memory.workspace_bytes(kernel.plan.function) for name, kernel in kernels.items()}
    loops = {names[name]: parallel.parallel_loops(kernel.plan.function) for name, kernel in kernels.items()}
    layers = _layer_plans(variant, calls, workspace, loops)
    index = {layer.name: number for number, layer in enumerate(layers)}
    used = {names[name]: kernel for name, kernel in kernels.items() if names[name] in dict(calls)}
    return Manifest(
        digest=digest(inputs),
        inputs=inputs,
        variant=variant,
        target=target.name,
        compile_s=time.perf_counter() - start,
        schedules={name: kernel.description for name, kernel in used.items()},
        fallbacks={name: kernel.reason for name, kernel in used.items() if kernel.reason},
        narrow=_narrow(used, Machine.of(target)),
        ignored={name: kernel.ignored for name, kernel in used.items() if kernel.ignored},
        calls=tuple((kernel, index[layer]) for kernel, layer in calls),
        layers=layers,
        weight_bytes=memory.constant_bytes(module),
        activation_peak_bytes=memory.arena_bytes(planned) + drawn.example.nbytes,
        workspace_bytes=max(layer.workspace_bytes for layer in layers),
        files={},
    )


def _narrow(kernels: dict[str, Scheduled], machine: Machine) -> dict[str, int]:
    """Return the kernels whose channels leave more than half of each vector empty, with the lanes in use."""
    lanes = {name: kernel.plan.lanes for name, kernel in kernels.items()}
    return {name: used for name, used in lanes.items() if used is not None and 2 * used < machine.lanes}


def _surviving(
    calls: tuple[KernelCall, ...], names: dict[str, str], called: tuple[str, ...]
) -> tuple[tuple[str, str], ...]:
    """Return (kernel, layer) of the calls that are left in the planned program, in order.

    Raises:
        BuildError: the program calls something that was not attributed to a layer.
    """
    waiting = list(called)
    kept = [(waiting.pop(0), call.layer) for call in calls if waiting[:1] == [names[call.kernel]]]
    if waiting:
        raise BuildError(f"kernel {waiting[0]!r} is called but belongs to no layer")
    return tuple(kept)


def _layer_plans(
    variant: Variant, calls: tuple[tuple[str, str], ...], workspace: dict[str, int], parallel: dict[str, int]
) -> tuple[LayerPlan, ...]:
    """Return the network's layers."""
    kernels: dict[str, tuple[str, ...]] = {}
    for kernel, layer in calls:
        kernels[layer] = (*kernels.get(layer, ()), kernel)
    plans = []
    for spec in models.layers(variant):
        cost = costs.of_layer(spec, variant.dtype)
        square = (spec.kernel, spec.kernel) if spec.is_conv or spec.op == "pool" else None
        plans.append(
            LayerPlan(
                name=spec.name,
                op=spec.op,
                kernels=kernels[spec.name],
                input_shape=spec.input_shape,
                output_shape=spec.output_shape,
                kernel_size=square,
                stride=(spec.stride, spec.stride) if spec.is_conv else None,
                groups=spec.groups if spec.is_conv else None,
                macs=cost.macs,
                params=cost.params,
                weight_bytes=cost.weight_bytes,
                activation_bytes=cost.activation_bytes,
                workspace_bytes=max(workspace[kernel] for kernel in kernels[spec.name]),
                parallel_loops=sum(parallel[kernel] for kernel in kernels[spec.name]),
            )
        )
    return tuple(plans)
