"""The simulation of benchmarks/scale.py, beside what queueing theory and arithmetic know."""

from __future__ import annotations

import math
import random
from typing import Any

import benchmark_scripts
import pytest

simulation, model = (benchmark_scripts.script(f"scale_{name}") for name in ("simulation", "model"))
Boards, Costs, Policy, Trouble = (getattr(model, name) for name in ("Boards", "Costs", "Policy", "Trouble"))
ONE_AT_A_TIME = Policy(window=1)


def run(work_s: Any, workers: int, **how: Any) -> Any:
    return simulation.Simulation(work_s, workers, **{"policy": Policy(), **how}).run()


@pytest.mark.parametrize(("count", "workers"), [(1, 1), (7, 3), (12, 4), (100, 7), (3, 10)])
@pytest.mark.parametrize("window", [1, 2])
def test_equal_builds_take_so_many_rounds(count: int, workers: int, window: int) -> None:
    found = run([5.0] * count, workers, policy=Policy(window=window), costs=Costs(worker_s=0.5))
    assert found.makespan_s == pytest.approx(math.ceil(count / workers) * 5.5)
    assert found.built == count
    assert found.worker_use == pytest.approx(count * 5.5 / (workers * found.makespan_s))


def test_one_process_that_keeps_answers_bounds_all_workers() -> None:
    found = run([2.0] * 300, 300, costs=Costs(answer_s=0.1))
    assert found.makespan_s == pytest.approx(2.0 + 300 * 0.1)


def test_one_thread_makes_orders_and_keeps_answers() -> None:
    found = run([2.0] * 10, 10, costs=Costs(order_s=1.0, answer_s=0.5))
    assert found.makespan_s == 3.0 + 10 * 1.5  # the first build ends at 3 s
    assert run([0.5], 1, costs=Costs(answer_s=0.25, keep_bytes_per_s=4e6), bytes_=[1e6]).makespan_s == 1.0


def test_no_plan_is_worse_than_grahams_bound() -> None:
    draw = random.Random(1)
    for workers in (2, 5, 16):
        work_s = [draw.expovariate(0.2) for _ in range(200)]
        found = run(work_s, workers, policy=ONE_AT_A_TIME)
        least = max(sum(work_s) / workers, max(work_s))
        assert least <= found.makespan_s <= sum(work_s) / workers + max(work_s) * (1 - 1 / workers)


def erlang_c(workers: int, load: float) -> float:
    """Return the share of tasks that wait in an M/M/c queue. Source: Erlang's C formula."""
    waits = load**workers / math.factorial(workers) / (1 - load / workers)
    return waits / (sum(load**k / math.factorial(k) for k in range(workers)) + waits)


@pytest.mark.parametrize(("workers", "load"), [(1, 0.7), (4, 3.2)])
def test_tasks_that_come_by_chance_wait_as_erlang_says(workers: int, load: float) -> None:
    draw, count, at_s = random.Random(7), 40_000, 0.0
    given_s = []
    for _ in range(count):
        at_s += draw.expovariate(load)
        given_s.append(at_s)
    work_s = [draw.expovariate(1.0) for _ in range(count)]
    found = run(work_s, workers, policy=ONE_AT_A_TIME, given_s=given_s)
    assert found.waited_s["a worker"] == pytest.approx(erlang_c(workers, load) / (workers - load), rel=0.08)


def test_work_that_deaths_undo_takes_as_long_as_theory_says() -> None:
    """A task that begins anew at each failure takes (exp(rate x length) - 1) / rate in the mean."""
    found = run(
        [600.0] * 3000,
        1,
        policy=Policy(window=1, allowed_deaths=10**6),
        trouble=Trouble(deaths_per_worker_hour=6.0, back_s=0.0),
    )
    rate = 6.0 / 3600
    assert found.makespan_s / 3000 == pytest.approx((math.exp(rate * 600.0) - 1) / rate, rel=0.03)
    assert found.lost_s == pytest.approx(found.makespan_s - 3000 * 600.0)


def test_a_worker_that_is_killed_costs_what_it_had_done() -> None:
    found = run([10.0] * 4, 2, trouble=Trouble(kills_s=((4.0, 0),), back_s=1e9))
    assert found.makespan_s == pytest.approx(40.0)  # four of ten seconds by the one that is left
    assert (found.deaths, found.lost_s, found.built) == (1, 4.0, 4)


def test_a_build_that_loses_too_many_workers_has_failed() -> None:
    policy = Policy(window=1, allowed_deaths=3, lost_tries=2)
    kills = tuple((float(second), 0) for second in range(1, 20))
    found = run([10.0], 1, policy=policy, trouble=Trouble(kills_s=kills, back_s=0.0))
    assert (found.failed, found.built, found.deaths) == (1, 0, (3 + 1) * 2)


def test_a_worker_that_hangs_is_noticed_after_its_silence() -> None:
    trouble = Trouble(hangs_per_worker_hour=3600.0, back_s=1e9)
    found = run(
        [1e6], 1, policy=Policy(window=1, silence_s=300.0, limit_s=1e9, allowed_deaths=0, lost_tries=1), trouble=trouble
    )
    assert found.failed == 1
    assert 300.0 < found.makespan_s < 320.0


def test_what_fails_on_each_worker_is_tried_so_often() -> None:
    always = Trouble(own_failures=1.0)
    found = run([1.0], 5, policy=Policy(tries=3), trouble=always)
    assert (found.failed, found.lost_s) == (1, 3.0)
    assert run([700.0], 5, policy=Policy(tries=3, limit_s=600.0)).lost_s == 3 * 600.0


def test_boards_measure_after_the_last_build_or_as_it_comes() -> None:
    boards = {"count": 2, "kinds": 1, "measure_s": [10.0] * 4}
    after, at_once = (run([5.0] * 4, 2, boards=Boards(**boards, after_all_builds=waits)) for waits in (True, False))
    assert (after.built_s, after.makespan_s, after.board_use) == (10.0, 30.0, 1.0)
    assert at_once.makespan_s == 25.0
    assert after.waited_s["all other builds"] == 2.5  # two of four wait five seconds for the others
    kinds = run([5.0] * 4, 4, boards=Boards(count=2, kinds=2, measure_s=[10.0, 1.0, 10.0, 1.0]))
    assert kinds.makespan_s == 5.0 + 2 * 10.0


def test_a_board_that_fails_is_set_aside_and_its_job_goes_elsewhere() -> None:
    boards = Boards(count=8, measure_s=[10.0] * 40, tries=3)
    found = run([1.0] * 40, 8, boards=boards, trouble=Trouble(board_failures=0.05), seed=3)
    assert found.measured == 40
    assert 0 < found.boards_lost < 8
    none_left = run([1.0] * 4, 1, boards=Boards(count=1, measure_s=[1.0] * 4), trouble=Trouble(board_failures=1.0))
    assert (none_left.measured, none_left.failed, none_left.boards_lost) == (0, 4, 1)


def test_a_seed_decides_all_that_is_drawn() -> None:
    trouble = Trouble(deaths_per_worker_hour=5.0, hangs_per_worker_hour=1.0, own_failures=0.01, slow_workers=0.1)
    first, again, other = (run([60.0] * 300, 20, trouble=trouble, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_the_policy_is_that_of_the_product() -> None:
    from mbench.build import builders, carried

    found = Policy.of_product()
    assert (found.tries, found.lost_tries) == (carried.TRIES, carried.LOST_TRIES)
    assert found.limit_s == builders.TIMEOUT_S
    assert (found.window, found.allowed_deaths, found.silence_s) == (2, 3, 300.0)  # as docs/cluster.md has them
