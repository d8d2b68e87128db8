from __future__ import annotations

from pathlib import Path

from mbench.core.choices import METASCHEDULE, NO_CHOICES, Choice, Choices


def one(**parameters: int) -> Choices:
    return Choices(kernels={"k": Choice(rule="cpu.matmul", parameters=parameters)})


def test_the_digest_is_of_the_choices_and_not_of_the_files_that_they_are_from() -> None:
    assert one(rows=4).digest == one(rows=4).digest != one(rows=6).digest
    assert Choices(kernels=one(rows=4).kernels, files={"tuned.toml": "abc"}).digest == one(rows=4).digest
    assert NO_CHOICES.digest != one(rows=4).digest


def test_the_order_of_kernels_and_parameters_does_not_matter() -> None:
    first, second = (Choice(rule="r", parameters={"a": 1, "b": 2}), Choice(rule="r", parameters={"b": 2, "a": 1}))
    assert Choices(kernels={"x": first, "y": second}).digest == Choices(kernels={"y": first, "x": second}).digest


def test_what_a_database_holds_changes_the_digest(tmp_path: Path) -> None:
    choices = Choices(kernels={"k": Choice(rule=METASCHEDULE, parameters={}, database=str(tmp_path))})
    seen = []
    for content in ("a", "b"):
        (tmp_path / "database_workload.json").write_text(content)
        seen.append(choices.digest)
    assert seen[0] != seen[1]
