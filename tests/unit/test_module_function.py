"""`package.module:function`: what is run, and what a function may return."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from network_files import error, read

from mbench.core.errors import UsageError
from mbench.networks.importers import module_function

MODULE = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.drop = nn.Dropout()
    def forward(self, image, gain):
        return self.drop(self.conv(image)).relu() * gain

def good():
    return Net().eval(), (torch.ones(1, 3, 6, 8), torch.full((1, 1, 1, 1), 2.0))
def training():
    network = Net().eval()
    network.drop.train()
    return network, good()[1]
def no_tuple():
    return Net().eval()
def no_network():
    return "network", torch.ones(1)
def no_example():
    return Net().eval(), [1, 2]
def failing():
    raise RuntimeError("the weights are on another disk")
def leaving():
    raise SystemExit(3)
def interrupting():
    raise KeyboardInterrupt
def speechless():
    class Mute(Exception):
        def __str__(self):
            raise ValueError
    raise Mute
def three():
    return 1, 2, 3
def without_numbers():
    return nn.Conv2d(3, 4, 3, device="meta").eval(), torch.ones(1, 3, 6, 8)
def wrong_shape():
    return Net().eval(), (torch.ones(1, 5, 6, 8), torch.ones(1))
def strange():
    class Python(nn.Module):
        def forward(self, x):
            return x + len([1 for each in x.sum().tolist() * [1]])
    return Python().eval(), torch.ones(1, 3)
def annotated():
    class Annotated(nn.Module):
        def forward(self, x: TypeCheckersKnowIt):
            return x.relu()
    return Annotated().eval(), torch.ones(1, 3)
def listed():
    class Listed(nn.Module):
        def forward(self, x):
            return {"a": x.relu(), "b": [x * 2, x + 1]}
    return Listed().eval(), torch.randn(1, 3)
def scripted():
    return torch.jit.script(nn.Conv2d(3, 4, 3).eval()), torch.ones(1, 3, 6, 8)
def compiled():
    return torch.compile(good()[0]), good()[1]
number = 3
class Holder:
    @staticmethod
    def inner():
        return good()
"""


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    package = tmp_path / "ourpackage"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "nets.py").write_text(MODULE)
    (package / "broken.py").write_text("this is no Python")
    (package / "needing.py").write_text("import a_package_that_is_not_there")
    yield
    for name in [name for name in sys.modules if name.split(".")[0] == "ourpackage"]:
        del sys.modules[name]


def test_a_function_of_the_current_folder() -> None:
    before = list(sys.path)
    found = read("ourpackage.nets:good")
    assert error(found) < 1e-6
    assert (found.source, found.name) == ("function", "good")
    assert sys.path == before
    np.testing.assert_array_equal(found.examples["gain"], np.full((1, 1, 1, 1), 2.0, np.float32))
    assert "conv" in found.graph.by_name
    assert error(read("ourpackage.nets:Holder.inner")) < 1e-6


def test_another_batch_and_another_shape() -> None:
    assert read("ourpackage.nets:good", batch=3).graph.inputs["image"].shape == (3, 3, 6, 8)
    found = read("ourpackage.nets:good", image=(1, 3, 10, 12))
    assert found.graph.inputs["image"].shape == (1, 3, 10, 12)
    assert error(found) < 1e-6


def test_outputs_in_tables_and_lists() -> None:
    found = read("ourpackage.nets:listed")
    assert len(found.graph.outputs) == 3
    assert error(found) < 1e-6


def test_a_compiled_module_is_the_one_that_was_compiled() -> None:
    found, plain = (read(f"ourpackage.nets:{name}") for name in ("compiled", "good"))
    assert [node.name for node in found.graph.nodes] == [node.name for node in plain.graph.nodes]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("nowhere.at_all:function", "there is no module 'nowhere'"),
        ("ourpackage.missing:function", "there is no module 'ourpackage.missing'"),
        ("ourpackage.needing:function", "it needs the package 'a_package_that_is_not_there', which is not installed"),
        ("ourpackage.broken:function", "the module cannot be imported: SyntaxError"),
        ("ourpackage.nets:missing", "has no 'missing'; expected the name of a function in it"),
        ("ourpackage.nets:number", "it is a int; expected a function"),
        ("ourpackage.nets:failing", "the function failed: RuntimeError: the weights are on another disk"),
        ("ourpackage.nets:leaving", "the function failed: SystemExit"),
        ("ourpackage.nets:interrupting", "the function failed: KeyboardInterrupt"),
        ("ourpackage.nets:speechless", "the function failed: Mute"),
        ("ourpackage.nets:three", "it returned a tuple of 3; expected (network, example)"),
        ("ourpackage.nets:without_numbers", "'weight' lies on torch's device meta, without numbers"),
        ("ourpackage.nets:no_tuple", "it returned a Net; expected (network, example)"),
        ("ourpackage.nets:no_network", "its network is a str; expected (network, example)"),
        ("ourpackage.nets:no_example", "its example is a int; expected (network, example)"),
        ("ourpackage.nets:training", "drop is in training mode"),
        ("ourpackage.nets:wrong_shape", "torch cannot export its network"),
        ("ourpackage.nets:strange", "torch cannot export its network"),
        ("ourpackage.nets:annotated", ": NameError: name 'TypeCheckersKnowIt' is not defined"),
        ("ourpackage.nets:scripted", "its network is a TorchScript module; give the module that it was made from"),
    ],
)
def test_functions_that_do_not_give_a_network(source: str, expected: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(source)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_shapes_that_do_not_fit() -> None:
    with pytest.raises(UsageError, match="has 4 sides; 2 are given"):
        read("ourpackage.nets:good", image=(1, 3))
    with pytest.raises(UsageError, match="no such input"):
        read("ourpackage.nets:good", picture=(1, 3, 6, 8))


def test_what_is_run_is_said() -> None:
    assert "imports the module a.b and calls f()" in module_function.runs("a.b:f")
    assert "with your rights" in module_function.runs("a.b:f")
