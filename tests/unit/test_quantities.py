from __future__ import annotations

from collections.abc import Callable

import pytest

from mbench.core import quantities
from mbench.core.errors import UsageError


@pytest.mark.parametrize(
    ("read", "text", "expected"),
    [
        (quantities.seconds, "20ms", 0.02),
        (quantities.seconds, "20 ms", 0.02),
        (quantities.seconds, "1.5E-3 s", 0.0015),
        (quantities.seconds, "250us", 250e-6),
        (quantities.seconds, "250µs", 250e-6),
        (quantities.size, "4MB", 4e6),
        (quantities.size, "4 MiB", 4 * 2**20),
        (quantities.size, "512KiB", 512 * 2**10),
        (quantities.size, ".5mb", 5e5),
        (quantities.size, "1000 bytes", 1000.0),
        (quantities.joules, "5mJ", 5e-3),
        (quantities.size, "4Mb", 4e6),
        (quantities.seconds, "20mS", 0.02),
        (quantities.percent, "65", 65.0),
        (quantities.percent, "65.5 %", 65.5),
    ],
)
def test_an_amount_is_read_with_its_unit(read: Callable[[str, str], float], text: str, expected: float) -> None:
    assert read(text, "--max") == pytest.approx(expected)


@pytest.mark.parametrize(
    ("read", "text", "said"),
    [
        (quantities.seconds, "20", "--max '20': expected a time, such as 20ms or 0.5s"),
        (quantities.seconds, "20MB", "--max '20MB': expected a time, such as 20ms or 0.5s"),
        (quantities.seconds, "0ms", "--max '0ms': nothing fits into that; expected a time, such as 20ms or 0.5s"),
        (quantities.seconds, "-3ms", "--max '-3ms': expected a time, such as 20ms or 0.5s"),
        (quantities.seconds, "nan", "--max 'nan': expected a time, such as 20ms or 0.5s"),
        (quantities.seconds, "1e999s", "--max '1e999s': nothing fits into that; expected a time, such as 20ms or 0.5s"),
        (quantities.size, "4", "--max '4': expected a size, such as 4MB or 512KiB"),
        (quantities.size, "four MB", "--max 'four MB': expected a size, such as 4MB or 512KiB"),
        (quantities.joules, "5MJ", "--max '5MJ': expected an energy, such as 5mJ"),
        (quantities.seconds, "20MS", "--max '20MS': expected a time, such as 20ms or 0.5s"),
        (quantities.percent, "0", "--max '0': out of range; expected a percentage above 0 and up to 100, such as 65"),
        (quantities.joules, "5", "--max '5': expected an energy, such as 5mJ"),
        (quantities.percent, "120", "--max '120': expected a percentage above 0 and up to 100, such as 65"),
        (quantities.percent, "0.65", "--max '0.65': that is 0.65 %; write 65 for 65 %"),
        (quantities.percent, "", "--max '': expected a percentage above 0 and up to 100, such as 65"),
    ],
)
def test_what_is_no_amount_is_refused_in_a_line(read: Callable[[str, str], float], text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(text, "--max")
    assert str(caught.value) == said
