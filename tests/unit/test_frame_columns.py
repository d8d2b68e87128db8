from __future__ import annotations

from mbench.analysis import frame_columns
from mbench.core.records import Counters


def test_a_column_has_one_kind_and_every_counter_has_a_column() -> None:
    kinds = (frame_columns.TEXT, frame_columns.WHOLE, frame_columns.TRUTHS)
    named = [name for kind in kinds for name in kind]
    assert len(named) == len(set(named))
    assert set(named) <= set(frame_columns.COLUMNS)
    assert set(Counters.__struct_fields__) <= set(frame_columns.COLUMNS)
