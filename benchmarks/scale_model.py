"""What `scale_simulation` is told and answers, and the measured times that it draws from (`scale_times.json`)."""

from __future__ import annotations

import dataclasses
import json
import math
import random
from collections.abc import Sequence
from pathlib import Path

TIMES = Path(__file__).with_name("scale_times.json")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Policy:
    """What is done about trouble. The values are the product's and Dask's own; see `of_product`."""

    window: int = 2
    """Tasks that a worker of one thread is given: one that it does, the others ahead of time."""
    allowed_deaths: int = 3
    lost_tries: int = 2
    tries: int = 3
    silence_s: float = 300.0
    """After how long a worker that hangs is dead to the scheduler."""
    limit_s: float = 600.0
    """After how long a build is given up."""

    @classmethod
    def of_product(cls) -> Policy:
        """Return what the installed mbench and Dask do."""
        import dask.config
        import distributed  # noqa: F401 - it fills Dask's configuration
        from dask.utils import parse_timedelta

        from mbench.build import builders, carried

        def of(name: str) -> object:
            return dask.config.get(f"distributed.scheduler.{name}")

        return cls(
            window=math.ceil(float(str(of("worker-saturation")))), allowed_deaths=int(str(of("allowed-failures"))),
            lost_tries=carried.LOST_TRIES, tries=carried.TRIES, silence_s=parse_timedelta(of("worker-ttl")),
            limit_s=builders.TIMEOUT_S,
        )  # fmt: skip


@dataclasses.dataclass(frozen=True, kw_only=True)
class Costs:
    """What a task costs beyond its work."""

    order_s: float = 0.0
    """Of the main process, to make and give an order."""
    worker_s: float = 0.0
    """Of a worker, between two tasks."""
    answer_s: float = 0.0
    """Of the main process, to take and keep an answer: one after another."""
    keep_bytes_per_s: float = math.inf
    """How quickly the main process takes, checks and writes what came with an answer."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Trouble:
    """What goes wrong, and how often."""

    deaths_per_worker_hour: float = 0.0
    hangs_per_worker_hour: float = 0.0
    back_s: float = 60.0
    """How long a dead worker is away; then another takes its place."""
    kills_s: tuple[tuple[float, int], ...] = ()
    """When which worker is killed, beside those that die by chance."""
    kill_every_s: float = math.inf
    """How often one worker of all is killed, drawn anew each time."""
    own_failures: float = 0.0
    """Share of tries that fail for a reason of the worker's own: memory, disk."""
    slow_workers: float = 0.0
    slow_boards: float = 0.0
    slow_factor: float = 3.0
    board_failures: float = 0.0
    """Share of jobs at which a board fails: it is set aside, the job goes to another of its kind."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Boards:
    """Boards that measure what was built: job `n` needs one of kind `n % kinds`."""

    count: int
    kinds: int = 1
    measure_s: Sequence[float] = ()
    """Of each job."""
    tries: int = 3
    check_every_s: float = math.inf
    """How often a board times the reference network before its next job; at first, too."""
    check_s: float = 0.0
    after_all_builds: bool = True
    """Whether the first is measured when the last is built, as a run does."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of it."""

    makespan_s: float
    built_s: float
    """When the last build was there."""
    built: int
    measured: int
    failed: int
    useful_s: float
    """Of all workers, spent on builds that counted."""
    lost_s: float
    """Of all workers, spent on builds that did not."""
    worker_use: float
    """Share of all workers' time until the last build that was useful."""
    board_use: float
    waited_s: dict[str, float]
    """Mean of all tasks, by cause."""
    deaths: int
    boards_lost: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Network:
    """What one network took on a real machine."""

    network: str
    build_s: float
    bytes: int
    """Of its artifact."""
    measure_s: float
    """Of a whole run of it that is built already."""


def measured(file: Path = TIMES) -> list[Network]:
    """Return what networks took."""
    return [Network(**row) for row in json.loads(file.read_text(encoding="utf-8"))["rows"]]


def drawn(networks: Sequence[Network], count: int, seed: int = 0) -> list[Network]:
    """Return as many, drawn from measured ones, each as likely."""
    return random.Random(seed).choices(networks, k=count)
