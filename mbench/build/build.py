"""Build: a pure function of (variant, target, tuned choices) to an artifact, cached by the digest of all that goes in.

`build` is called in a process of its own (see `build.builders`); this module imports tvm only when it has to compile,
so that taking an artifact from the cache is quick.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from mbench.build.artifact_store import ArtifactStore
from mbench.compile.machine import KernelMachine
from mbench.core import artifact, dtypes, network_digest, no_gc, plugins, resources, system_limits
from mbench.core.artifact import Artifact, LayerPlan, Manifest
from mbench.core.choices import NO_CHOICES, Choices
from mbench.core.errors import BuildError, OtherInputsError, UnwritableCacheError, cut, shortened
from mbench.core.field_types import MOST_CHARACTERS
from mbench.core.machine_types import Target
from mbench.core.records import Variant
from mbench.hardware import half_sums, linker
from mbench.networks import architectures, costs, signed, weights
from mbench.networks import layers as layers_of
from mbench.networks.layers import LayerSpec

if TYPE_CHECKING:
    from mbench.compile.schedules.rule import Scheduled
    from mbench.compile.to_relax import KernelCall
    from mbench.networks.graph import Graph
    from mbench.networks.network_weights import Weights

_LONGEST = 80
"""Characters that a message quotes of what went into a build."""
_NETWORK = "variant"
"""Among what decides a build, what is a network's own."""
_VERSIONED = ("apache-tvm", "apache-tvm-ffi", "torch", "numpy")


def digest_inputs(variant: Variant, target: Target, choices: Choices = NO_CHOICES) -> dict[str, str]:
    """Return everything that decides what is built, by name.

    The number of threads is part of it through the machine (see `targets.for_threads`) and the tuned choices; for the
    rest TVM splits loops at run time.
    """
    described = {
        _NETWORK: _described(variant),
        "tvm_target": msgspec.json.encode(target.tvm, order="deterministic").decode(),
        "machine": msgspec.json.encode(KernelMachine.of(target), order="deterministic").decode(),
        "sources": _source_digest(),
        "tuned": choices.digest if choices.kernels else "none",
    }
    if choices.prefer:
        described["prefer"] = choices.prefer
    described["linker"] = _linker(target)
    if added := _plugins(variant):
        described["plugins"] = added
    versions = {name: importlib.metadata.version(name) for name in _VERSIONED}
    return {name: sys.intern(text) for name, text in {**described, **versions}.items()}  # held for thousands of builds


def _plugins(variant: Variant) -> str:
    """Return what other packages decide of a build: their rules, and the family of the network, by their code."""
    deciding = list(plugins.entries(plugins.RULES).values())
    network = None if variant.imported else plugins.find(plugins.NETWORKS, variant.family)
    return "; ".join(each.fingerprint() for each in [*deciding, *([network] if network else [])])


def _linker(target: Target) -> str:
    try:
        return " ".join(linker.find(str(target.tvm.get("mtriple", linker.HOST_TRIPLE))))
    except BuildError:
        return "none"


def digest(inputs: dict[str, str]) -> str:
    """Return the address of an artifact: 32 hexadecimal digits."""
    return hashlib.sha256(msgspec.json.encode(inputs, order="deterministic")).hexdigest()[:32]


def digests(networks: Iterable[Variant], target: Target, choices: Choices = NO_CHOICES) -> dict[str, str]:
    """Return the address of each network's artifact by the network's name.

    What decides all builds of a target is looked up once for each family: thousands of networks take a moment.
    """
    shared: dict[str, dict[str, str]] = {}
    found = {}
    for network in networks:
        group = "" if network.imported else network.family
        if group not in shared:
            shared[group] = digest_inputs(network, target, choices)
        found[network.name] = digest({**shared[group], _NETWORK: _described(network)})
    return found


def _described(network: Variant) -> str:
    return msgspec.json.encode(network).decode()


def _source_digest() -> str:
    """Hash the code that decides what is built: networks, their costs, lowering, schedules."""
    package = resources.PACKAGE
    files = [*package.glob("compile/**/*.py"), *package.glob("networks/**/*.py")]
    files = [file for file in files if file.parent.name != "importers"]  # what they made of a file is in its digest
    files += [package / "core" / "artifact.py", package / "core" / "dtypes.py", package / "core" / "network_digest.py"]
    files += [package / "build" / "build.py"]
    files += [package / "hardware" / "linker.py", package / "hardware" / "llvm.py"]
    hashed = hashlib.sha256()
    for file in sorted(files):
        hashed.update(file.relative_to(package).as_posix().encode() + b"\0" + file.read_bytes())
    return hashed.hexdigest()


def build(
    variant: Variant,
    target: Target,
    cache: Path,
    *,
    use_cache: bool = True,
    choices: Choices = NO_CHOICES,
    expected: dict[str, str] | None = None,
) -> tuple[Artifact, bool]:
    """Return the artifact of a variant for a target, and whether it came from the cache.

    Args:
        variant: what to build.
        target: what for.
        cache: the folder that artifacts lie in, by digest.
        use_cache: whether one that is there already may be taken. A damaged one never is.
        choices: how kernels are made that were tuned.
        expected: what `digest_inputs` must come to here, where another machine asks for it.

    Raises:
        OtherInputsError: it comes to something else.
        BuildError: lowering, code generation or linking failed.
        UnwritableCacheError: the cache is full.
        TargetError: LLVM does not know the target's processor.
    """
    inputs = digest_inputs(variant, target, choices)
    if expected is not None and inputs != expected:
        name = next(name for name in sorted({*inputs, *expected}) if inputs.get(name) != expected.get(name))
        had, wanted = (shortened(each.get(name, "absent"), _LONGEST) for each in (inputs, expected))
        raise OtherInputsError(f"it builds with another {name.replace('_', ' ')}: {had}, expected {wanted}")
    store, address = ArtifactStore(cache), digest(inputs)
    if use_cache:
        found = store.sound(address)
        if found is not None:
            return found, True
    else:
        store.discard(address)
    try:
        with store.work() as work:
            with no_gc.not_collected():
                manifest = _compile(variant, target, choices, inputs, work)
            return store.put(manifest, work), False
    except OSError as error:
        raise UnwritableCacheError(
            f"artifacts cannot be written to {cache}: {system_limits.why(error)}; free space or set MBENCH_CACHE_DIR"
        ) from error


def _compile(variant: Variant, target: Target, choices: Choices, inputs: dict[str, str], work: Path) -> Manifest:
    start = time.perf_counter()
    host_triple = str(target.tvm.get("mtriple", linker.HOST_TRIPLE))
    link = linker.find(host_triple)
    drawing = weights.begin(variant)
    from mbench.compile import codegen, fusing, memory, pack, parallel, to_relax
    from mbench.compile.schedules.dispatch import schedule_all
    from mbench.hardware import llvm

    llvm.check_llvm(target)
    drawn = drawing.result() if variant.quantization is not None else None  # its graph depends on its numbers
    outcome = weights.begin_outcome(variant, drawn) if drawn is not None else None
    machine = KernelMachine.of(target)
    graph = _graph(variant, drawn, machine)
    groups = fusing.plan(graph, machine)
    lowered = to_relax.lower(graph, groups)
    tvm_target = codegen.tvm_target(target, host_triple)
    with tvm_target:
        kernels = schedule_all(to_relax.kernel_calls(lowered.module), machine, choices.kernels, choices.prefer)
        drawn = drawn or drawing.result()
        module = pack.install(to_relax.bind(lowered, drawn.parameters), kernels)
    planned = codegen.plan(module, tvm_target)
    codegen.export(codegen.generate(planned, tvm_target), work / artifact.LIBRARY, link)
    _save_reference(work / artifact.REFERENCE, drawn)
    names = {name: pack.installed_name(name, kernel) for name, kernel in kernels.items()}
    calls = _surviving(lowered.calls, names, codegen.called_kernels(planned))
    workspace = {names[name]: memory.workspace_bytes(kernel.plan.function) for name, kernel in kernels.items()}
    loops = {names[name]: parallel.parallel_loops(kernel.plan.function) for name, kernel in kernels.items()}
    specs = layers_of.of_graph(graph, groups)
    layers = _layer_plans(specs, variant.dtype, calls, workspace, loops)
    index = {layer.name: number for number, layer in enumerate(layers)}
    used = {names[name]: kernel for name, kernel in kernels.items() if names[name] in dict(calls)}
    return Manifest(
        digest=digest(inputs),
        inputs=inputs,
        network_digest=network_digest.of_layers(architectures.layers(variant)),
        variant=variant,
        target=target.name,
        compile_s=time.perf_counter() - start,
        schedules={name: kernel.description for name, kernel in used.items()},
        rules={name: kernel.rule for name, kernel in used.items() if not kernel.reason},
        fallbacks={name: kernel.reason for name, kernel in used.items() if kernel.reason},
        narrow=_narrow(used, machine, variant.dtype),
        ignored={name: kernel.ignored for name, kernel in used.items() if kernel.ignored},
        limited={name: kernel.unlimited for name, kernel in used.items() if kernel.unlimited},
        calls=tuple((kernel, index[layer]) for kernel, layer in calls),
        layers=layers,
        replaced=architectures.replaced(variant),
        weight_bytes=memory.constant_bytes(module),
        activation_peak_bytes=memory.arena_bytes(planned) + sum(each.nbytes for each in drawn.examples.values()),
        workspace_bytes=max(layer.workspace_bytes for layer in layers),
        input_names=tuple(cut(name, MOST_CHARACTERS) for name in graph.inputs),
        output_names=architectures.graph(variant).outputs,
        reference=drawn.reference,
        reference_dtype=drawn.reference_dtype,
        reference_resolution=drawn.reference_resolution,
        tolerance=_tolerance(drawn, variant.dtype, machine),
        quantized=drawn.quantized if outcome is None else outcome.result(),
        files={},
    )


def _graph(variant: Variant, drawn: Weights | None, machine: KernelMachine) -> Graph:
    """Return the network as it is compiled: with int8 instead of uint8 where a machine multiplies int8."""
    graph = architectures.folded(variant).graph if drawn is None or drawn.graph is None else drawn.graph
    return signed.signed(graph) if machine.multiplies_signed else graph


def _save_reference(file: Path, drawn: Weights) -> None:
    """Write what `artifact.REFERENCE` holds: inputs and outputs in order, the first ones without a number."""
    import numpy as np

    sides = {"input": drawn.examples.values(), "output": drawn.expected}
    named: dict[str, Any] = {
        f"{side}{place or ''}": value for side, all_ in sides.items() for place, value in enumerate(all_)
    }
    np.savez(file, **named)


def _tolerance(drawn: Weights, dtype: str, machine: KernelMachine) -> float | None:
    """Return what is tolerated whatever is asked; None: nothing but that."""
    if drawn.tolerance is None and dtype == half_sums.TYPE and machine.half_terms:
        return dtypes.network_tolerance(dtype, sums=dtype)
    return drawn.tolerance


def _narrow(kernels: dict[str, Scheduled], machine: KernelMachine, dtype: str = dtypes.DEFAULT) -> dict[str, int]:
    """Return the kernels whose channels leave more than half of each vector empty, with the lanes in use."""
    lanes = {name: kernel.plan.lanes for name, kernel in kernels.items()}
    return {name: used for name, used in lanes.items() if used is not None and 2 * used < machine.sum_lanes(dtype)}


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
    specs: tuple[LayerSpec, ...],
    dtype: str,
    calls: tuple[tuple[str, str], ...],
    workspace: dict[str, int],
    parallel: dict[str, int],
) -> tuple[LayerPlan, ...]:
    """Return the network's layers."""
    kernels: dict[str, tuple[str, ...]] = {}
    for kernel, layer in calls:
        kernels[layer] = (*kernels.get(layer, ()), kernel)
    plans = []
    for spec in specs:
        cost = costs.of_layer(spec, dtype)
        plans.append(
            LayerPlan(
                name=spec.name,
                block=spec.block,
                role=spec.role,
                inputs=spec.inputs,
                source_names=spec.source_names,
                op=spec.op,
                operations=spec.operations,
                contains=spec.contains,
                kernels=kernels[spec.name],
                input_shape=spec.input_shape,
                output_shape=spec.output_shape,
                kernel_size=spec.kernel_size,
                stride=spec.stride,
                groups=spec.groups,
                macs=cost.macs,
                params=cost.params,
                weight_bytes=cost.weight_bytes,
                activation_bytes=cost.activation_bytes,
                workspace_bytes=max(workspace[kernel] for kernel in kernels[spec.name]),
                parallel_loops=sum(parallel[kernel] for kernel in kernels[spec.name]),
            )
        )
    return tuple(plans)
