"""What nvcc says that kernels take: registers, shared memory, stack and spills, beside what a GPU allows."""

from __future__ import annotations

import dataclasses
import platform
import re
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from cuda_on_cpu import host_of, lowered, machine, source_of
from tvm import tirx
from tvm.support import nvcc

from mbench.compile import codegen
from mbench.hardware import targets


@dataclasses.dataclass(frozen=True, kw_only=True)
class Usage:
    """Of one kernel: registers a thread, bytes a block, bytes a thread."""

    registers: int
    shared_bytes: int
    stack_bytes: int
    spilled_bytes: int


_REPORT = re.compile(
    r"Compiling entry function '(?P<name>\w+)_kernel' for .*?(?P<stack>\d+) bytes stack frame, (?P<stores>\d+) bytes "
    r"spill stores, (?P<loads>\d+) bytes spill loads.*?Used (?P<registers>\d+) registers(?P<rest>[^\n]*)",
    re.DOTALL,
)


def ptx(functions: Mapping[str, tirx.PrimFunc], target: str) -> dict[str, str]:
    """Compile kernels for a target's architecture as TVM does; return the PTX of each."""
    arch, host = str(targets.load(target).tvm["arch"]), f"{platform.machine()}-linux-gnu"
    with codegen.tvm_target(targets.load(target), host):
        whole = bytes(nvcc.compile_cuda(source_of(functions, target), target_format="ptx", arch=arch, compiler="nvcc"))
    parts = re.split(r"\.visible \.entry (\w+)_kernel\(", whole.decode())
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def usage(functions: Mapping[str, tirx.PrimFunc], target: str) -> dict[str, Usage]:
    """Compile kernels for a target's architecture and read nvcc's report (`-Xptxas -v`)."""
    with tempfile.TemporaryDirectory() as folder:
        source, cubin = Path(folder) / "kernels.cu", Path(folder) / "kernels.cubin"
        source.write_text(source_of(functions, target))
        arch = targets.load(target).tvm["arch"]
        words: list[str] = ["nvcc", f"-arch={arch}", "-cubin", "-Xptxas", "-v", "-o", str(cubin), str(source)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
    found = {}
    for match in _REPORT.finditer(done.stderr):
        shared = re.search(r"(\d+) bytes smem", match["rest"])
        found[match["name"]] = Usage(
            registers=int(match["registers"]),
            shared_bytes=int(shared[1]) if shared else 0,
            stack_bytes=int(match["stack"]),
            spilled_bytes=int(match["stores"]) + int(match["loads"]),
        )
    assert found.keys() == functions.keys(), "each kernel is in the report"
    return found


def complaints(functions: Mapping[str, tirx.PrimFunc], target: str) -> dict[str, str]:
    """Return which kernels a GPU would not run, or would run from memory in place of registers, and why."""
    limits = machine(target).limits
    assert limits is not None
    host, found = lowered(functions, target)[0], {}
    for name, used in usage(functions, target).items():
        [launch] = host_of(functions[name], host[name]).launches
        *blocks, threads = launch.grid
        resident = limits.resident(threads=threads, registers=used.registers, shared_bytes=used.shared_bytes)
        wrong = {
            f"{used.spilled_bytes} bytes spilled": used.spilled_bytes > 0,
            f"{used.stack_bytes} bytes of stack": used.stack_bytes > 0,
            f"{threads} threads of {used.registers} registers, {used.shared_bytes} bytes shared": not resident,
            f"a grid of {blocks}": blocks[0] >= 2**31 or max(blocks[1:]) > 65535,
        }
        if any(wrong.values()):
            found[name] = "; ".join(text for text, holds in wrong.items() if holds)
    return found
