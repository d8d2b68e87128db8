"""Networks in 8 bits beside ONNX Runtime on the QDQ file of the same network, in turns in one process.

Run: python benchmarks/quantized_times.py [VARIANT...] [--threads N] [--layers] [--target NAME] [--largest-weight 63].
Medians of single runs at batch 1. The outputs of both are compared: a byte that ONNX Runtime rounds the other way
changes those after it. `--layers` prints what each kernel takes, and by which rule. ONNX Runtime takes all that the
processor has; kernels may be limited to a target. Where this processor lacks its instructions, as AVX-VNNI, they are
encoded as this one has them (AVX-512 VNNI of 256 bits). `--save FOLDER` writes the QDQ files, for other peers.
"""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime
import qdq_writer
import tvm
from tvm import relax

from mbench.compile import codegen, fusing, pack, to_relax
from mbench.compile.machine import KernelMachine
from mbench.compile.schedules.dispatch import schedule_all
from mbench.compile.schedules.rule import Scheduled
from mbench.core import units
from mbench.hardware import host, llvm, targets
from mbench.networks import architectures, calibration, folding, quantize, torch_network, variants
from mbench.networks.quantize import QuantizedNetwork

VARIANT = "mobilenet_v1_1.0_224"
BLOCKS, RUNS = 15, 20
_PAUSE_S = 0.02
_WARM_UP = 5


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompiledBytes:
    """A network as mbench compiled it: what runs it, its kernels, and which it calls in order."""

    machine: Any
    kernels: Mapping[str, Scheduled]
    calls: Sequence[to_relax.KernelCall]


def quantized(name: str, largest_weight: int = 127) -> tuple[QuantizedNetwork, dict[str, np.ndarray]]:
    """Return a network of drawn weights in 8 bits, and an image."""
    folded = architectures.folded(variants.parse(name))
    parameters = folded.parameters(torch_network.draw(architectures.graph(variants.parse(name))))
    generator = np.random.default_rng(1)
    images = [
        {each: generator.standard_normal(given.shape).astype(np.float32) for each, given in folded.graph.inputs.items()}
        for _ in range(4)
    ]
    ranges = calibration.ranges(folded.graph, parameters, images)
    options = quantize.QuantizeOptions(largest_weight=largest_weight)
    return quantize.quantized(folded.graph, parameters, ranges, options), images[0]


def compiled(network: QuantizedNetwork, threads: int, name: str = "host") -> CompiledBytes:
    """Compile a network for a target and so many threads, as code that runs on this machine."""
    described, here = targets.load(name), llvm.host_target()
    runs = set(described.processor.requires) <= set(host.describe().features)
    target = codegen.tvm_target(described if runs else here, str(here.tvm["mtriple"]))
    machine = dataclasses.replace(KernelMachine.of(described), cores=threads)
    whole = folding.as_compiled(network.graph)
    lowered = to_relax.lower(whole.graph, fusing.plan(whole.graph, machine))
    with target:
        kernels = schedule_all(to_relax.kernel_calls(lowered.module), machine)
        module = pack.install(to_relax.bind(lowered, whole.parameters(network.parameters)), kernels)
    executable = codegen.generate(codegen.plan(module, target), target)
    return CompiledBytes(machine=relax.VirtualMachine(executable, tvm.cpu()), kernels=kernels, calls=lowered.calls)


def session(network: QuantizedNetwork, threads: int) -> onnxruntime.InferenceSession:
    """Return ONNX Runtime on the QDQ file."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    model = qdq_writer.model(network.qdq).SerializeToString()
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def in_turns(contestants: Mapping[str, Callable[[], Any]]) -> dict[str, float]:
    """Return the median seconds of each, run in blocks by turns with a pause between: thread pools spin for a while."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for run in contestants.values():
        for _ in range(_WARM_UP):
            run()
    for _ in range(BLOCKS):
        for name, run in contestants.items():
            time.sleep(_PAUSE_S)
            run()
            for _ in range(RUNS):
                begin = time.perf_counter()
                run()
                times[name].append(time.perf_counter() - begin)
    return {name: statistics.median(each) for name, each in times.items()}


def layer_times(program: CompiledBytes, image: Any) -> list[tuple[str, float]]:
    """Return each kernel's name and its median seconds inside of the network, in order."""
    seen: list[tuple[str, float]] = []
    begin = 0.0

    def watch(_function: Any, name: str, before: bool, _value: Any, *_arguments: Any) -> None:
        nonlocal begin
        if before:
            begin = time.perf_counter()
        else:
            seen.append((str(name), time.perf_counter() - begin))

    program.machine.set_instrument(watch)
    runs = []
    for _ in range(RUNS):
        seen.clear()
        program.machine["main"](image)
        runs.append([each for each in seen if not each[0].startswith("vm.")])
    program.machine.set_instrument(lambda *_given: None)
    names = [name for name, _ in runs[0]]
    return [(name, statistics.median(run[place][1] for run in runs)) for place, name in enumerate(names)]


def compare(name: str, arguments: argparse.Namespace) -> None:
    """Print what a network takes by mbench and by ONNX Runtime."""
    network, image = quantized(name, arguments.largest_weight)
    threads, layers = arguments.threads, arguments.layers
    if arguments.save:
        (arguments.save / f"{name}.onnx").write_bytes(qdq_writer.model(network.qdq).SerializeToString())
    begin = time.perf_counter()
    program = compiled(network, threads, arguments.target)
    taken = time.perf_counter() - begin
    peer, [[key, array]] = session(network, threads), image.items()
    given = tvm.runtime.tensor(array)
    ours, theirs = program.machine["main"](given).numpy(), np.asarray(peer.run(None, image)[0])
    differs = np.abs(ours - theirs).max() / np.abs(theirs).max()
    contestants = {"mbench": lambda: program.machine["main"](given), "onnx": lambda: peer.run(None, {key: array})}
    found = in_turns(contestants)
    print(
        f"{name} {arguments.target} {threads} threads: mbench {units.seconds(found['mbench'])}, ONNX Runtime "
        f"{units.seconds(found['onnx'])}, ratio {found['mbench'] / found['onnx']:.2f}; outputs differ by "
        f"{differs:.2g} of the largest; compiled in {taken:.1f} s"
    )
    for kernel, seconds in layer_times(program, given) if layers else ():
        rule = program.kernels.get(kernel.removesuffix("_packed"))
        print(f"  {seconds * 1e6:8.1f} µs  {kernel:60s} {rule.description if rule else ''}")


def main() -> None:
    """Print a line for each network."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("variants", nargs="*", default=[VARIANT], metavar="VARIANT")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--layers", action="store_true")
    parser.add_argument("--target", default="host")
    parser.add_argument("--largest-weight", type=int, default=127)
    parser.add_argument("--save", type=pathlib.Path, metavar="FOLDER")
    arguments = parser.parse_args()
    tvm.get_global_func("runtime.config_threadpool")(1, arguments.threads)
    for name in variants.expand(arguments.variants):
        compare(name, arguments)


if __name__ == "__main__":
    main()
