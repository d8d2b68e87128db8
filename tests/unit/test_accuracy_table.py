"""A user's table of accuracies: what it may hold, and what is said of everything else."""

from __future__ import annotations

from pathlib import Path

import pytest

from mbench.analysis import accuracy, accuracy_table
from mbench.core.errors import UsageError
from mbench.networks import variants


def written(folder: Path, text: str | bytes) -> Path:
    path = folder / "mine.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def refusal(folder: Path, text: str | bytes) -> str:
    """Return what is said of a table, behind the file's name."""
    path = written(folder, text)
    with pytest.raises(UsageError) as caught:
        accuracy_table.read(path, {"detector": "detector", "models/detector.onnx": "detector"})
    said = str(caught.value)
    assert said.startswith(str(path))
    assert len(said.splitlines()) == 1
    return said.removeprefix(str(path)).lstrip(", :")


def test_a_table_with_all_columns(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "source,Name,top1,dtype,top5\n"
        '"trained here, 90 epochs",mobilenet_v2_0.5,64.25%,,86\n'
        ",mobilenet_v2_0.5_224,63,int8,\n"
        ",detector,91.5,,\n\n"
        ",detector,90,int8,\n",
    )
    found = accuracy_table.read(path, {"detector": "detector", "models/detector.onnx": "detector"})
    assert list(found) == ["mobilenet_v2_0.5_224", "mobilenet_v2_0.5_224_int8", "detector", "detector_int8"]
    first = found["mobilenet_v2_0.5_224"]
    assert (first.top1_percent, first.top5_percent) == (64.25, 86.0)
    assert first.source == f"{path}, line 2: trained here, 90 epochs"
    assert found["detector"].source == f"{path}, line 4"
    assert accuracy.of(variants.parse("mobilenet_v2_0.5_224_b8"), found).top1_percent == 64.25
    assert accuracy.of(variants.parse("mobilenet_v2_0.5_224_int8"), found).top1_percent == 63


def test_a_network_of_ones_own_is_called_by_its_file_as_well(tmp_path: Path) -> None:
    own = {"net": "net", "models/net.onnx": "net", "q": "q", "q_int8": "q"}
    text = "name,top1,dtype\nmodels/net.onnx,70,\nnet,69,int8\nq,68,int8\n"
    found = accuracy_table.read(written(tmp_path, text), own)
    assert {name: each.top1_percent for name, each in found.items()} == {"net": 70, "net_int8": 69, "q": 68}
    twice = written(tmp_path, "name,top1\nnet,70\nmodels/net.onnx,71\n")
    with pytest.raises(UsageError, match="line 3: 'net' stands in line 2 already"):
        accuracy_table.read(twice, own)


def test_as_a_spreadsheet_writes_it(tmp_path: Path) -> None:
    found = accuracy_table.read(written(tmp_path, b"\xef\xbb\xbfname,top1\r\nmobilenet_v1,70.9\r\n"))
    assert found["mobilenet_v1_1.0_224"].top1_percent == 70.9


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no accuracies; expected a line 'name,top1' and below it a line for each network"),
        ("name,top1\n", "no accuracies; expected a line"),
        ("name;top1\nmobilenet_v1;70\n", "line 1: 'name;top1' has no comma; expected commas between columns"),
        ("mobilenet_v1,70.9\n", "line 1: no column 'name' in 'mobilenet_v1,70.9'; expected name,top1"),
        ("name,accuracy\n", "line 1: no column 'top1'"),
        ("name,top1,dtypes\n", "line 1: column 'dtypes' is not known; did you mean 'dtype'?"),
        ("name,top1,top1\n", "line 1: the column 'top1' is there twice; remove one of them"),
        ("name,top1\nmobilenet_v1\n", "line 2: 1 values for 2 columns (name,top1)"),
        ("name,top1\nmobilenet_v1,70,9\n", "line 2: 3 values for 2 columns (name,top1)"),
        ("name,top1\nmobilenet_v1,\n", "line 2: top1 is missing; expected a value, or no such line"),
        ("name,top1\n,70.9\n", "line 2: name is missing"),
        ("name,top1\nmobilenet_v1,nan\n", "line 2: top1 'nan' is no number; expected percent, such as 70.9"),
        ("name,top1\nmobilenet_v1,1e999\n", "line 2: top1 '1e999' is no number"),
        ("name,top1\nmobilenet_v1,seventy\n", "line 2: top1 'seventy' is no number"),
        ('name,top1\nmobilenet_v1,"70,9"\n', "line 2: top1 '70,9' is no number"),
        ("name,top1\nmobilenet_v1,0.709\n", "line 2: top1 0.709 looks like a fraction; expected percent, such as 70.9"),
        ("name,top1\nmobilenet_v1,170.9\n", "line 2: top1 170.9 is not in the range 0 to 100"),
        ("name,top1\nmobilenet_v1,-1\n", "line 2: top1 -1 is not in the range 0 to 100"),
        ("name,top1,top5\nmobilenet_v1,70.9,70.8\n", "line 2: top5 70.8 is less than top1 70.9"),
        ("name,top1\nmobilnet_v1_1.0_224,70\n", "line 2: variant 'mobilnet_v1_1.0_224' is not known; did you mean"),
        ("name,top1\ndetektor,70\n", "line 2: variant 'detektor' is not known; see 'mbench variants'; did you mean"),
        ("name,top1\nresnet,70\n", "see 'mbench variants'; your own are detector"),
        ("name,top1\nmobilenet_v1_9.0_224,70\n", "line 2: variant 'mobilenet_v1_9.0_224': width multiplier 9.0 is out"),
        ("name,top1,dtype\nmobilenet_v1,70,int9\n", "line 2: dtype 'int9' is not supported; expected one of"),
        ("name,top1,dtype\nmobilenet_v1_int8,70,float32\n", "line 2: variant 'mobilenet_v1_int8' is of type int8"),
        ("name,top1\nmobilenet_v1,70\n\nmobilenet_v1_1.0_224,70\n", "line 4: 'mobilenet_v1_1.0_224' stands in line 2"),
        ('name,top1\n"mobilenet_v1,70\n', "no CSV: unexpected end of data"),
        (b"name,top1\nmobilen\xe9t,70\n", "byte 17 is no UTF-8; save the file as CSV in UTF-8"),
        ("name,top1\nmobilenet_v1,70\n".encode("utf-16"), "byte 0 is no UTF-8"),
    ],
)
def test_whatever_is_wrong_is_said_in_a_line(text: str | bytes, said: str, tmp_path: Path) -> None:
    assert said in refusal(tmp_path, text)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.csv: cannot be read: No such file or directory"):
        accuracy_table.read(tmp_path / "none.csv")
    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        accuracy_table.read(tmp_path)
