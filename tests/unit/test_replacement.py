"""A replacement in a record: it stands for one layer at least."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from mbench.core.replacement import Replacement

GOOD: dict[str, Any] = {"layer": "conv1", "layers": ["dw1", "pw1"], "macs_before": 10, "macs": 90}


def test_it_names_the_convolution_and_what_it_stands_for() -> None:
    found = msgspec.convert(GOOD, Replacement)
    assert (found.layer, found.layers) == ("conv1", ("dw1", "pw1"))


@pytest.mark.parametrize("wrong", [{"layers": []}, {"macs": -1}, {"layer": ""}], ids=str)
def test_one_that_stands_for_nothing_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({**GOOD, **wrong}, Replacement)
