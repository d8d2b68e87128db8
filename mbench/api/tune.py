"""Find quicker ways to make the kernels of networks: the work behind `mbench tune`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from concurrent.futures import Executor

import msgspec

from mbench.build import places
from mbench.core.progress import Display, Note, silent, unheard
from mbench.core.run_options import TuneOptions
from mbench.hardware import host, platforms
from mbench.networks import given
from mbench.networks.given import AnyNetwork
from mbench.pipeline import options as jobs
from mbench.tuning import tuner
from mbench.tuning.tuning_result import TuningResult


class TuningInterrupted(KeyboardInterrupt):
    """The tuning was interrupted; what was found until then is in its file, and the same call goes on."""

    def __init__(self, tuned: TuningResult) -> None:
        """Keep what was found."""
        super().__init__("interrupted; the same call goes on")
        self.tuned = tuned


def tune(
    networks: AnyNetwork | Iterable[AnyNetwork],
    *,
    target: str = "host",
    options: TuneOptions = TuneOptions(),
    executor: Executor | str = places.LOCAL,
    display: Display = silent,
    note: Note = unheard,
) -> TuningResult:
    """Find quicker ways to make the kernels of networks; runs on this machine use them from then on.

    The file of choices is written after every kernel and every network.

    Args:
        networks: names, grids, files, functions, or a `Network`; see `run`.
        target: name of a hardware target that this machine can measure.
        options: how far to go.
        executor: where networks are built; see `run`. Kernels are compiled and timed here.
        display: shows progress of the kernels, then of the networks; by default nothing does.
        note: called with what the processor quota holds back, and with the number of kernels.

    Returns:
        What is known of the kernels and of the networks, in seconds, and what failed.

    Raises:
        UsageError: a network, a target or an option that cannot be, or another process tunes for this target.
        TargetError: the target is not known, or its description is wrong.
        BuildError: a network could not be compiled.
        OutputError: the file could not be written.
        TuningInterrupted: by the user; its `tuned` is what is known.

    Example:
        `tuned = mbench.tune("mobilenet_v1_0.25_128", options=mbench.TuneOptions(tries=4))`
    """
    places.check(executor)
    job = jobs.tuning_job(given.each(networks), target, host.describe(), options)
    jobs.prepare_tuning(job.file.parent)
    for said in job.notes:
        note(said)
    if (held_back := platforms.over_quota(job.threads, job.host)) is not None:
        note(held_back)
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(places.opened(executor, note))
        work = stack.enter_context(tuner.Tuner(msgspec.structs.replace(job, place=place)))
        try:
            work.find(note)
            shares = tuner.DEEP_SHARES if job.trials else tuner.SHARES
            with display([search.task.kernel for search in work.waiting], shares) as progress:
                work.run(progress)
            with display(work.unconfirmed(), tuner.IN_NETWORK_SHARES) as progress:
                work.confirm(progress)
        except KeyboardInterrupt as error:
            raise TuningInterrupted(work.result()) from error
    return work.result()
