"""The registry of hardware targets: folders with a target.toml, from mbench, from other packages and from `--targets`.

Reads descriptions and says what this machine can do with them. Imports neither tvm nor torch; LLVM's opinion on an
mcpu is in `mbench.hardware.llvm`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from mbench.core import plugins, resources
from mbench.core.errors import BuildError, PluginError, TargetError
from mbench.core.machine_types import Host, Target
from mbench.hardware import gpus, host, linker, platforms, target_file

_FILE = target_file.FILE
_OFFERED = 3
"""Names at most that are offered for one that is not known."""
_LONGEST = 100
"""Characters of a name that are compared with others."""
CORES_OF_ONE_THREAD = 4
"""For how many cores the code of one thread is split, at most.

Split for the 72 cores of a Neoverse V2, tiles are small: one thread executes 2 % more instructions of MobileNetV1 and
V2 in float32 than split for four, in int8 3 % and 12 %. Split for one core, no loop is shared out, so that nothing
could be modelled of more threads; the latency of one is then within 0.4 % of that of four, as modelled.
"""


@dataclass(frozen=True, kw_only=True)
class Support:
    """What this machine can do with a target. `reason` says why not, and what to do; it is empty where all works."""

    compile: bool
    measure: bool
    reason: str = ""
    emulate: bool = False
    """Whether QEMU executes its instructions; asked only where they cannot be measured."""


# -------------------------------------------------------------------------------------------------------------- look-up
def load(name: str, *, extra_dirs: Sequence[Path] = ()) -> Target:
    """Return the target called `name`, or known by it as an alias; `-` and `_` are the same, and so is the case.

    `host` is this machine, as the kernel and LLVM describe it; `cuda` is the target for this machine's GPU.

    Args:
        name: of the target.
        extra_dirs: more folders of target folders.

    Raises:
        TargetError: the name is not known, a description is wrong, or the package that adds it is broken.
    """
    if name == "host":
        from mbench.hardware import llvm

        return llvm.host_target()
    broken: list[str] = []
    known = _index(extra_dirs, broken)
    if name == "cuda":
        return _of_gpu(known)
    for candidate in (name, _plain(name)):
        if candidate in known:
            return known[candidate][0]
    if broken:  # it may be one of theirs
        raise TargetError(broken[0])
    meant = " or ".join(f"'{near}'" for near in _near(name, (*target_file.DETECTED, *known)))
    raise TargetError(f"target '{name}' is not known; {f'did you mean {meant}? ' if meant else ''}see 'mbench targets'")


def _near(name: str, known: Iterable[str]) -> tuple[str, ...]:
    """Return the known names that are nearest to one, separators apart, by a few letters; else those that begin so.

    One letter in four may differ, and of two names with equally many differences both are offered.
    """
    bare, known = _bare(name), tuple(known)
    found: dict[str, int] = {}
    for other in known:
        distance = _distance(bare, _bare(other))
        if distance <= max(1, len(bare) // 4):
            found[other] = distance
    if not found and len(bare) >= _OFFERED:
        return tuple(sorted(other for other in known if _bare(other).startswith(bare)))[:_OFFERED]
    least = min(found.values(), default=0)
    return tuple(sorted(other for other, distance in found.items() if distance == least))[:_OFFERED]


def _bare(name: str) -> str:
    return _plain(name).replace("_", "")[:_LONGEST]


def _distance(first: str, second: str) -> int:
    """Return how many letters are to be added, left out, replaced or swapped with the next to make one of the other.

    Source: Damerau, Communications of the ACM 7 (1964), optimal string alignment.
    """
    before: list[int] = []
    last = list(range(len(second) + 1))
    for row, letter in enumerate(first, 1):
        line = [row]
        for column, other in enumerate(second, 1):
            best = min(last[column] + 1, line[-1] + 1, last[column - 1] + (letter != other))
            if row > 1 < column and (letter, first[row - 2]) == (second[column - 2], other):
                best = min(best, before[column - 2] + 1)
            line.append(best)
        before, last = last, line
    return last[-1]


def load_all(extra_dirs: Iterable[Path] = ()) -> dict[str, Target]:
    """Return every target by name, sorted, without those that are detected.

    Raises:
        TargetError: a description is wrong, or two share a name.
    """
    return {name: target for name, (target, _) in sorted(_index(extra_dirs).items()) if name == target.name}


def cores(extra_dirs: Iterable[Path] = ()) -> dict[str, str]:
    """Return the boards among the targets, by name, each with the target whose core it has.

    Raises:
        TargetError: a description is wrong, or two share a name.
    """
    found = {name: target_file.core(file) for name, file in available(extra_dirs).items()}
    return {name: core for name, core in found.items() if core}


def for_threads(target: Target, threads: int) -> Target:
    """Return the target with as many cores as a run has threads, where it has more: layers are split for its cores.

    Two layers that are split well for sixteen cores, one along its pixels and the next along its channels, leave two
    threads with half of their input in each other's cache. One thread has all of it whatever the split, and takes the
    code for `CORES_OF_ONE_THREAD`.
    """
    cores = threads if threads > 1 else CORES_OF_ONE_THREAD
    if not platforms.of(target).on_host or cores >= target.processor.cores:
        return target
    return msgspec.structs.replace(target, processor=msgspec.structs.replace(target.processor, cores=cores))


def available(extra_dirs: Iterable[Path] = (), broken: list[str] | None = None) -> dict[str, Path]:
    """Return the target.toml of each target, by name, sorted. `host` and `cuda` are detected, and not among them.

    Args:
        extra_dirs: more folders of target folders.
        broken: takes what is wrong with packages that add targets; such a package is left out.

    Raises:
        TargetError: two targets have one name, or a folder of targets cannot be read.
    """
    found: dict[str, Path] = {}
    for folder in _folders(extra_dirs, broken):
        for file in sorted(folder.glob(f"*/{_FILE}")):
            name = file.parent.name
            if name in found:
                raise TargetError(
                    f"target '{name}' is described twice, in {found[name]} and in {file}; rename one of them"
                )
            found[name] = file
    return dict(sorted(found.items()))


def broken_packages() -> tuple[str, ...]:
    """Return what is wrong with packages that add targets."""
    found: list[str] = []
    available(broken=found)
    return tuple(found)


def _index(extra_dirs: Iterable[Path], broken: list[str] | None = None) -> dict[str, tuple[Target, Path]]:
    """Return each target with its file, by name and by alias.

    Args:
        extra_dirs: more folders of target folders.
        broken: takes what is wrong with packages that add targets; such a package is left out.
    """
    files = available(extra_dirs, broken)
    found = {name: (target_file.read(file), file) for name, file in files.items()}
    for target, file in list(found.values()):
        for alias in target.aliases:
            if alias in found or alias in target_file.DETECTED:
                other = found[alias][1] if alias in found else "mbench itself"
                raise TargetError(
                    f"target name '{alias}' is taken twice, in {other} and as an alias in {file}; rename one"
                )
            found[alias] = (target, file)
    return found


def _folders(extra_dirs: Iterable[Path], broken: list[str] | None) -> Iterator[Path]:
    yield resources.data_dir("targets")
    for name in plugins.names(plugins.TARGETS):
        try:
            plugin = plugins.find(plugins.TARGETS, name)
            folder = plugin.folders()[0] if plugin else None
            for file in folder.glob(f"*/{_FILE}") if folder else ():
                target_file.read(file)
        except (PluginError, TargetError) as error:
            if broken is not None:
                broken.append(str(error))
        else:
            if folder:
                yield folder
    for folder in map(Path, extra_dirs):
        if not any(folder.glob(f"*/{_FILE}")):
            raise TargetError(f"--targets {folder}: no target folders there; expected {folder}/NAME/{_FILE}")
        yield folder


def _plain(name: str) -> str:
    return name.lower().replace("-", "_")


# ----------------------------------------------------------------------------------------------------- what can be done
def support(target: Target, host: Host) -> Support:
    """Return what `host` can do with `target`: compile for it, and measure on itself."""
    for key, wrong in target_file.inconsistencies(target):  # out of a record it may say anything
        return Support(compile=False, measure=False, reason=f"{key}: {wrong}")
    kind = target.tvm["kind"]
    if kind == "cuda":
        return _support_cuda(str(target.tvm["arch"]))
    if kind != "llvm":
        return Support(
            compile=False, measure=False, reason=f"tvm.kind '{kind}' is not in this version; it has llvm and cuda"
        )
    try:
        linker.find(str(target.tvm["mtriple"]), machine=host.architecture)
    except BuildError as error:
        return Support(compile=False, measure=False, reason=str(error))
    wanted = linker.architecture(str(target.tvm["mtriple"]))
    if wanted != host.architecture:
        return Support(
            compile=True,
            measure=False,
            reason=f"not measured here, which needs an {wanted} machine: see --device rpc://HOST:PORT",
            emulate="qemu_cpu" in target.emulation,
        )
    if not linker.of_this_system(str(target.tvm["mtriple"])):
        return Support(
            compile=True, measure=False, reason="not measured here: its code is for Linux; use --target host"
        )
    lacking = [feature for feature in target.processor.requires if feature not in host.features]
    if lacking:
        return Support(
            compile=True,
            measure=False,
            reason=f"not measured here: this processor ({host.cpu}) lacks {', '.join(lacking)}",
            emulate="qemu_cpu" in target.emulation,
        )
    return Support(compile=True, measure=True)


def _support_cuda(arch: str) -> Support:
    reason = gpus.no_compiling(arch)
    if reason:
        return Support(compile=False, measure=False, reason=reason)
    reason = gpus.no_measuring(arch)
    return Support(compile=True, measure=not reason, reason=reason)


def _of_gpu(known: dict[str, tuple[Target, Path]]) -> Target:
    """Return the target for this machine's GPU, described as the GPU describes itself."""
    by_arch = {
        str(target.tvm.get("arch")): target
        for target, file in known.values()
        if not platforms.of(target).on_host and not target_file.core(file)  # a board's GPU has clocks of its own
    }
    choices = ", ".join(sorted(target.name for target in by_arch.values()))
    gpu = gpus.found()
    if gpu is None:
        why = gpus.absent().partition("; ")[0] or "the NVIDIA driver shows no GPU"
        raise TargetError(f"target 'cuda': {why}; to compile for another machine's, name it: {choices}")
    if gpu.arch not in by_arch:
        raise TargetError(f"target 'cuda': there is none for {gpu.name} ({gpu.arch}); name one: {choices}")
    return gpus.as_found(by_arch[gpu.arch], gpu)


def as_run_here(target: Target, machine: Host) -> Target:
    """Return a target with the caches, cores and static power of the machine that executes it.

    A target's own are its reference machine's. Static power of this one is not known, unless the target is `host`.
    """
    platform = platforms.of(target)
    if not platform.on_host:
        return gpus.as_found(target, platform.detect())
    tvm = target.tvm
    here = host.target(machine, triple=str(tvm["mtriple"]), mcpu=str(tvm["mcpu"])).processor
    processor = msgspec.structs.replace(
        target.processor, cores=here.cores, frequency_hz=here.frequency_hz, l1d=here.l1d, l2=here.l2, l3=here.l3
    )
    energy = target.energy
    if energy is not None and target.name != "host":
        energy = msgspec.structs.replace(energy, static_w=None)
    return msgspec.structs.replace(target, processor=processor, energy=energy)
