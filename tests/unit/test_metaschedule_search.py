"""MetaSchedule's search, as far as it goes without a search of hours; `tune --deep` runs it in tests/integration."""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
import tvm
from conftest import require

from mbench.core.errors import MeasureError
from mbench.hardware import targets
from mbench.tuning import metaschedule_search
from mbench.tuning.plans import SearchPlan

pytest_plugins = ("tuning_fixtures",)


@pytest.fixture(autouse=True)
def process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave this process as it was: a search takes its own for itself."""
    for module in ("xgboost", "cloudpickle"):
        require(importlib.util.find_spec(module), f"{module}, of the extra 'tune'")
    monkeypatch.setattr(tempfile, "tempdir", tempfile.tempdir)
    for name in ("TMPDIR", "PYTHONPATH"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
    monkeypatch.setitem(sys.modules, "tvm.s_tir.tensor_intrin.cuda", sys.modules.get("tvm.s_tir.tensor_intrin.cuda"))


def plan(folder: Path, function: str, **changes: Any) -> SearchPlan:
    given = {
        "function": function, "target": targets.load("x86_64_v2"), "processes": 1, "trials": 0,
        "threads": int(tvm.get_global_func("runtime.NumThreads")()), "database": str(folder / "database"),
        "scratch": str(folder / "scratch"), **changes,
    }  # fmt: skip
    (folder / "database").mkdir()
    return SearchPlan(**given)


def test_a_search_that_timed_nothing_is_an_error(product_json: str, tmp_path: Path) -> None:
    with pytest.raises(MeasureError, match="none of the 0 schedules that MetaSchedule tried could be"):
        metaschedule_search.search(plan(tmp_path, product_json), lambda _: None)
    assert Path(tempfile.gettempdir()) == tmp_path / "scratch"


def test_a_search_uses_the_threads_that_it_was_given(product_json: str, tmp_path: Path) -> None:
    with pytest.raises(MeasureError, match="1000000 were set"):
        metaschedule_search.search(plan(tmp_path, product_json, threads=10**6), lambda _: None)
