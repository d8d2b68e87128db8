"""What is given as networks: names, grids, files, functions and `Network`s, in the user's order, each named apart."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import imported_networks as networks
import msgspec
import numpy as np
import pytest

from mbench.core.errors import UsageError
from mbench.core.quantized import QuantizationSettings
from mbench.core.records import Variant
from mbench.networks import given, importing, variants
from mbench.networks import graph as graphs
from mbench.networks.given import GivenNetworks, HowToImport
from mbench.networks.importing import ImportPlan
from mbench.networks.network import Network

NAME = "mobilenet_v1_0.25_32"
Make = Callable[..., Variant]


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Put files in the place of an importer: by path, changes of the network that is imported."""
    monkeypatch.setenv("MBENCH_CACHE_DIR", str(tmp_path / "cache"))
    known: dict[str, Any] = {"net.onnx": {"name": "net"}}

    def imported(plan: ImportPlan, *, timeout_s: float) -> Variant:
        known.setdefault("plans", []).append(plan)
        told = dict(known[plan.source])
        changes = {"batch": plan.batch or 1, **({"dtype": told.pop("dtype")} if "dtype" in told else {})}
        return msgspec.structs.replace(networks.kept(**told), **changes)

    monkeypatch.setattr(importing, "in_a_child", imported)
    return known


def found(*asked: Any, batches: tuple[int | None, ...] = (None,), **how: Any) -> tuple[Variant, ...]:
    return GivenNetworks(asked, HowToImport(**how), batches).variants()


def names(*asked: Any, **how: Any) -> list[str]:
    return [variant.name for variant in found(*asked, **how)]


def test_that_a_file_of_another_type_is_measured_in_the_runs_is_said(files: dict[str, Any]) -> None:
    halves = graphs.retyped(networks.separable(), "float16")
    files["half.onnx"] = {"name": "half", "graph": halves, "run": lambda _: (np.arange(10.0).reshape(1, 10),)}
    given = GivenNetworks(("net.onnx", "half.onnx"), HowToImport(), (None,))
    assert given.notes == ("half: it computes in float16; it is measured in the type of the run",)


def test_of_several_types_a_quantised_file_has_its_own(files: dict[str, Any]) -> None:
    files["q.onnx"] = {"name": "q", "dtype": "int8"}
    both = GivenNetworks(("net.onnx", "q.onnx"), HowToImport()).variants(("float32", "int8"))
    assert [(each.name, each.dtype) for each in both] == [("net", "float32"), ("net_int8", "int8"), ("q", "int8")]


def test_files_that_are_called_otherwise_are_named(files: dict[str, Any]) -> None:
    files |= {"a/x.onnx": {"name": "x"}, "b/x.onnx": {"name": "x", "producer": "b"}}
    given = GivenNetworks(("net.onnx", "a/x.onnx", "b/x.onnx"), HowToImport())
    assert given.files["net.onnx"] == "net"
    assert len(set(given.files.values())) == 3
    assert given.notes == tuple(
        f"{file} is called {given.files[file]} here: another network has the name x"
        for file in ("a/x.onnx", "b/x.onnx")
    )


def test_networks_are_in_the_users_order_each_once(files: dict[str, Any]) -> None:
    files["other.onnx"] = {"name": "other", "producer": "b"}
    asked = ("mobilenet_v1_{0.25,0.5}_32", "net.onnx", NAME, "other.onnx", "net.onnx", "mobilenet_v2_0.35_96")
    assert names(*asked) == [NAME, "mobilenet_v1_0.5_32", "net", "other", "mobilenet_v2_0.35_96"]
    assert [plan.source for plan in files["plans"]] == ["net.onnx", "other.onnx"]


def test_built_in_networks_are_what_their_names_mean() -> None:
    assert found(NAME) == (variants.parse(NAME),)
    assert found(NAME, batches=(8,)) == (variants.parse(NAME, batch=8),)
    assert found(NAME, batches=(1, 8)) == (variants.parse(f"{NAME}_b1"), variants.parse(f"{NAME}_b8"))


def test_a_batch_in_a_name_and_another_that_is_asked_for_are_refused() -> None:
    assert found(f"{NAME}_b8", batches=(8,)) == found(f"{NAME}_b8") == (variants.parse(f"{NAME}_b8"),)
    for batches, asked in (((4,), "4"), ((1, 8), "1, 8")):
        with pytest.raises(UsageError) as caught:
            found(f"{NAME}_b8", batches=batches)
        said = f"has batch 8 by its name, and --batch asks for {asked}; leave _b8 or --batch out"
        assert str(caught.value) == f"variant '{NAME}_b8' {said}"


def test_an_imported_network_has_the_batch_in_its_name_as_others_have(files: dict[str, Any]) -> None:
    assert names("net.onnx", NAME, batches=(8,)) == ["net", NAME]
    one, _, eight, _ = found("net.onnx", NAME, batches=(1, 8))
    assert [(each.name, each.family, each.batch) for each in (one, eight)] == [
        ("net_b1", "net", 1), ("net_b8", "net", 8),
    ]  # fmt: skip
    assert [plan.batch for plan in files["plans"]] == [8, 1, 8]


def test_two_networks_of_one_name_are_told_apart_by_their_digests(files: dict[str, Any]) -> None:
    files["b/net.onnx"] = {"name": "net", "producer": "another"}
    files["copy/net.onnx"] = {"name": "net"}
    first, second = found("net.onnx", "b/net.onnx", "copy/net.onnx")
    for each in (first, second):
        assert each.name == each.family == f"net-{str(each.parameters['content_sha256'])[:8]}"
    assert first.name != second.name
    assert names("net.onnx", "copy/net.onnx") == ["net"]


def test_a_network_with_the_name_of_anothers_twin_is_told_apart_from_it(files: dict[str, Any]) -> None:
    files["net_standard.onnx"] = {"name": "net_standard", "producer": "another"}
    both, _ = given.with_twins(found("net.onnx", "net_standard.onnx"))
    own = next(each for each in both if each.parameters["producer"] == "another")
    assert own.name == f"net_standard-{str(own.parameters['content_sha256'])[:8]}"
    assert [each.name for each in both] == ["net", "net_standard", own.name, f"{own.name}_standard"]


def test_a_network_with_the_name_of_a_built_in_one_is_told_apart_from_it(files: dict[str, Any]) -> None:
    files["net.onnx"] = {"name": NAME}
    built_in, own = found(NAME, "net.onnx")
    assert built_in == variants.parse(NAME)
    assert own.name == f"{NAME}-{str(own.parameters['content_sha256'])[:8]}"


def test_twins_follow_their_networks_and_have_their_parameters(files: dict[str, Any]) -> None:
    files["plain.onnx"] = {"name": "plain", "graph": networks.two_by_two()}
    with_twins, without = given.with_twins(found("net.onnx", "plain.onnx", batches=(1, 8)))
    assert [each.name for each in with_twins] == [
        "net_b1", "net_standard_b1", "plain_b1", "net_b8", "net_standard_b8", "plain_b8",
    ]  # fmt: skip
    assert without == {"plain": "it has no depthwise convolution"}
    net, twin = with_twins[:2]
    assert (twin.parameters, twin.family, twin.convolution) == (net.parameters, "net", "standard")
    assert variants.paired_with(twin) == net


def test_a_name_that_ends_as_a_batch_does_is_no_batch(files: dict[str, Any]) -> None:
    files["net.onnx"] = {"name": "net_b1"}
    [net], _ = GivenNetworks(["net.onnx"], HowToImport()).variants(), None
    twin = variants.paired_with(net)
    assert twin is not None
    assert (net.name, twin.name, variants.batch_suffix(net)) == ("net_b1", "net_b1_standard", "")
    [one, _] = found("net.onnx", batches=(1, 2))
    assert (one.name, variants.batch_suffix(one)) == ("net_b1_b1", "_b1")


def test_shapes_and_inputs_go_to_the_one_file(files: dict[str, Any]) -> None:
    found(NAME, "net.onnx", input_shapes=("image=1,3,16,16", "a=b=2"), inputs=Path("in.npz"))
    [plan] = files["plans"]
    assert (plan.shapes, plan.inputs) == ({"image": (1, 3, 16, 16), "a=b": (2,)}, Path("in.npz"))
    files["other.onnx"] = {"name": "other"}
    for asked, said in (((NAME,), "none is given"), (("net.onnx", "other.onnx"), "2 are given")):
        with pytest.raises(UsageError, match=f"--input-shape is of one file or function, and {said}"):
            found(*asked, input_shapes=("image=1",))
        with pytest.raises(UsageError, match="--input is of one file or function"):
            found(*asked, inputs=Path("in.npz"))


@pytest.mark.parametrize("text", ["", "image", "=1,2", "image=", "image=1,,2", "image=0,3", "image=-1", "image=1x3"])
def test_a_shape_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"--input-shape .*: expected NAME=N,N,…, such as image=1,3,224,224"):
        found("net.onnx", input_shapes=(text,))


@pytest.mark.parametrize("name", ["net.tflite", "a/net.PTH", "net.pt"])
def test_a_file_of_another_kind_is_refused_with_what_is_read(name: str) -> None:
    with pytest.raises(UsageError, match=f"^{name}: mbench does not read such files; expected FILE.onnx, FILE.pt2"):
        found(NAME, name)


@pytest.mark.parametrize("name", ["net.py", "nets/net.py:small"])
def test_a_python_file_is_refused_with_how_its_function_is_given(name: str) -> None:
    with pytest.raises(UsageError, match=r"expected a module and its function, 'net:(FUNCTION|small)', in the folder"):
        GivenNetworks([name], HowToImport())


def test_a_file_that_is_no_network_is_not_taken_for_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights").write_bytes(b"none")
    with pytest.raises(UsageError, match=r"^weights: mbench does not read such files; expected FILE.onnx"):
        GivenNetworks(["weights"], HowToImport())
    (tmp_path / "mobilenet_v2").write_bytes(b"a name all the same")
    assert GivenNetworks(["mobilenet_v2"], HowToImport()).variants()


def test_what_is_run_is_said(files: dict[str, Any]) -> None:
    files["package.module:function"] = {"name": "function", "source": "function"}
    for batches, often in (((None,), "once"), ((1, 8), "once for each batch")):
        asked = GivenNetworks(["net.onnx", "package.module:function"], HowToImport(), batches)
        assert asked.notes == (
            "package.module:function: imports the module package.module and calls function(): their code runs with "
            f"your rights; it is done {often}, in a process of its own",
        )


def test_networks_of_python_stand_beside_names(files: dict[str, Any]) -> None:
    network = Network.from_onnx("net.onnx")
    assert names(network, NAME, "net.onnx") == ["net", NAME]
    assert given.each(network) == (network,)
    assert given.each("net.onnx") == ("net.onnx",)
    assert given.each([network, NAME]) == (network, NAME)
    with pytest.raises(UsageError, match=r"got 3; expected names of networks, files, or mbench\.Network"):
        found(3)


def test_more_networks_than_a_run_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(variants, "MOST_VARIANTS", 3)
    with pytest.raises(UsageError, match="more than 3 variants"):
        found(NAME, "mobilenet_v1_0.5_32", batches=(1, 2))


def test_the_types_are_the_runs() -> None:
    asked = GivenNetworks(["net.onnx", NAME, f"{NAME}_int8"], HowToImport(), (1, 2))
    assert [each.name for each in asked.variants()] == [
        "net_b1", f"{NAME}_b1", f"{NAME}_int8_b1", "net_b2", f"{NAME}_b2", f"{NAME}_int8_b2",
    ]  # fmt: skip
    asked = GivenNetworks(["net.onnx", NAME], HowToImport())
    how = QuantizationSettings(percentile=99.0)
    found = asked.variants(("float32", "int8"), how)
    assert [each.name for each in found] == ["net", "net_int8", NAME, f"{NAME}_int8"]
    assert [each.quantization for each in found] == [None, how, None, how]
    assert [each.family for each in found[:2]] == ["net", "net"]
    [net] = GivenNetworks(["net.onnx"], HowToImport()).variants(("float16",))
    assert (net.name, net.dtype, net.quantization) == ("net_float16", "float16", None)
    with pytest.raises(UsageError, match="dtype 'int3' is not supported"):
        GivenNetworks([NAME], HowToImport()).variants(("int3",))
    with pytest.raises(UsageError, match="is of type int8, and float32 is asked for"):
        GivenNetworks([f"{NAME}_int8"], HowToImport()).variants(("float32",))


def test_a_quantised_file_is_of_its_own_type(files: dict[str, Any]) -> None:
    files["q.onnx"] = {"name": "q", "dtype": "int8"}
    asked = GivenNetworks(["q.onnx", NAME], HowToImport())
    own, built_in = asked.variants()
    assert (own.name, own.dtype, own.quantization, built_in.dtype) == ("q", "int8", None, "float32")
    assert [each.name for each in asked.variants(("int8",))] == ["q", f"{NAME}_int8"]
    with pytest.raises(UsageError, match="q: its file is quantised, so that it runs in int8; for float32, give mbench"):
        asked.variants(("float32",))
    twins, without = given.with_twins([own, built_in])
    assert [each.name for each in twins] == ["q", NAME, f"{NAME}_standard"]
    assert without == {"q": "its file is quantised"}


def test_a_file_that_is_called_as_another_in_another_type_is_told_apart_from_it(files: dict[str, Any]) -> None:
    """As `net_int8.onnx` that a tool quantised, beside what mbench quantises of `net.onnx`."""
    files["net_int8.onnx"] = {"name": "net_int8", "producer": "a tool", "dtype": "int8"}
    files["net_standard_int8.onnx"] = {"name": "net_standard_int8", "producer": "another", "dtype": "int8"}
    asked = GivenNetworks(tuple(files), HowToImport()).variants(("int8",), QuantizationSettings())
    assert [each.name.partition("-")[0] for each in asked] == ["net_int8", "net_int8", "net_standard_int8"]
    assert len({each.name for each in asked}) == 3
    twins, _ = given.with_twins(asked)
    assert len({each.name for each in twins}) == len(twins) == 4


@pytest.mark.parametrize("stem", ["net", "x" * 70])
def test_files_of_one_name_are_told_apart(files: dict[str, Any], stem: str) -> None:
    del files["net.onnx"]
    files |= {f"{folder}/{stem}.onnx": {"name": f"{stem}-{folder}" if len(stem) > 60 else stem, "producer": folder}
              for folder in "ab"}  # fmt: skip
    one, other = names(*files)
    assert one != other
    assert one[:-8] == other[:-8] == f"{stem[:60]}-"
