"""In place of the pipeline, for tests of the API."""

from __future__ import annotations

import msgspec
import record_factory as factory

from mbench.core import record_files
from mbench.pipeline.job import Job

NETWORK = "mobilenet_v1_0.25_32"


class Fake:
    """In place of the pipeline: keeps the jobs, and writes a record for each."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []

    def run(self, job: Job, _progress: object) -> None:
        self.jobs.append(job)
        names = job.settings.variants
        record = factory.record(names, run_id=job.path.stem)
        record_files.write(job.path, msgspec.structs.replace(record, settings=job.settings))
