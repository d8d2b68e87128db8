from __future__ import annotations

import errno
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import speaks_python

from mbench.core.errors import shown, why


def test_what_an_exception_says_is_in_words(tmp_path: Path) -> None:
    assert why(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/x")) == "No space left on device"
    assert why(subprocess.TimeoutExpired(["cc", "x.c"], 300.0)) == "no end within 300 s"
    assert why(ValueError("two\n  lines")) == "two lines"
    assert why(ValueError()) == "ValueError"
    with pytest.raises(OSError, match="none") as caught:
        (tmp_path / "none").read_bytes()
    assert why(caught.value) == "No such file or directory"


def test_what_could_not_be_copied_is_no_list(tmp_path: Path) -> None:
    (tmp_path / "from").mkdir()
    (tmp_path / "from" / "dangling").symlink_to("nothing")
    with pytest.raises(shutil.Error) as caught:
        shutil.copytree(tmp_path / "from", tmp_path / "to")
    assert speaks_python(str(caught.value))
    assert why(caught.value) == "No such file or directory"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ([1, "a"], '[1, "a"]'), ({"a": [1]}, '{"a": [1]}'), ("text", "'text'"), (1.5, "1.5"),
        (["x" * 200], '["' + "x" * 77 + "…"),
    ],
)  # fmt: skip
def test_values_of_files_are_quoted_as_they_stand_there(value: object, text: str) -> None:
    assert shown(value) == text


@pytest.mark.parametrize(
    "value",
    [["a"], ("a", "b"), (1, 2), {"a": 1}, Path("/x"), OSError(2, "no"), [Path("x")], [("a", 1)], object()],
    ids=lambda value: type(value).__name__,
)
def test_the_check_of_all_messages_can_fail(value: object) -> None:
    """It is made after every test, see `conftest`."""
    assert speaks_python(f"what is {value}, expected another" if not isinstance(value, Path) else f"is {value!r}")


def test_the_check_of_all_messages_lets_words_pass() -> None:
    for text in ("shape 1x3 (N, C)", "'a', 'b' (3 of 5)", "[gate] has 'x'", "mobilenet_v1_{0.5,1.0}_224", "f(x)"):
        assert not speaks_python(text)
