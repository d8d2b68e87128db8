"""Paths on the command line: those that cannot be are refused before anything is done."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from mbench.cli.arguments import PATH, SOURCE


def test_a_path_that_is_not_there_can_be_given(tmp_path: Path) -> None:
    assert PATH.convert(str(tmp_path / "none" / "record.json"), None, None) == tmp_path / "none" / "record.json"


def test_a_source_stays_as_it_was_written() -> None:
    assert SOURCE.convert("postgresql://h//d", None, None) == "postgresql://h//d"
    with pytest.raises(click.BadParameter, match="File name too long"):
        SOURCE.convert("x" * 5000, None, None)


def test_a_path_that_cannot_be_is_refused_with_the_systems_reason(tmp_path: Path) -> None:
    (tmp_path / "round").symlink_to("round")
    for path, said in ((tmp_path / ("x" * 5000), "File name too long"), (tmp_path / "round" / "x", "symbolic links")):
        with pytest.raises(click.BadParameter, match=said) as caught:
            PATH.convert(str(path), None, None)
        assert str(caught.value).startswith(str(path))
