from __future__ import annotations

import typing

import pytest

from mbench.core.exits import VERDICTS, Exit, decide, of_comparison, of_search, of_verdict, of_work
from mbench.gating.comparison import Conclusion


def test_the_numbers_are_those_of_the_readme() -> None:
    assert {code.name: int(code) for code in Exit} == {
        "DONE": 0, "REGRESSED": 1, "WRONG_USE": 2, "NO_VERDICT": 3, "FAILED": 4, "INTERRUPTED": 130,
    }  # fmt: skip


@pytest.mark.parametrize("code", Exit)
def test_what_was_printed_keeps_its_code(code: Exit) -> None:
    assert decide(code, unprinted=False) is code


@pytest.mark.parametrize(
    ("code", "ends"),
    [
        (Exit.DONE, Exit.FAILED),
        (Exit.REGRESSED, Exit.REGRESSED),
        (Exit.WRONG_USE, Exit.WRONG_USE),
        (Exit.NO_VERDICT, Exit.FAILED),
        (Exit.FAILED, Exit.FAILED),
        (Exit.INTERRUPTED, Exit.INTERRUPTED),
    ],
)
def test_what_could_not_be_printed_is_never_a_success(code: Exit, ends: Exit) -> None:
    assert decide(code, unprinted=True) is ends


def test_every_conclusion_has_a_status() -> None:
    assert set(VERDICTS) == set(typing.get_args(Conclusion))
    assert of_verdict("passed", failed=False) is Exit.DONE


@pytest.mark.parametrize("conclusion", VERDICTS)
def test_what_was_not_measured_is_a_failure_and_hides_no_regression(conclusion: str) -> None:
    regressed = conclusion == "regressed"
    assert of_verdict(conclusion, failed=True) is (Exit.REGRESSED if regressed else Exit.FAILED)


def test_work_that_is_not_complete_is_a_failure() -> None:
    assert of_work(complete=True) is Exit.DONE
    assert of_work(complete=False) is Exit.FAILED
    assert of_work(complete=True, interrupted=True) is Exit.INTERRUPTED


@pytest.mark.parametrize(
    ("state", "ends"),
    [
        ({"answered": True, "certain": False, "written": True}, Exit.DONE),
        ({"answered": False, "certain": True, "written": True}, Exit.DONE),
        ({"answered": False, "certain": False, "written": True}, Exit.NO_VERDICT),
        ({"answered": True, "certain": True, "written": False}, Exit.FAILED),
        ({"answered": True, "certain": True, "written": True, "interrupted": True}, Exit.INTERRUPTED),
    ],
)
def test_that_nothing_fits_is_an_answer_if_it_is_certain(state: dict[str, bool], ends: Exit) -> None:
    assert of_search(**state) == ends


def test_a_comparison_of_nothing_is_no_success() -> None:
    assert of_comparison(compared=True, failed=False) is Exit.DONE
    assert of_comparison(compared=True, failed=True) is Exit.DONE
    assert of_comparison(compared=False, failed=False) is Exit.NO_VERDICT
    assert of_comparison(compared=False, failed=True) is Exit.FAILED
