"""What tuning has child processes do."""

from __future__ import annotations

from pathlib import Path

from tuning_world import TARGET

from mbench.tuning import jobs
from mbench.tuning.plans import Candidate

pytest_plugins = ("tuning_fixtures",)

RIGHT = {"rows": 1, "vectors": 1, "row_parts": 1, "panel_parts": 1}


def test_a_candidate_that_its_rule_refuses_says_why(product_json: str, tmp_path: Path) -> None:
    library = tmp_path / "kernel.so"
    wrong = Candidate(rule="cpu.matmul", parameters={**RIGHT, "rows": 10_000})
    assert "larger than" in jobs.compiled(product_json, TARGET, wrong, str(library))
    assert not library.exists()
    right = Candidate(rule="cpu.matmul", parameters=RIGHT)
    assert jobs.compiled(product_json, TARGET, right, str(library)) == ""
    assert library.exists()
