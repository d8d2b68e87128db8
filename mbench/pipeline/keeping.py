"""What a run has on disk: its record, held against other processes, and the artifacts that are kept beside it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

from mbench.build import builders
from mbench.core import artifact, record_files, scratch
from mbench.core.errors import UsageError
from mbench.core.progress import Progress
from mbench.core.records import Failure, Record
from mbench.pipeline.job import Job


@contextlib.contextmanager
def held(job: Job) -> Iterator[None]:
    """Keep other processes from the job's record and from what lies beside it.

    Raises:
        UsageError: another process works on it, or did so since the job was made, or has a run of this name.
    """
    with scratch.only(job.path):
        if job.before is None and job.path.exists():
            raise UsageError(f"{job.path} is there already; start the run again, and it gets another name")
        if job.before is not None and record_files.read(job.path) != job.before:
            raise UsageError(f"{job.path}: another run went on with it meanwhile; start this one again")
        yield


def without_artifact(job: Job, record: Record) -> tuple[str, ...]:
    """Return the networks that have a result, but not the artifact that shall be kept beside it."""
    if not job.keep_artifacts:
        return ()
    names = (result.variant.name for result in record.results)
    return tuple(name for name in names if not artifact.is_folder(artifact.place(job.path, name)))


def keep_artifacts(job: Job, record: Record, built: Mapping[str, builders.Build], progress: Progress) -> None:
    """Copy artifacts beside the record; for a network that has its result, only the very one that was measured.

    Raises:
        OutputError: they could not be written.
    """
    measured = {result.variant.name: result.artifact.digest for result in record.results}
    for name, found in built.items():
        if isinstance(found, Failure):
            if name in measured:
                progress.note(f"{name}: its artifact cannot be kept: {found.reason}")
        elif measured.get(name, found[0].manifest.digest) == found[0].manifest.digest:
            artifact.keep(found[0], artifact.place(job.path, name))
        else:
            progress.note(f"{name}: its artifact cannot be kept: this build differs from the one that was measured")
