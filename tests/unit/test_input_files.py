"""Files of arrays by name: read, or refused in one line."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from mbench.core.errors import UsageError
from mbench.networks import input_files


def test_a_file_of_arrays_is_read(tmp_path: Path) -> None:
    file, image = tmp_path / "in.npz", np.ones((1, 3, 8, 8), "float32")
    np.savez(file, image=image)
    np.testing.assert_array_equal(input_files.read(file)["image"], image)


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    one, text, objects = (tmp_path / name for name in ("one.npz", "text.npz", "objects.npz"))
    with one.open("wb") as opened:
        np.save(opened, np.ones(3))
    text.write_text("no arrays")
    np.savez(objects, image=np.array([{}], object))
    for file, said in (
        (tmp_path / "absent.npz", "No such file"), (one, "holds one array without a name"), (text, "cannot be read"),
        (objects, "it holds pickled objects"), (tmp_path, "Is a directory"),
    ):  # fmt: skip
        with pytest.raises(UsageError, match=f"--input .*{file.name}.*{said}"):
            input_files.read(file)
    np.savez(text, words=np.array(["a"]))
    with pytest.raises(UsageError, match=r"'words' holds <U1; expected numbers"):
        input_files.read(text)


def test_what_an_archive_holds_beside_arrays_is_refused(tmp_path: Path) -> None:
    text, huge = tmp_path / "text.npz", tmp_path / "huge.npz"
    with zipfile.ZipFile(text, "w") as archive:
        archive.writestr("x", b"no array")
    described = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000000,), }".ljust(117) + b"\n"
    with zipfile.ZipFile(huge, "w") as archive:
        archive.writestr("x.npy", b"\x93NUMPY\x01\x00" + len(described).to_bytes(2, "little") + described)
    with pytest.raises(UsageError, match="'x' is no array of numpy; expected"):
        input_files.read(text)
    with pytest.raises(UsageError, match="need more memory than there is"):
        input_files.read(huge)
