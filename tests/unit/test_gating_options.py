"""Options of the gate are checked when they are made, and take what people write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mbench.core.errors import UsageError
from mbench.gating.options import GateOptions


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"processes": 7}, "--processes 7 is out of range; expected 8 to 200"),
        ({"processes": 201}, "--processes 201 is out of range; expected 8 to 200"),
        ({"paired": 1}, "--paired 1 cannot be; expected bool"),
    ],
)
def test_options_out_of_range_are_refused_when_they_are_made(given: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        GateOptions(**given)
    assert said in str(caught.value)


def test_options_take_what_people_write() -> None:
    options = GateOptions(outputs={"junit": "a.xml"}, config="own.toml")  # type: ignore[dict-item,arg-type]
    assert (options.outputs, options.config) == ({"junit": Path("a.xml")}, Path("own.toml"))
