"""Exact counts against what is known without them: the networks' own arithmetic, callgrind, and caches on paper."""

from __future__ import annotations

import collections
import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
from conftest import require
from emulated_networks import PLAN, VARIANT, built, needs, observed, reseal

from mbench.core import artifact
from mbench.core.artifact import Artifact
from mbench.core.errors import MeasureError
from mbench.devices import toolchain
from mbench.devices.emulated import EmulatedDevice
from mbench.hardware import linker, targets
from mbench.measure import counters
from mbench.measure.decode import Decoder, InstructionCost
from mbench.measure.observation import CountedRun
from mbench.networks import architectures, variants
from mbench.networks.layers import LayerSpec

NAMES = ("arm64_cortex_a72", "x86_64_v3")
EVERY = (
    *(*NAMES, "arm64_cortex_a53", "arm64_cortex_a55", "arm64_cortex_a76", "arm64_cortex_a78"),
    *("arm64_neoverse_n1", "arm64_neoverse_v1", "arm64_neoverse_v2", "arm64_apple_m1"),
)
REPEATS = 8


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("counted")


def counted(target: str, made: Artifact, locks: Path) -> CountedRun:
    seen = observed(target, made, locks)
    assert seen.numerics.passed, seen.numerics
    assert seen.counted is not None, seen.counts_missing
    return seen.counted


# ----------------------------------------------------------------------------------------------------------- arithmetic
def taps(size: int, out: int, side: int, stride: int, padding: int) -> int:
    """Return how many taps of a kernel's side lie inside an image's side, over all outputs."""
    starts = (at * stride - padding for at in range(out))
    return sum(max(0, min(start + side, size) - max(start, 0)) for start in starts)


def flops_by_hand(spec: LayerSpec) -> int:
    """Return the operations of a layer: multiply-adds of taps inside the image, begun with the bias, and one ReLU."""
    _, channels, *_ = spec.input_shape
    outputs = int(np.prod(spec.output_shape))
    if spec.op == "pool":
        return int(np.prod(spec.input_shape)) + outputs  # additions, and one multiplication each
    if spec.op == "dense":
        return 2 * channels * outputs
    side, out = spec.input_shape[-1], spec.output_shape[-1]
    assert spec.kernel_size
    assert spec.stride
    assert spec.groups
    inside = taps(side, out, spec.kernel_size[0], spec.stride[0], (spec.kernel_size[0] - 1) // 2) ** 2
    return 2 * inside * spec.output_shape[1] * channels // spec.groups + outputs


TWICE = {"x86_64_v3": {"fc": 24}}
"""Outputs that are computed twice: 1000 are 31 panels of 32 and 8 more, so the last panel overlaps the one before."""


@pytest.mark.parametrize("target", EVERY)
def test_every_target_computes_what_pytorch_does_with_the_operations_that_it_takes(target: str, cache: Path) -> None:
    run = counted(target, built(target, cache), cache)
    specs = {spec.name: spec for spec in architectures.layers(variants.parse(VARIANT))}
    done = {name: call.counters.flops for name, call in zip(run.layers, run.calls, strict=True)}
    expected = {name: flops_by_hand(spec) for name, spec in specs.items()}
    surplus = {name: done[name] - expected[name] for name in expected if done[name] != expected[name]}
    assert surplus == {name: 2 * 256 * outputs for name, outputs in TWICE.get(target, {}).items()}
    assert run.target == target
    for call in run.calls:
        assert call.counters.instructions > max(call.counters.loads, call.counters.vector_instructions)
        assert call.traffic_bytes is not None
        assert call.traffic_bytes["L1"] == call.counters.load_bytes + call.counters.store_bytes


# ------------------------------------------------------------------------------------------------------------ callgrind
def callgrind(made: Artifact, folder: Path, runs: int) -> dict[str, int]:
    """Return the instructions of each function of the library in `runs` runs, as valgrind counts them."""
    server = toolchain.server("x86_64-linux-gnu")
    (folder / artifact.LIBRARY).symlink_to(made.library)
    command = [
        "valgrind", "--tool=callgrind", "--callgrind-out-file=out", "--dump-instr=no", str(server.program), "--once",
        "--port", "0", "--dir", ".",
    ]  # fmt: skip
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env={"TVM_NUM_THREADS": "1", "PATH": os.environ["PATH"]},
    ) as process:  # fmt: skip
        assert process.stdout is not None
        port = process.stdout.readline().rpartition(":")[2].strip()
        client = f"""
import sys
sys.modules["torch"] = None
from pathlib import Path
from mbench.core import artifact
from mbench.devices import line
from mbench.devices.address import Address
from mbench.devices.remote_program import RemoteProgram
connected = line.connect(Address("127.0.0.1", {port}), waiting=print, patience_s=0)
program = RemoteProgram(connected, artifact.load(Path({str(made.folder)!r})))
for _ in range({runs}):
    program.run()
del program
connected.close()
"""
        subprocess.run([sys.executable, "-c", client], check=True)
        assert process.wait(120) == 0
    return of_library((folder / "out").read_text())


def of_library(text: str) -> dict[str, int]:
    """Return the self cost of each function of the library. Source: "Callgrind Format Specification" of valgrind."""
    names: dict[str, str] = {}
    costs: collections.Counter[str] = collections.Counter()
    within, function, skip = "", "", False
    for line in text.splitlines():
        found = re.match(r"(ob|fn|cob|cfn|fl|fi|fe|cfi|cfl|calls)=(?:\((\d+)\))?\s*(.*)", line)
        if found:
            kind, number, name = found.groups()
            if kind == "calls":
                skip = True  # the next line is the cost of the callee
                continue
            space = kind.removeprefix("c")[0] + kind.removeprefix("c")[1]
            key = f"{'fl' if space in ('fi', 'fe') else space}{number}"
            if name:
                names[key] = name
            if kind == "ob":
                within = names[key]
            if kind == "fn":
                function = names[key]
        elif re.match(r"[+\-*\d]", line):
            if not skip and within.endswith(f"/{artifact.LIBRARY}"):
                costs[function] += int(line.split()[1])
            skip = False
    return costs


def test_kernels_take_as_many_instructions_as_callgrind_counts(cache: Path, tmp_path: Path) -> None:
    require(shutil.which("valgrind"), "valgrind is not on PATH")
    made = built("x86_64_v3", cache)
    run = counted("x86_64_v3", made, cache)
    one, two = (callgrind(made, fresh(tmp_path / str(runs)), runs) for runs in (1, 2))
    rest = {name: two[name] - one[name] for name in two}
    kernels = collections.Counter[str]()
    for (kernel, _), call in zip(made.manifest.calls, run.calls, strict=True):
        kernels[kernel] += call.counters.instructions
    for kernel in sorted(kernels, key=len, reverse=True):  # what has the kernel's name, and one function without a name
        named = [name for name in rest if re.sub(r"^__tvm_ffi_|_compute_$", "", name) == kernel]
        kernels[kernel] -= sum(rest.pop(name) for name in named)
        if kernels[kernel]:
            body = next((name for name in rest if rest[name] == kernels[kernel] and name.startswith("0x")), None)
            assert body, f"{kernel}: no function of {kernels[kernel]} instructions in {sorted(rest.items())}"
            rest.pop(body)
    assert sum(rest.values()) == 0, rest


def fresh(folder: Path) -> Path:
    folder.mkdir()
    return folder


# ------------------------------------------------------------------------------------------------------ always the same
def test_counts_are_the_same_every_time(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under load (two at a time), from other directories, with another environment and other input values."""
    made = built("arm64_cortex_a72", cache)
    first = counted("arm64_cortex_a72", made, cache)

    def again(index: int) -> CountedRun:
        copy = tmp_path / ("x" * (1 + 7 * index)) / "artifact"
        shutil.copytree(made.folder, copy)
        with np.load(made.reference) as reference:  # one output is enough to see that a network is linear in nothing
            values = reference["input"] if index % 2 else np.roll(reference["input"], index, axis=2)
            output = reference["output"]
        tolerant = msgspec.structs.replace(PLAN, tolerance=1e9)
        np.savez(copy / artifact.REFERENCE, input=values, output=output)
        other = Artifact(copy, reseal(copy, made))
        device = EmulatedDevice(
            targets.load("arm64_cortex_a72"), lock_dir=tmp_path / str(index), timeout_s=60, waiting=lambda _: None
        )
        try:
            seen = device.measure(other, tolerant, lambda *_: None)
        finally:
            device.close()
        assert seen.counted is not None
        return seen.counted

    monkeypatch.setenv("MBENCH_TEST_FILLER", "x" * 5000)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        runs = list(pool.map(again, range(REPEATS)))
    assert len(runs) == REPEATS
    assert all(run == first for run in runs)


# ----------------------------------------------------------------------------------------------------------- the caches
LIBRARY = """
static float data[1 << 16] __attribute__((aligned(4096)));
#define EACH_LINE for (int i = 0; i < floats; i += 16)
float read_all(int floats) { float sum = 0; EACH_LINE sum += *(volatile float *)&data[i]; return sum; }
void write_all(int floats) { EACH_LINE *(volatile float *)&data[i] = 1; }
"""
PROGRAM = """
#include <dlfcn.h>
#include <stdlib.h>
__attribute__((noinline)) void mbench_roi_begin(void) { __asm__ volatile("" ::: "memory"); }
__attribute__((noinline)) void mbench_mark(void) { __asm__ volatile("" ::: "memory"); }
__attribute__((noinline)) void mbench_roi_end(void) { __asm__ volatile("" ::: "memory"); }
int main(int count, char **words) {
  void *library = dlopen("./model.so", RTLD_NOW);
  float (*read_all)(int) = (float (*)(int))dlsym(library, "read_all");
  void (*write_all)(int) = (void (*)(int))dlsym(library, "write_all");
  mbench_roi_begin();
  for (int i = 1; i < count; i++) {
    int floats = atoi(words[i] + 1);
    mbench_mark();
    if (words[i][0] == 'r') read_all(floats); else write_all(floats);
    mbench_mark();
  }
  mbench_roi_end();
  return 0;
}
"""


@pytest.fixture(scope="module", params=["aarch64", "x86_64"])
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """Return an architecture and a folder with a program that reads and writes what it is told, in steps of a line."""
    needs("arm64" if request.param == "aarch64" else "x86")
    folder = tmp_path_factory.mktemp(request.param)
    compiler = linker.find(f"{request.param}-linux-gnu")
    for name, text, options in (("model.so", LIBRARY, ("-shared", "-fPIC")), ("program", PROGRAM, ("-ldl",))):
        source = folder / f"{name}.c"
        source.write_text(text)
        subprocess.run(
            [*compiler, "-x", "c", "-O2", "-fno-tree-vectorize", source, "-o", folder / name, *options], check=True
        )
    return request.param, folder


def lines(program: tuple[str, Path], caches: tuple[str, ...], *steps: str) -> list[tuple[tuple[int, int], ...]]:
    """Return (fills, write-backs) of each level, of each step."""
    architecture, folder = program
    triple = f"{architecture}-linux-gnu"
    emulator = toolchain.emulator(triple)
    options = ",".join([str(toolchain.plugin(emulator)), "out=counts.txt", "match=/model.so", *caches])
    subprocess.run(
        [emulator.command, "-L", toolchain.sysroot(triple), "-plugin", options, "./program", *steps],
        cwd=folder, check=True, env={},
    )  # fmt: skip
    segments = counters.read(folder / "counts.txt", Decoder(architecture))
    return [segment.lines for segment in segments[1::2]]


SMALL = "l1=4096:4:64"
LARGE = "l2=65536:8:64"


FEW = 8
"""Lines of the stack that come and go beside the data's."""


def data_only(found: list[tuple[tuple[int, int], ...]], level: int = 0) -> list[tuple[int, int]]:
    """Return a level's lines."""
    return [step[level] for step in found]


def test_lines_that_fit_are_filled_once(program: tuple[str, Path]) -> None:
    (first, _), (second, _) = data_only(lines(program, (SMALL,), "r512", "r512"))  # 2 KiB in 4
    assert first == pytest.approx(32, abs=FEW)
    assert second == 0


def test_lines_that_do_not_fit_are_filled_each_time(program: tuple[str, Path]) -> None:
    found = data_only(lines(program, (SMALL,), "r2048", "r2048", "r2048"))  # 8 KiB in 4, least recently used goes
    assert [fills for fills, _ in found] == [pytest.approx(128, abs=FEW)] * 3
    assert all(written <= FEW for _, written in found[1:])  # the first pushes out what the start of the program wrote


def test_written_lines_are_written_back_when_they_go(program: tuple[str, Path]) -> None:
    steps = ("r2048", "w512", "r512", "w512", "w2048")  # 8 KiB to clean the 4, then 2, then 8
    _, (filled, _), (again, _), (third, _), (_, written) = data_only(lines(program, (SMALL,), *steps))
    assert filled == pytest.approx(32, abs=FEW)
    assert again <= FEW
    assert third <= FEW
    assert written == pytest.approx(64, abs=FEW)  # the first half of these goes for the second


def test_the_next_level_catches_what_the_first_cannot_hold(program: tuple[str, Path]) -> None:
    found = lines(program, (SMALL, LARGE), "r4096", "r4096")  # 16 KiB in 4 and 64
    assert [fills for fills, _ in data_only(found, 0)] == [pytest.approx(256, abs=FEW)] * 2
    assert [fills for fills, _ in data_only(found, 1)] == [pytest.approx(256, abs=FEW), 0]


def test_longer_lines_behind_are_filled_half_as_often(program: tuple[str, Path]) -> None:
    found = lines(program, (SMALL, "l2=65536:8:128"), "r4096")
    assert data_only(found, 0)[0][0] == pytest.approx(256, abs=FEW)
    assert data_only(found, 1)[0][0] == pytest.approx(128, abs=FEW)


@pytest.mark.parametrize("option", ["l1=0:4:64", "l1=4096:4:60", "l2=4096:4:64", "unknown=1"])
def test_wrong_options_are_refused(program: tuple[str, Path], option: str) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        lines(program, (option,), "r16")


# ------------------------------------------------------------------------------------------------------------- failures
def test_counts_that_were_cut_short_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "counts.txt"
    file.write_text("B 0 d65f03c0\nS\nD 0 1\n")
    with pytest.raises(MeasureError, match="truncated"):
        counters.read(file, Decoder("aarch64"))
    with pytest.raises(MeasureError, match="wrote no counts"):
        counters.read(tmp_path / "none", Decoder("aarch64"))
    file.write_text("B 0 d65f03c0\nS\nD 0 1\nE\n")
    with pytest.raises(MeasureError, match="cannot be decoded"):
        counters.read(file, Decoder("x86_64"))


def test_calls_that_do_not_fit_are_refused() -> None:
    nothing = counters.Segment(InstructionCost(), ())
    with pytest.raises(MeasureError, match="2 segments were counted, expected 3 for 1 calls"):
        counters.of_calls([nothing] * 2, ["kernel"], ["kernel"], ())
    with pytest.raises(MeasureError, match="not those of the artifact"):
        counters.of_calls([nothing] * 3, ["other"], ["kernel"], ())
