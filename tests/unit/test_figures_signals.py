from __future__ import annotations

import json

import msgspec
import quantized_records as quantized

from mbench.page import figure_data, figures_signals


def test_values_are_bars_in_order_and_outputs_stand_apart() -> None:
    found = quantized.both().results[1].quantized
    assert found is not None
    drawn = figures_signals.signals(figure_data.of_signals(found))
    assert drawn is not None
    rounded, output = json.loads(drawn.to_json())["data"]
    assert rounded["y"] == [value.sqnr_db for value in found.values]
    assert (output["name"], output["y"]) == ("output", [19.5])


def test_what_is_not_known_has_no_bar() -> None:
    found = quantized.both().results[1].quantized
    assert found is not None
    silent = tuple(msgspec.structs.replace(value, sqnr_db=None) for value in found.values)
    bare = msgspec.structs.replace(found, values=silent, outputs=())
    assert figures_signals.signals(figure_data.of_signals(bare)) is None
