"""BASE and HEAD as they were given: a record, or a folder of records of one job, and the artifacts beside them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from mbench import artifact, frame, records
from mbench.artifact import Artifact
from mbench.comparison import Side
from mbench.errors import BuildError, RecordError, UsageError
from mbench.gate import comparable
from mbench.records import Record, Result


class Given(NamedTuple):
    """One of the two runs as it was given."""

    path: Path
    """The file of the newest record."""
    runs: tuple[Record, ...]
    """Records of the same job, oldest first."""

    @property
    def record(self) -> Record:
        """The newest record."""
        return self.runs[-1]

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
        )


def read(path: Path) -> Given:
    """Return what lies at a path.

    Raises:
        RecordError: there is no record, one is not valid, or the records of a folder are not of one job.
    """
    found = [(file, records.read(file)) for file in frame.files(path)]
    found.sort(key=lambda pair: (pair[1].created_at_utc, pair[1].run_id))
    newest = found[-1][1]
    for file, record in found[:-1]:
        apart = [each.key for each in comparable.differences(record, newest) if each.forbids]
        if apart:
            raise RecordError(
                f"{file}: {', '.join(apart)} differ from {found[-1][0].name} beside it; a folder stands for several "
                "runs of one job: name one record, or move the others away"
            )
    return Given(found[-1][0], tuple(record for _, record in found))


def kept_artifact(given: Given, result: Result) -> Artifact:
    """Return the artifact of a result, checked against its own hashes and the record.

    Raises:
        UsageError: it is missing, damaged, or not the one that the record names.
    """
    folder = artifact.beside(given.path) / result.variant.name
    if not folder.is_dir():
        raise UsageError(
            f"{given.path}: no artifact of {result.variant.name} in {folder.parent}; measure with "
            "'mbench run --keep-artifacts' and keep that folder beside the record"
        )
    try:
        found = artifact.load(folder)
    except BuildError as error:
        raise UsageError(str(error)) from error
    if found.manifest.digest != result.artifact.digest:
        raise UsageError(
            f"artifact {folder} has digest {found.manifest.digest[:12]}, the record {given.path} names "
            f"{result.artifact.digest[:12]}; it is of another build"
        )
    return found
