"""BASE and HEAD as they were given: a record, or a folder of records of one job, and the artifacts beside them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mbench.analysis import found_records, frame, runs
from mbench.core import artifact
from mbench.core.artifact import Artifact
from mbench.core.errors import BuildError, RecordError, UsageError
from mbench.core.records import Record, Result
from mbench.gating import comparable
from mbench.gating.comparison import Side

IN_MEMORY = Path("a record without a file")
"""What stands for the file of a record that was given as itself."""


class Given(NamedTuple):
    """One of the two runs as it was given."""

    path: Path
    """The file of the newest record."""
    runs: tuple[Record, ...]
    """Records of the same job, oldest first; each run once."""
    files: tuple[Path, ...] = ()
    """Of these records."""
    copies: tuple[str, ...] = ()
    """Files that are left out, since they are copies of others; each with what of."""

    @property
    def record(self) -> Record:
        """The newest record."""
        return self.runs[-1]

    def file(self, index: int) -> Path:
        """Return the file of one of the records."""
        return self.files[index] if self.files else self.path

    def described(self) -> Side:
        """Return what a comparison says of this run."""
        record = self.record
        return Side(
            path=str(self.path),
            run_id=record.run_id,
            created_at_utc=record.created_at_utc,
            mbench_version=record.mbench_version,
            target=record.target.name,
            machine=comparable.machine(record),
            runs=len(self.runs),
            networks=tuple(result.variant.name for result in record.results),
            labels=record.labels,
        )


def read(path: Path) -> Given:
    """Return what lies at a path.

    Raises:
        RecordError: there is no record, one is not valid, or the records of a folder are not of one job.
    """
    files = frame.every_file(path)
    first: dict[str, Path] = {}
    links = [
        f"{file} is the same file as {before}"
        for file in files
        if (before := first.setdefault(os.path.realpath(file), file)) != file
    ]
    found = found_records.of_files(first.values(), path)
    copies = runs.copies([record for _, record in found])
    links += [f"{found[copy.at][0]} {copy.why} as {found[copy.of][0]}" for copy in copies]
    left_out = {copy.at for copy in copies}
    kept = [pair for index, pair in enumerate(found) if index not in left_out]
    kept.sort(key=lambda pair: (pair[1].created_at_utc, pair[1].run_id))
    _refuse_other_jobs(kept)
    return Given(kept[-1][0], tuple(record for _, record in kept), tuple(file for file, _ in kept), tuple(links))


def _refuse_other_jobs(found: Sequence[tuple[Path, Record]]) -> None:
    newest = found[-1][1]
    for file, record in found[:-1]:
        apart = [each.key for each in comparable.differences(record, newest) if each.forbids]
        if set(record.settings.variants) != set(newest.settings.variants):
            apart.append("variants")
        if apart:
            raise RecordError(
                f"{file}: {', '.join(apart)} differ from {found[-1][0].name} beside it; a folder stands for several "
                "runs of one job: name one record, or move the others away"
            )


def kept_artifact(given: Given, result: Result) -> Artifact:
    """Return the artifact of a result, checked against its own hashes and the record.

    Raises:
        UsageError: it is missing, damaged, or not the one that the record names.
    """
    folder = artifact.place(given.path, result.variant.name)
    if not folder.is_dir():
        raise UsageError(
            f"{given.path}: no artifact of {result.variant.name} in {folder.parent}; measure with "
            "'mbench run --keep-artifacts' and keep that folder beside the record"
        )
    return checked_artifact(folder, given, result)


def checked_artifact(folder: Path, given: Given, result: Result) -> Artifact:
    """Return the artifact in a folder, checked against its own hashes and the record.

    Raises:
        UsageError: it is damaged, not whole, or not the one that the record names.
    """
    try:
        found = artifact.load(folder)
    except BuildError as error:
        raise UsageError(f"{error}; move that folder away, or measure again") from error
    if found.manifest.variant.name != result.variant.name:
        raise UsageError(f"artifact {folder} is of {found.manifest.variant.name}, not of {result.variant.name}")
    if found.manifest.digest != result.artifact.digest:
        raise UsageError(
            f"artifact {folder} has digest {found.manifest.digest[:12]}, the record {given.path} names "
            f"{result.artifact.digest[:12]}; it is of another build: move that folder away"
        )
    return found
