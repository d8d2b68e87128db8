"""A sweep as a user runs it: interrupted, gone on with, added to on a cluster, asked where it stands."""

from __future__ import annotations

import json
import platform
import shutil
import signal
from pathlib import Path

import pytest
from conftest import require
from dask_clusters import cluster
from running_mbench import finished, running

from mbench.core import record_files

pytestmark = pytest.mark.slow
SWEEP = """
networks = ["mobilenet_v1_0.25_32", "mobilenet_v1_0.25_32_int8"]
targets = ["x86_64_v2", "x86_64_v3"]
store = "store.db"

[devices]
default = "emulated"
"""


def test_a_sweep_is_interrupted_goes_on_and_is_added_to(tmp_path: Path) -> None:
    require(platform.machine() == "x86_64" and shutil.which("qemu-x86_64"), "QEMU for x86-64")
    file, cache = tmp_path / "small.toml", tmp_path / "cache"
    file.write_text(SWEEP, encoding="utf-8")

    with running("run", "--sweep", file, cache=cache, cwd=tmp_path) as started:
        started.wait_for("sweep small: 0 of 4 cells are done; next x86_64_v2 on emulated, 1 thread")
        started.wait_for("sweep small: 2 of 4 cells are done; next x86_64_v3 on emulated, 1 thread")
        started.send(signal.SIGSTOP)  # however long the second takes to begin
        code, refused = finished("run", "--sweep", file, cache=cache, cwd=tmp_path)
        assert (code, len(refused.lines)) == (2, 1)
        assert f"small.sweep: another process ({started.process.pid}) works on it" in refused.err
        started.send(signal.SIGINT, group=True)
        started.send(signal.SIGCONT)
        assert started.end() == 130, started.err
        assert "Traceback" not in started.err
        assert "interrupted: what was measured is recorded; the same command goes on" in started.err
        started.assert_nobody_left()
    assert (tmp_path / "mbench-results" / "small.html").exists()

    code, status = finished("sweep", "status", file, "--json", cache=cache, cwd=tmp_path)
    data = json.loads(status.out)
    assert (code, data["done"], data["open"], data["failed"]) == (0, 2, 2, 0)
    assert data["left_s"] > 0

    code, again = finished("run", "--sweep", file, "--json", cache=cache, cwd=tmp_path)
    assert (code, json.loads(again.out)["done"]) == (0, 4), again.err
    assert "x86_64_v2 on emulated" not in again.err, "what is done is not done again"

    file.write_text(SWEEP.replace("networks = [", 'networks = ["mobilenet_v1_0.25_40", '), encoding="utf-8")
    with cluster(tmp_path / "dask") as made:
        for _ in range(2):
            made.worker(cache=cache)
        made.ready()
        code, more = finished("run", "--sweep", file, "--executor", made.url, cache=cache, cwd=tmp_path)
    assert code == 0, more.err
    assert "sweep small: all of its 6 cells are done" in more.out
    compiled = [line for line in more.lines if "compiled" in line]
    assert [("mobilenet_v1_0.25_40" in line) for line in compiled] == [True, True]

    records = [record_files.read(path) for path in (tmp_path / "mbench-results").glob("*.json")]
    seen = [(record.target.name, result.variant.name) for record in records for result in record.results]
    assert len(seen) == len(set(seen)) == 6
    assert all(result.counts for record in records for result in record.results)
    code, stored = finished("sweep", "status", file, "--store", "store.db", cache=cache, cwd=tmp_path)
    assert "sweep small: all of its 6 cells are done" in stored.out
