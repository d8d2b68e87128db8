"""How fast mbench's code is beside other runtimes: same networks, weights, input and threads, taking turns in one run.

Run: python benchmarks/peers.py [VARIANT...]; the peers come with `pip install '.[peers]'`. Without a variant: the 16
networks of the paper's grid, and the standard one. Exit code 1 if a runtime's output is wrong or mbench has no time.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path

import contest
import machine
import standings
from runtimes import MBENCH, RUNTIMES, Case
from standings import Standing, Timed

from mbench import builds, host, pipeline, variants
from mbench.errors import MbenchError
from mbench.records import Failure, Target, Variant

VARIANTS = ("mobilenet_v1_{0.25,0.5,0.75,1.0}_{128,160,192,224}", "mobilenet_v1_1.0_224_standard")


def main() -> int:
    """Compare, then print a table for each number of threads; return the exit code."""
    arguments = _arguments()
    installed, missing = _installed(arguments.runtimes)
    seen: list[Standing] = []
    code = 0
    try:
        wanted = [variants.parse(name) for name in variants.expand(arguments.variants or VARIANTS)]
        target = pipeline.resolve_target(arguments.target)
        heading = _heading(target, installed, arguments)
        for standing in _compare_all(wanted, target, missing, arguments):
            seen.append(standing)
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
    usable = host.describe().processors_usable or 1
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("variants", nargs="*", metavar="VARIANT", help="names or grids, as for mbench run")
    parser.add_argument("--threads", type=int, nargs="+", default=sorted({1, min(2, usable)}))
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--target", default="host", help="what mbench compiles for")
    parser.add_argument("--runtimes", nargs="+", choices=RUNTIMES, default=list(RUNTIMES))
    parser.add_argument("--isa", choices=["avx2"], help="limit the peers that can be; for mbench, choose --target")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all samples there")
    parser.add_argument("--markdown", action="store_true")
    arguments = parser.parse_args()
    if arguments.rounds < 1 or not 1 <= min(arguments.threads) <= max(arguments.threads) <= usable:
        parser.error(f"expected 1 round or more, and 1 to {usable} threads, which this process may use")
    if arguments.json and not arguments.json.parent.is_dir():
        parser.error(f"--json: there is no folder {arguments.json.parent}")
    return arguments


def _progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _installed(names: Sequence[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the versions of the runtimes that are installed, and why the others are not there."""
    versions, missing = {}, {}
    for name in names:
        try:
            versions[name], *_ = [metadata.version(package) for package in RUNTIMES[name].packages]
        except metadata.PackageNotFoundError as error:
            missing[name] = f"{error.name} is not installed; pip install '.[peers]'"
    return versions, missing


def _heading(target: Target, installed: dict[str, str], arguments: argparse.Namespace) -> str:
    """Return the machine, the versions, and which instructions the runtimes may use."""
    versions = ", ".join(f"{RUNTIMES[name].title} {version}" for name, version in installed.items() if name != MBENCH)
    wide = "avx512f" in host.describe().features
    limit = "this processor has AVX-512 and every runtime may use it" if wide else "this processor has no AVX-512"
    if wide and arguments.isa:
        obeying = {name: RUNTIMES[name].obeys_isa for name in installed if name != MBENCH}
        free = ", ".join(RUNTIMES[name].title for name, obeys in obeying.items() if not obeys)
        limit = f"peers limited to AVX2, but for those that have no switch for it: {free or 'none'}"
    turns = f"{arguments.rounds} rounds of blocks of {contest.BLOCK_S * 1e3:.0f} ms"
    return (
        f"{machine.heading()}\npeers: {versions}\n"
        f"float32, batch 1, mbench's target {target.name}; {limit}\n"
        f"each runtime in a process of its own, {turns} in turn, the others stopped; ratio: mbench over the best peer"
    )


def _compare_all(
    wanted: Sequence[Variant], target: Target, missing: dict[str, str], arguments: argparse.Namespace
) -> Iterator[Standing]:
    """Build all networks, then compare the runtimes on one after the other."""
    built = builds.build_all(wanted, target, lambda name, stage, _: _progress(f"{name}: {stage}"), use_cache=True)
    for variant in wanted:
        yield from _compare(variant, built[variant.name], missing, arguments)


def _compare(
    variant: Variant, built: builds.Build, missing: dict[str, str], arguments: argparse.Namespace
) -> Iterator[Standing]:
    """Let the runtimes take turns on one network, for each number of threads."""
    failed = {MBENCH: built.reason} if isinstance(built, Failure) else {}
    artifact = Path() if isinstance(built, Failure) else built[0].folder
    left_out = {name: reason for name, reason in (missing | failed).items() if name in arguments.runtimes}
    with tempfile.TemporaryDirectory() as folder:
        case = Case(variant=variant, threads=1, isa=arguments.isa, folder=Path(folder), artifact=artifact)
        left_out |= _export(case, [name for name in arguments.runtimes if name not in left_out])
        names = [name for name in arguments.runtimes if name not in left_out]
        for threads in arguments.threads:
            told = dataclasses.replace(case, threads=threads)
            yield _standing(told, contest.hold(names, told, arguments.rounds), left_out)


def _export(case: Case, names: Sequence[str]) -> dict[str, str]:
    """Make the files that the runtimes load; return why some runtimes have none."""
    files = {name: RUNTIMES[name].file for name in names}
    try:
        failed = contest.export(case, {file for file in files.values() if file})
    except contest.ContestError as error:
        return dict.fromkeys(names, f"the network could not be made: {error}")
    return {name: failed[file] for name, file in files.items() if file in failed}


def _standing(case: Case, found: dict[str, contest.Seen | str], left_out: dict[str, str]) -> Standing:
    reasons = {name: seen for name, seen in found.items() if isinstance(seen, str)}
    timed = {
        name: Timed(
            rounds_s=tuple(block.runs_s for block in seen.blocks),
            error=standings.error(seen.output, case.expected()),
            busy=statistics.median(block.busy for block in seen.blocks),
        )
        for name, seen in found.items()
        if isinstance(seen, contest.Seen)
    }
    return standings.judge(case.variant.name, case.threads, timed, left_out | reasons)


def _line(standing: Standing) -> str:
    medians = ", ".join(f"{name} {timed.median_s * 1e3:.3f} ms" for name, timed in standing.timed.items())
    return f"{standing.variant}, {standing.threads} threads: {medians}" + "".join(
        f"\n  {name}: {reason}" for name, reason in {**standing.left_out, **standing.wrong}.items()
    )


def _report(heading: str, seen: Sequence[Standing], arguments: argparse.Namespace) -> None:
    """Print the heading, and for each number of threads a table, the goals, and what was left out."""
    print(heading)
    titles = {name: RUNTIMES[name].title for name in arguments.runtimes}
    for threads in arguments.threads:
        some = [standing for standing in seen if standing.threads == threads]
        print(f"\n{threads} thread{'s' if threads > 1 else ''}\n")
        print(standings.table(some, titles, markdown=arguments.markdown))
        print("\n" + "\n".join((*standings.verdicts(some), *standings.notes(some, titles))))
    if arguments.json:
        rows = [{**dataclasses.asdict(standing), "ratio": standing.ratio} for standing in seen]
        arguments.json.write_text(json.dumps({"heading": heading, "networks": rows}))


if __name__ == "__main__":
    sys.exit(main())
