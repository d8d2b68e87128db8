"""Find the network that fits a device: the work behind `mbench fit`."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from pathlib import Path

import msgspec

from mbench.build import places
from mbench.core import fit_files, names, record_files
from mbench.core.fit_options import FitOptions
from mbench.core.fit_records import CandidateResult, FitRecord, PredictionQuality
from mbench.core.progress import Display, Note, silent, unheard
from mbench.fitting import finding, predicting, search
from mbench.fitting.search import ReportCandidates
from mbench.hardware import host
from mbench.pipeline import options as jobs


class FitInterrupted(KeyboardInterrupt):
    """A search was interrupted; what it measured is kept, and the same call goes on."""

    def __init__(self, found: FitRecord, path: Path) -> None:
        """Keep what was found until then, and its file."""
        super().__init__("interrupted; the same call goes on")
        self.found, self.path = found, path


def fit(
    families: str | Sequence[str] = (),
    *,
    target: str = "host",
    options: FitOptions,
    executor: Executor | str = places.LOCAL,
    display: Display = silent,
    report: ReportCandidates = search.unheard,
    note: Note = unheard,
) -> FitRecord:
    """Return the networks that fit limits on a target, the most accurate first; a file in `options.output` has all.

    What is measured is kept, and used by the next search on the same machine.

    Args:
        families: families, names or grids; none: the usual families.
        target: name of a hardware target, see `mbench targets`.
        options: limits, and how long to search; one limit at least.
        executor: where networks are built; see `run`.
        display: shows progress; by default nothing does.
        report: called with all candidates, better ones first, before each batch of measurements.
        note: called with what the user should know.

    Raises:
        UsageError: a family, a limit, a table or a target that cannot be.
        TargetError: the target is not known.
        OutputError: the record could not be written.
        FitInterrupted: by the user; what was found is in it.

    Example:
        `mbench.fit("mobilenet_v2", options=mbench.FitOptions(max_latency_s=0.003))`
    """
    words = (families,) if isinstance(families, str) else tuple(families)
    places.check(executor)
    job, question = finding.prepared(words, target, host.describe(), options, note)
    jobs.prepare(job.path.parent, "--output")
    with places.opened(executor, note) as place:
        found, measured, interrupted = finding.find(job, question, words, options, display, report, place)
    path = path_of(found, options.output)
    if measured is not None:
        beside = path.with_name(f"{path.stem}-measured.json")
        record_files.write(beside, measured)
        found = msgspec.structs.replace(found, measured_record=beside.name)
    fit_files.write(path, found)
    if interrupted:
        raise FitInterrupted(found, path)
    return found


def predict(
    networks: str | Sequence[str],
    *,
    target: str = "host",
    options: FitOptions = FitOptions(),
    note: Note = unheard,
) -> tuple[tuple[CandidateResult, ...], PredictionQuality | None]:
    """Return what networks would cost by what searches on this target have measured; nothing is measured.

    Args:
        networks: names, grids, files, or families, which stand for all of their sizes.
        target: name of a hardware target.
        options: threads, types, batch; limits do not count.
        note: called with what the user should know.

    Returns:
        The networks with figures in SI units, and how far predictions of those that were measured are off.

    Raises:
        UsageError: a network or a target that cannot be, or nothing is known there.
        TargetError: the target is not known.

    Example:
        `found, quality = mbench.predict("mobilenet_v2", target="raspberry_pi_4")`
    """
    words = (networks,) if isinstance(networks, str) else tuple(networks)
    return predicting.predicted(words, target, host.describe(), options, note)


def path_of(found: FitRecord, output: Path) -> Path:
    """Return where what a search found is written."""
    return output / f"fit-{names.component(found.run_id)}.json"
