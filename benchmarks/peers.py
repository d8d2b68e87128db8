"""How fast mbench's code is beside other runtimes: same networks, weights, inputs, threads, taking turns in one run.

Run: python benchmarks/peers.py [NETWORK...]; the peers come with `pip install '.[peers]'`. Without a network: the 16
of MobileNetV1's paper, and the standard one. Exit code 1 if a runtime's output is wrong or mbench has no time.

A network is a name, a grid or your own ONNX file, as for `mbench run`. A file is compared with the peers that read it,
ONNX Runtime and OpenVINO, and the ratio is to ONNX Runtime. Where it leaves a shape open, give it alone:
`peers.py FILE.onnx --input-shape x=1,3,48,320`.

A table in pieces: `--rows FILE` adds each network to a file as soon as it was seen; `peers.py --show FILE...` measures
nothing and prints the tables of such files in Markdown.

In 8-bit whole numbers: `--dtype int8 [NAME...|FILE.onnx...]`. Peers get QDQ and .tflite files of mbench's own network
(`int8_formats`); a quantised file of yours is loaded as it is. mbench has to give what docs/int8.md defines, to the
last bit; a peer may differ from it by twice as much as it differs from float32.

On an NVIDIA GPU: python benchmarks/peers.py --gpu [--dtype float16] [NAME...], where a name such as
mobilenet_v1_1.0_224_b64 has its batch; the peers there are those of gpu_runtimes.py that are installed.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import hashlib
import statistics
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path

import cases
import contest
import gpu_runtimes
import machine
import peer_rows
import runtimes
import standings
from cases import MBENCH, Case, Runtime
from standings import Standing, Timed

from mbench.build import builders
from mbench.core import dtypes
from mbench.core.choices import NO_CHOICES
from mbench.core.errors import MbenchError, UsageError
from mbench.core.machine_types import Target
from mbench.core.records import Failure, Variant
from mbench.core.run_options import RunOptions
from mbench.hardware import host, targets
from mbench.measure.numerics import Expected
from mbench.networks import variants
from mbench.networks.given import GivenNetworks, HowToImport
from mbench.networks.importers import front_ends
from mbench.pipeline import quantizing, runner
from mbench.tuning import choice_files

VARIANTS = ("mobilenet_v1_{0.25,0.5,0.75,1.0}_{128,160,192,224}", "mobilenet_v1_1.0_224_standard")
INT8_VARIANTS = (
    *("mobilenet_v1_{0.25,0.5,0.75,1.0}_{128,160,224}", "mobilenet_v2_{0.35,0.5,0.75,1.0}_{128,160,224}"),
    *("mobilenet_v3_large_1.0_224", "mobilenet_v3_small_1.0_224", "mobilenet_v4_conv_small_1.0_224"),
    "efficientnet_lite0_1.0_224",
)
AGAINST_OF_FILES = "onnxruntime"
"""The peer that a user's own file is compared with, which computed what its outputs have to be."""
_NEEDED = {"avx2_vnni": "avx_vnni", "avx512": "avx512f"}
"""What a processor has to have to be limited to something: else peers would be limited to less."""
GPU_VARIANTS = ("mobilenet_v1_1.0_224_b{1,64}", "mobilenet_v1_1.0_224_standard_b{1,64}")


def main() -> int:
    """Compare, then print a table for each number of threads; return the exit code."""
    arguments = _arguments()
    if arguments.show:
        return _show(arguments)
    seen: list[Standing] = []
    code = 0
    try:
        wanted = _networks(arguments)
        target = runner.resolve_target(arguments.target)
        installed, missing = _installed(arguments)
        if arguments.gpu and (reason := targets.support(target, host.describe()).reason):
            raise UsageError(f"--gpu: target '{target.name}': {reason}")
        heading = _heading(wanted, target, installed, arguments)
        for standing in _compare_all(wanted, target, missing, arguments):
            seen.append(standing)
            if arguments.rows:
                peer_rows.append(arguments.rows, _row(standing, target, installed, arguments))
            _progress(_line(standing))
    except MbenchError as error:
        _progress(f"peers.py: {error}")
        return 2
    except KeyboardInterrupt:
        code = 130
    if seen:
        _report(heading, seen, arguments)
    return code or int(any(standing.wrong or MBENCH in standing.left_out for standing in seen))


def _arguments() -> argparse.Namespace:
    here = host.describe()
    usable = here.within_quota(here.processors_usable or 1)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help="names, grids or ONNX files, as for mbench run")
    parser.add_argument(
        "--input-shape",
        action="append",
        default=[],
        metavar="NAME=N,N,...",
        help="of a file's input, as for mbench run",
    )
    parser.add_argument("--threads", type=int, nargs="+", default=sorted({1, min(2, usable)}))
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--gpu", action="store_true", help="on this machine's NVIDIA GPU")
    parser.add_argument("--dtype", default="float32", help="float32, int8, or on a GPU float16")
    parser.add_argument("--target", help="what mbench compiles for: by default host, with --gpu cuda")
    parser.add_argument("--weight-bits", type=int, choices=(7, 8), default=8, help="of int8: 7 cannot saturate AVX2")
    parser.add_argument("--tuned", action="store_true", help="mbench's kernels as `mbench tune` found; else by rule")
    parser.add_argument("--runtimes", nargs="+", help="by default all")
    parser.add_argument("--isa", choices=cases.ISAS, help="limit the peers that can be; for mbench, choose --target")
    parser.add_argument(
        "--clock", choices=contest.CLOCKS, default="wall", help="processor: beside other work, 1 thread"
    )
    parser.add_argument("--rows", type=Path, metavar="FILE", help="add a line of JSON a network, with all samples")
    parser.add_argument("--show", type=Path, nargs="+", metavar="FILE", help="print the tables of such files, and end")
    parser.add_argument("--markdown", action="store_true")
    arguments = parser.parse_args()
    known = _known(arguments)
    arguments.target = arguments.target or ("cuda" if arguments.gpu else "host")
    arguments.threads = [1] if arguments.gpu else arguments.threads
    arguments.runtimes = arguments.runtimes or list(known)
    if unknown := set(arguments.runtimes) - set(known):
        parser.error(f"--runtimes: {', '.join(sorted(unknown))}: expected some of {', '.join(known)}")
    if arguments.dtype not in (("float32", "float16") if arguments.gpu else ("float32", "int8")):
        parser.error(
            f"--dtype {arguments.dtype}: expected float32 or int8, with --gpu float32 or float16: no peer there loads "
            "what mbench quantised"
        )
    if arguments.rounds < 1 or not 1 <= min(arguments.threads) <= max(arguments.threads) <= usable:
        parser.error(f"expected 1 round or more, and 1 to {usable} threads, which this process may use")
    if arguments.clock == "processor" and (arguments.gpu or arguments.threads != [1]):
        parser.error("--clock processor: expected --threads 1, and not --gpu")
    if arguments.isa in _NEEDED and _NEEDED[arguments.isa] not in here.features:
        parser.error(f"--isa {arguments.isa}: this processor has no {_NEEDED[arguments.isa]}; expected avx2")
    if arguments.rows and not arguments.rows.parent.is_dir():
        parser.error(f"--rows: there is no folder {arguments.rows.parent}")
    return arguments


def _networks(arguments: argparse.Namespace) -> dict[Variant, Path | None]:
    """Return the networks, each with the user's own file if it is of one.

    Raises:
        UsageError: a network is not known, a file cannot be imported, or it is none that peers read.
    """
    by_default = INT8_VARIANTS if arguments.dtype == dtypes.INT8 else VARIANTS
    given = arguments.networks or (GPU_VARIANTS if arguments.gpu else by_default)
    own = [text for text in given if front_ends.is_source(text)]
    if own and arguments.gpu:
        raise UsageError(f"{own[0]}: --gpu compares networks by name alone; leave out --gpu")
    if other := next((text for text in own if not text.lower().endswith(".onnx")), None):
        raise UsageError(f"{other}: peers read ONNX files alone; export it to FILE.onnx, and give that")
    quantization = quantizing.settings(RunOptions(weight_bits=arguments.weight_bits))
    known = GivenNetworks(given, HowToImport(input_shapes=tuple(arguments.input_shape)))
    found = known.variants((arguments.dtype,), quantization)
    files = {hashlib.sha256(path.read_bytes()).hexdigest(): path for path in map(Path, own)}
    return {variant: files.get(str(variant.parameters.get("file_sha256"))) for variant in found}


def _kernels(arguments: argparse.Namespace) -> str:
    """Return how kernels and weights are made, as rows are told apart by it."""
    made = "tuned" if arguments.tuned else "rule"
    return made if arguments.weight_bits == 8 else f"{made}, {arguments.weight_bits}-bit weights"


def _known(arguments: argparse.Namespace) -> dict[str, Runtime]:
    return runtimes.available(gpu=arguments.gpu, dtype=arguments.dtype)


def _progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _installed(arguments: argparse.Namespace) -> tuple[dict[str, str], dict[str, str]]:
    """Return the versions of the runtimes that are installed, and why the others are not there."""
    versions, missing = {}, {}
    known = _known(arguments)
    for name in arguments.runtimes:
        try:
            versions[name], *_ = [metadata.version(package) for package in known[name].packages]
        except metadata.PackageNotFoundError as error:
            hint = error.name if arguments.gpu else "'.[peers]'"
            missing[name] = f"{error.name} is not installed; pip install {hint}"
    return versions, missing


def _heading(
    wanted: Iterable[Variant], target: Target, installed: dict[str, str], arguments: argparse.Namespace
) -> str:
    """Return the machine, the versions, and which instructions the runtimes may use."""
    known = _known(arguments)
    versions = ", ".join(f"{known[name].title} {version}" for name, version in installed.items() if name != MBENCH)
    turns = f"{arguments.clock} time, {arguments.rounds} rounds of blocks of {contest.BLOCK_S * 1e3:.0f} ms"
    how = f"each runtime in a process of its own, {turns} in turn, the others stopped; ratio: mbench over the best peer"
    if any(variant.imported for variant in wanted):
        how += f", of a file over {known[AGAINST_OF_FILES].title}; its inputs' shapes are settled for all"
    own = f"target {target.name}, kernels {'made as tuned' if arguments.tuned else 'by rule'}"
    own += f", {arguments.weight_bits}-bit weights" if arguments.dtype == dtypes.INT8 else ""
    if arguments.gpu:
        return f"{machine.gpu_heading()}\npeers: {versions}\n{arguments.dtype}, no TF32, {own}\n{how}"
    wide = "avx512f" in host.describe().features
    batched = any(variant.batch > 1 and not variant.imported for variant in wanted)
    batch = "; ncnn has no batches: one image after the other" if batched else ""
    limit = "this processor has AVX-512 and every runtime may use it" if wide else "this processor has no AVX-512"
    if arguments.isa and (wide or arguments.dtype == dtypes.INT8):
        free = ", ".join(known[name].title for name in installed if name != MBENCH and not known[name].obeys_isa)
        limit = f"peers limited to {arguments.isa.upper()}, but for those that have no switch for it: {free or 'none'}"
    return f"{machine.heading()}\npeers: {versions}\n{arguments.dtype}, mbench's {own}; {limit}{batch}\n{how}"


def _compare_all(
    wanted: Mapping[Variant, Path | None], target: Target, missing: dict[str, str], arguments: argparse.Namespace
) -> Iterator[Standing]:
    """Build all networks, then compare the runtimes on one after the other."""
    built = {threads: _build(list(wanted), target, threads, arguments) for threads in arguments.threads}
    for variant, file in wanted.items():
        own = {threads: builds_of[variant.name] for threads, builds_of in built.items()}
        yield from _compare(variant, file, own, missing, arguments)


def _build(
    wanted: Sequence[Variant], target: Target, threads: int, arguments: argparse.Namespace
) -> dict[str, builders.Build]:
    """Build all networks for a number of threads, with the choices that were tuned for it, if they are asked for."""
    choices = choice_files.choices(target, host.describe(), threads) if arguments.tuned else NO_CHOICES
    if arguments.tuned:
        _progress(f"{threads} threads: {len(choices.kernels)} kernels are made as tuned")

    def report(name: str, stage: str, _: float) -> None:
        _progress(f"{name}: {stage}")

    cut = targets.for_threads(target, threads)
    return builders.build_all(wanted, cut, report, use_cache=True, choices=choices)


def _compare(
    variant: Variant,
    file: Path | None,
    built: dict[int, builders.Build],
    missing: dict[str, str],
    arguments: argparse.Namespace,
) -> Iterator[Standing]:
    """Let the runtimes take turns on one network, for each number of threads, of which each has its build."""
    left_out = {name: reason for name, reason in missing.items() if name in arguments.runtimes}
    with tempfile.TemporaryDirectory() as folder:
        case = Case(
            variant=variant,
            threads=1,
            isa=arguments.isa,
            folder=Path(folder),
            artifact=Path(),
            file=file,
            clock=arguments.clock,
            gpu=arguments.gpu,
        )
        left_out |= _export(case, [name for name in arguments.runtimes if name not in left_out])
        for threads, own in built.items():
            failed = {MBENCH: own.reason} if isinstance(own, Failure) and MBENCH in arguments.runtimes else {}
            artifact = Path() if isinstance(own, Failure) else own[0].folder
            told, absent = dataclasses.replace(case, threads=threads, artifact=artifact), left_out | failed
            names = [name for name in arguments.runtimes if name not in absent]
            yield _standing(told, contest.hold(names, told, arguments.rounds), absent)


def _export(case: Case, names: Sequence[str]) -> dict[str, str]:
    """Make the files that the runtimes load; return why some runtimes have none."""
    files = {name: runtimes.of(case)[name].file for name in names}
    try:
        failed = contest.export(case, {file for file in files.values() if file})
    except contest.ContestError as error:
        return dict.fromkeys(names, f"the network could not be made: {error}")
    return {name: failed[file] for name, file in files.items() if file in failed}


def _standing(case: Case, found: dict[str, contest.Seen | str], left_out: dict[str, str]) -> Standing:
    reasons = {name: reason for name, reason in found.items() if isinstance(reason, str)}
    ran = {name: seen for name, seen in found.items() if isinstance(seen, contest.Seen)}
    expected = case.expected() if ran else Expected(outputs=())
    timed = {
        name: Timed(
            rounds_s=tuple(block.runs_s for block in seen.blocks),
            error=standings.error(seen.outputs, expected),
            differing=standings.differing(seen.outputs, expected),
            busy=statistics.median(block.busy for block in seen.blocks),
            others=statistics.median(block.others for block in seen.blocks),
        )
        for name, seen in ran.items()
    }
    own, tolerance = case.tolerances(standings.TOLERANCE) if ran else (standings.TOLERANCE,) * 2
    return standings.judge(
        case.variant.name,
        case.threads,
        timed,
        left_out | reasons,
        tolerance=tolerance,
        own_tolerance=own,
        against=AGAINST_OF_FILES if case.variant.imported else None,
    )


def _line(standing: Standing) -> str:
    medians = ", ".join(f"{name} {timed.median_s * 1e3:.3f} ms" for name, timed in standing.timed.items())
    return f"{standing.variant}, {standing.threads} threads: {medians}" + "".join(
        f"\n  {name}: {reason}" for name, reason in {**standing.left_out, **standing.wrong}.items()
    )


def _report(heading: str, seen: Sequence[Standing], arguments: argparse.Namespace) -> None:
    """Print the heading, and for each number of threads and kind a table, the goals, and what was left out."""
    print(heading)
    known = _known(arguments)
    titles = {name: known[name].title for name in arguments.runtimes}
    limited = {name for name in titles if known[name].obeys_isa} if arguments.isa else None
    for threads, against in dict.fromkeys(standing.kind for standing in seen):
        some = [standing for standing in seen if standing.kind == (threads, against)]
        print(f"\n{threads} thread{'s' if threads > 1 else ''}\n")
        print(standings.table(some, titles, markdown=arguments.markdown, limited=limited))
        verdicts = _verdicts(some, limited, arguments)
        if arguments.dtype == dtypes.INT8:
            verdicts += standings.differences(some, titles)
        print("\n" + "\n".join((*verdicts, *standings.notes(some, titles))))


def _verdicts(some: Sequence[Standing], limited: set[str] | None, arguments: argparse.Namespace) -> list[str]:
    """Return the ratios of standings of one kind that there are goals for."""
    threads, against = some[0].kind
    if arguments.gpu:
        return _gpu_verdicts(some, arguments.dtype)
    if against is not None:
        return standings.verdicts(some, standings.FILE_GOALS)
    if arguments.dtype == dtypes.INT8:
        return standings.verdicts(some, standings.int8_goals(threads, arguments.isa), limited)
    return standings.verdicts(some, standings.TUNED_GOALS if arguments.tuned else standings.GOALS)


def _row(standing: Standing, target: Target, installed: dict[str, str], arguments: argparse.Namespace) -> peer_rows.Row:
    return peer_rows.Row(
        machine=machine.name(gpu=arguments.gpu),
        target=target.name,
        kernels=_kernels(arguments),
        dtype=arguments.dtype,
        isa=arguments.isa,
        clock=arguments.clock,
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
        versions={name: version for name, version in installed.items() if name != MBENCH},
        standing=standing,
    )


def _show(arguments: argparse.Namespace) -> int:
    """Print the tables of files that `--rows` wrote."""
    known = {
        **runtimes.available(gpu=True),
        **runtimes.available(gpu=False, dtype=dtypes.INT8),
        **runtimes.available(gpu=False),
    }
    try:
        rows = peer_rows.read(arguments.show)
    except (OSError, ValueError) as error:
        _progress(f"peers.py: {error}")
        return 2
    titles = {name: runtime.title for name, runtime in known.items()}
    print(peer_rows.tables(rows, titles, {name for name, runtime in known.items() if runtime.obeys_isa}))
    return 0


def _gpu_verdicts(some: Sequence[Standing], dtype: str) -> list[str]:
    """Return the ratios that there are goals for, each with its goal."""
    parsed = [(variants.parse(standing.variant, dtype=dtype), standing.ratio) for standing in some]
    said = [gpu_runtimes.verdict(variant, ratio) for variant, ratio in parsed if ratio is not None]
    return [line for line in said if line]


if __name__ == "__main__":
    sys.exit(main())
