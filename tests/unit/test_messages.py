"""What libraries say, as a line for people."""

from __future__ import annotations

import pytest

from mbench.networks.importers import messages


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("shapes (1, 3, 224, 224) and (8,) differ", "shapes 1x3x224x224 and 8 differ"),
        ("sizes [2, 3]", "sizes 2x3"),
        ("two\nlines", "two lines"),
        ("f(x) = 1", "f(x) = 1"),
    ],
)
def test_shapes_are_written_as_people_do(said: str, expected: str) -> None:
    assert messages.plain(said) == expected


def test_long_messages_are_cut() -> None:
    assert len(messages.plain("word " * 1000)) <= 300
