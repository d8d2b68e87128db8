"""Writers in processes of their own that are killed while they add records: all that they reported is there, once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import mbench

pytest_plugins = ("store_fixtures",)

ROOT = Path(mbench.__file__).parent.parent
SCRIPT = Path(__file__).parents[2] / "benchmarks" / "history.py"


def benchmark(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the benchmark of stores; what it imports from its folder is found as when a person runs it."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONSAFEPATH"}
    command = [sys.executable, str(SCRIPT), *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env={**environment, "PYTHONPATH": str(ROOT)}, timeout=600
    )


def test_writers_that_are_killed_lose_nothing_and_add_nothing_twice(store_url: str) -> None:
    asked = ("--writers", "3", "--records", "4", "--kills", "3", "--kill-every", "1.2", "--store", store_url)
    done = benchmark("writers", *asked)
    assert done.returncode == 0, done.stderr
    assert "3 writers, 4 records each, " in done.stdout
    assert done.stdout.rstrip().endswith("12 there, 12 read")


def test_what_the_benchmark_prints(store_url: str) -> None:
    done = benchmark("series", "--runs", "6", "--series", "2", "--store", store_url)
    assert "6 runs, " in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0
    assert [line for line in done.stdout.splitlines() if line.startswith(("list ", "all series "))]
