"""Runs of a sweep that take no time: each job gets a record with made-up results, unless something is planned."""

from __future__ import annotations

from pathlib import Path

import msgspec
import record_factory as factory

from mbench.core import record_files
from mbench.core.progress import Progress
from mbench.core.records import Failure, Record, Result
from mbench.pipeline import runner
from mbench.pipeline.job import Job
from mbench.sweeping import digests

replace = msgspec.structs.replace
BASE = "mobilenet_v1_0.25_32"
"""Whose layers all results have."""


class SweepWorld:
    """In place of the pipeline: what it ran, what fails in it, and after how many networks the user interrupts it."""

    def __init__(self) -> None:
        self.ran: list[tuple[str, ...]] = []
        """The networks of each job that were left to do."""
        self.jobs: list[Job] = []
        self.failing: set[str] = set()
        self.interrupt_after: int | None = None
        self.digest: str | None = None
        """Of every artifact, in place of the right one."""

    def run(self, job: Job, _progress: Progress) -> Record:
        """Do a job as the pipeline does: the record is written after each network."""
        record = job.before or runner.begun(job)
        left = record.unfinished()
        record = replace(record, failures=tuple(each for each in record.failures if each.variant not in left))
        self.jobs.append(job)
        self.ran.append(left)
        record_files.write(job.path, record)
        current = digests.now(job, job.networks)
        for network in job.named(left):
            if self.interrupt_after is not None:
                if self.interrupt_after == 0:
                    self.interrupt_after = None
                    raise KeyboardInterrupt
                self.interrupt_after -= 1
            if network.name in self.failing:
                failure = Failure(variant=network.name, stage="compiling", reason="out of registers")
                record = replace(record, failures=(*record.failures, failure))
            else:
                result = self._result(job, network.name, current[network.name])
                record = replace(record, results=(*record.results, result))
            record_files.write(job.path, record)
        return record

    def _result(self, job: Job, name: str, digest: str) -> Result:
        timed = not job.settings.compile_only
        [made] = factory.short(factory.record([BASE], latency=timed)).results
        [network] = job.named([name])
        artifact = replace(made.artifact, digest=self.digest or digest)
        return replace(made, variant=network, artifact=artifact)


def definition(folder: Path, text: str, name: str = "small.toml") -> Path:
    """Write what a sweep asks for; return the file."""
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file
