"""What the LLVM inside TVM knows: processors by name, and this machine. Imports tvm when a function is called."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from mbench.core.errors import TargetError, did_you_mean
from mbench.core.machine_types import Target
from mbench.hardware import host

# An mcpu switches these on, and LLVM then uses them unasked. A hypervisor can hide them from a processor that has them.
_X86_UNASKED = (
    *("ssse3", "sse4.1", "sse4.2", "popcnt", "movbe", "avx", "avx2", "fma", "f16c", "bmi2", "avxvnni"),
    *("avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl", "avx512vnni", "avx512bf16", "avx512fp16"),
    *("avx512vbmi", "avx512vbmi2", "avx512ifma", "avx512bitalg", "avx512vpopcntdq"),
)
_UNASKED = dict(zip(_X86_UNASKED, _X86_UNASKED, strict=True)) | {
    "bmi": "bmi1", "crc": "crc32", "lse": "atomics", "rdm": "asimdrdm", "fullfp16": "asimdhp", "dotprod": "asimddp",
    "fp16fml": "asimdfhm", "complxnum": "fcma", "sve": "sve", "sve2": "sve2", "i8mm": "i8mm", "bf16": "bf16",
}  # fmt: skip
"""LLVM's name of each, and the kernel's. Source: Linux, arch/arm64/kernel/cpuinfo.c."""
_ASKED = {"avx512bf16": {"avx512bw", "avx512vl"}}
"""What is asked for where the level that fits leaves it out and the processor has it; and what it goes with."""
_LEVELS = {
    "x86_64": ("icelake-client", "x86-64-v4", "alderlake", "x86-64-v3", "x86-64-v2", "x86-64"),
    "aarch64": ("neoverse-n1", "cortex-a72", "generic"),
}
"""By architecture: what is common to many processors, from the most to the least."""


def check_llvm(target: Target) -> None:
    """Refuse an mcpu that LLVM does not know for the target's triple; TVM itself would fall back to `generic`.

    Raises:
        TargetError: the mcpu is not known; the message names the nearest that is.

    Source: packed functions `target.llvm_is_valid_cpu` and `target.llvm_get_cpu_archlist` (src/target/llvm).
    """
    if target.tvm.get("kind") != "llvm":
        return
    triple, mcpu = str(target.tvm["mtriple"]), str(target.tvm["mcpu"])
    import tvm

    if triple.split("-", maxsplit=1)[0] not in {str(name) for name in _call("target.llvm_get_targets")} | {"arm64"}:
        raise TargetError(
            f"target '{target.name}': tvm.mtriple {triple!r} is of an architecture that LLVM does not know"
        )
    if _call("target.llvm_is_valid_cpu", mcpu, triple):
        return
    generic = tvm.target.Target({"kind": "llvm", "mtriple": triple})
    known = sorted(str(name) for name in _call("target.llvm_get_cpu_archlist", generic))
    hint = did_you_mean(mcpu, known) or f"; it knows {len(known)}, such as '{known[-1]}'"
    raise TargetError(
        f"target '{target.name}': tvm.mcpu {mcpu!r} is not a processor that LLVM knows for {triple}{hint}"
    )


def host_cpu(features: Collection[str] = ()) -> tuple[str, str]:
    """Return this machine's triple and LLVM's name for its processor.

    Args:
        features: what the kernel lists for the processor (`Host.features`). If the named processor has a vector unit
            that is missing there, as on some virtual machines, the highest common level that fits is returned instead.

    Source: packed functions `target.llvm_get_system_triple`, `…_system_cpu` and `…_cpu_features` (src/target/llvm).
    """
    triple, mcpu = _plain(str(_call("target.llvm_get_system_triple"))), str(_call("target.llvm_get_system_cpu"))
    levels = _LEVELS.get(triple.split("-", maxsplit=1)[0], ())
    if not features or not levels:
        return triple, mcpu
    there = {_bare(feature) for feature in features}
    fitting = (name for name in (mcpu, *levels) if unasked_features(triple, name) <= there)
    return triple, next(fitting, levels[-1])


def host_target() -> Target:
    """Return the target `host`: this machine, as the kernel and LLVM describe it."""
    machine = host.describe()
    triple, mcpu = host_cpu(machine.features)
    used = unasked_features(triple, mcpu)
    asked = [name for name in _ASKED if _bare(_UNASKED[name]) not in used and _is_there(name, machine.features, used)]
    used |= {_bare(_UNASKED[name]) for name in asked}
    requires = tuple(feature for feature in machine.features if _bare(feature) in used)
    return host.target(
        machine, triple=triple, mcpu=mcpu, requires=requires, mattr=",".join(f"+{name}" for name in asked)
    )


def _is_there(name: str, features: Collection[str], used: Collection[str]) -> bool:
    """Return whether a processor has a feature, and its code all that the feature goes with."""
    return _bare(_UNASKED[name]) in map(_bare, features) and _ASKED[name] <= set(used)


def unasked_features(triple: str, mcpu: str) -> set[str]:
    """Return what code for a processor uses without being asked to, in the kernel's words without `_` and `.`."""
    import tvm

    described = _call(
        "target.llvm_get_cpu_features", tvm.target.Target({"kind": "llvm", "mtriple": triple, "mcpu": mcpu})
    )
    return {_bare(_UNASKED[name]) for name in map(str, described) if name in _UNASKED}


def _bare(feature: str) -> str:
    return feature.replace("_", "").replace(".", "")


def _plain(triple: str) -> str:
    """Leave the vendor out (`x86_64-conda-linux-gnu`): it says who built LLVM, and changes no code."""
    parts = triple.split("-")
    return "-".join((parts[0], *parts[2:])) if len(parts) == 4 and parts[2] == "linux" else triple


def _call(name: str, *arguments: Any) -> Any:
    import tvm

    return tvm.get_global_func(name)(*arguments)
