"""Ten runs are ended at random moments; `many_kills.py` beside this file ends more of them, and says what must hold."""

from __future__ import annotations

import random
from pathlib import Path

import many_kills as kills
import pytest
from running_mbench import warm_cache

pytestmark = pytest.mark.slow


def test_ten_runs_that_are_ended_at_random_moments(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")
    cache = warm_cache(tmp_path_factory.getbasetemp())
    done = kills.kill_many(tmp_path / "world", cache, kills=10, seed=seed, kinds=kills.QUICK, go_on=0.0)
    assert len(done) == 10
