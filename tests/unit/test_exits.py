from __future__ import annotations

import pytest

from mbench.core.exits import Exit, decide


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
