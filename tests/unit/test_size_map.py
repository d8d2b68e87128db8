"""Widths by resolutions as coloured cells: a cell for each pair, and ink that can be read on all colours."""

from __future__ import annotations

from mbench.page import size_map


def luminance(colour: str) -> float:
    """Return the relative luminance of WCAG 2.1."""
    shares = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (share / 12.92 if share <= 0.03928 else ((share + 0.055) / 1.055) ** 2.4 for share in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_each_pair_of_sizes_is_a_cell_with_its_figure_and_its_number() -> None:
    drawn = size_map.of(
        [0.5, 1.0], [96, 128, 224], [[1, 2, None], [2, 3, 4]], [["a", "b", ""], ["c"] * 3], [[0] * 3] * 2
    )
    assert drawn is not None
    [cells] = drawn.data
    assert (cells["y"], cells["x"]) == (["0.5", "1"], ["96", "128", "224"])
    assert cells["z"] == [[1, 2, None], [2, 3, 4]]
    assert cells["text"][0] == ["a", "b", ""]


def test_where_nothing_is_known_there_is_no_map() -> None:
    assert size_map.of([1.0], [96], [[None]], [[""]], [[None]]) is None


def test_its_ink_can_be_read_on_the_darkest_and_the_lightest_cell() -> None:
    drawn = size_map.of([1.0], [96], [[1.0]], [["1 ms"]], [[0]])
    assert drawn is not None
    [cells] = drawn.data
    ink = luminance(cells["textfont"]["color"])
    for _, colour in cells["colorscale"]:
        assert (luminance(colour) + 0.05) / (ink + 0.05) >= 4.5
