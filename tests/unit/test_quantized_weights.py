"""Networks that become whole numbers as their weights are drawn or read: graph, reference, quality, evaluation."""

from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path

import imported_networks as networks
import msgspec
import numpy as np
import pytest
import torch

from mbench.core.errors import UsageError
from mbench.core.quantized import QuantizationSettings
from mbench.core.records import Variant
from mbench.networks import architectures, image_sets, quantized_weights, torch_network, variants, weights
from mbench.networks.image_sets import ImageSet
from mbench.networks.network_weights import Weights

NAME = "mobilenet_v2_0.35_32"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MBENCH_CACHE_DIR", str(tmp_path / "cache"))


def of(variant: Variant, **settings: object) -> Weights:
    quantization = msgspec.structs.replace(QuantizationSettings(), **settings)
    return weights.draw(variants.of_type(variant, "int8", quantization))


def images(folder: Path, count: int, **more: np.ndarray) -> tuple[str, np.ndarray]:
    given = np.random.default_rng(1).standard_normal((count, 3, 16, 16)).astype(np.float32)
    np.savez(folder / "set.npz", image=given, **more)  # type: ignore[arg-type]
    return image_sets.remember(ImageSet(folder / "set.npz", "--calibration")), given


def test_a_drawn_network_in_bytes_gives_the_outputs_of_its_reference() -> None:
    found = weights.draw(variants.parse(NAME, dtype="int8"))
    assert found.graph is not None
    assert {node.dtype for node in found.graph.nodes} == {"uint8", "int32", "float32"}
    assert found.tolerance == 0.0
    given = {name: torch.from_numpy(value) for name, value in found.examples.items()}
    [output] = torch_network.run(found.graph, found.parameters, given)
    np.testing.assert_array_equal(output.numpy(), found.expected[0])
    floats = weights.draw(variants.parse(NAME)).expected[0]
    noise = np.square(floats - found.expected[0]).sum() / np.square(floats).sum()
    assert 0 < noise < 0.2


def test_it_crosses_to_another_process() -> None:
    found = weights.draw(variants.parse(NAME, dtype="int8"))
    again = pickle.loads(pickle.dumps(found))
    assert again.graph.outputs == found.graph.outputs  # type: ignore[union-attr]


def test_what_it_costs_comes_after_it() -> None:
    """From the process that drew it last, and from one that draws it again."""
    variant, other = variants.parse(NAME, dtype="int8"), variants.parse("mobilenet_v1_0.25_32", dtype="int8")
    known = weights.draw(variant).quantized
    drawn = weights.begin(variant).result()
    assert (drawn.quantized, known is not None) == (None, True)
    assert weights.begin_outcome(variant, drawn).result() == known
    weights.begin(other).result()
    assert weights.begin_outcome(variant, drawn).result() == known
    assert weights.begin_outcome(variant, dataclasses.replace(drawn, quantized=known)).result() is known
    floats = variants.parse(NAME)
    assert weights.begin_outcome(floats, weights.draw(floats)).result() is None


def test_what_it_costs_in_quality_stands_beside_it() -> None:
    found = weights.draw(variants.parse(NAME, dtype="int8")).quantized
    assert found is not None
    assert (found.images, found.drawn, found.left_float, found.evaluation) == (
        quantized_weights.COMPARED,
        True,
        (),
        None,
    )
    assert found.agreement is not None
    [output] = found.outputs
    assert output.name == "fc"
    assert output.sqnr_db is not None
    assert 3 < output.sqnr_db < 40
    folded = architectures.folded(variants.parse(NAME)).graph
    assert {each.name for each in found.values} <= {*folded.inputs, *folded.by_name}


def test_coarser_weights_cost_more() -> None:
    variant = networks.kept()
    eight, seven = (of(variant, largest_weight=largest).quantized for largest in (127, 63))
    assert eight is not None
    assert seven is not None
    assert eight.outputs[0].sqnr_db > seven.outputs[0].sqnr_db + 1  # type: ignore[operator]


def test_layers_stay_float_where_asked() -> None:
    found = of(networks.kept(), keep_float=("two.*",))
    assert found.quantized is not None
    kept = {each.name for each in found.quantized.left_float}
    assert {"two.dw", "two.pw"} <= kept
    assert found.tolerance is None  # what follows is rounded again
    with pytest.raises(UsageError, match="'three' is to stay float, and no layer has such a name"):
        of(networks.kept(), keep_float=("three",))


def test_a_network_that_stays_float_altogether_is_not_called_int8() -> None:
    with pytest.raises(
        UsageError, match=r"\* is to stay float, and no layer is left that is computed in int8; run the"
    ):
        of(networks.kept(), keep_float=("*",))


def test_a_calibration_of_ones_own_sets_the_ranges(tmp_path: Path) -> None:
    digest, given = images(tmp_path, 5)
    found = of(networks.kept(), calibration_sha256=digest)
    assert found.graph is not None
    first = next(node for node in found.graph.nodes if node.op == "quantize")
    assert first.attributes["scale"] == pytest.approx((given.max() - given.min()) / 255, rel=1e-5)
    assert found.quantized is not None
    assert not found.quantized.drawn
    assert found.quantized.images == 5


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda given: given[:, :, :8], "images of 'image' are 3x8x16; expected 3x16x16"),
        (lambda given: np.where(given > 2, np.nan, given), "NaN or infinite on the images of the calibration"),
    ],
)
def test_images_that_do_not_fit_are_refused(tmp_path: Path, spoil: object, said: str) -> None:
    _, given = images(tmp_path, 2)
    np.savez(tmp_path / "set.npz", image=spoil(given))  # type: ignore[operator]
    digest = image_sets.remember(ImageSet(tmp_path / "set.npz", "--calibration"))
    with pytest.raises(UsageError, match=said):
        of(networks.kept(), calibration_sha256=digest)


def test_constant_images_and_a_single_one_do(tmp_path: Path) -> None:
    for given in (np.zeros((1, 3, 16, 16)), np.full((3, 3, 16, 16), 0.25)):
        np.savez(tmp_path / "set.npz", image=given)
        digest = image_sets.remember(ImageSet(tmp_path / "set.npz", "--calibration"))
        assert of(networks.kept(), calibration_sha256=digest).graph is not None


def test_top_1_is_counted_on_images_and_labels_of_ones_own(tmp_path: Path) -> None:
    variant = networks.kept()
    _, given = images(tmp_path, 24)
    graph, parameters = architectures.folded(variant).graph, weights.draw(variant).parameters
    said = np.array(
        [torch_network.run(graph, parameters, {"image": torch.from_numpy(each[None])})[0].argmax() for each in given]
    )
    labels = np.where(np.arange(24) < 18, said, (said + 1) % 10)
    digest, _ = images(tmp_path, 24, labels=labels)
    found = of(variant, evaluation_sha256=digest).quantized
    assert found is not None
    assert found.evaluation is not None
    assert (found.evaluation.images, found.evaluation.float32_correct) == (24, 18)
    assert found.evaluation.agreeing is not None
    assert found.evaluation.agreeing >= 20
    assert abs(found.evaluation.int8_correct - 18) <= 24 - found.evaluation.agreeing


def test_an_output_that_is_no_row_of_classes_has_no_top_1(tmp_path: Path) -> None:
    digest, _ = images(tmp_path, 2, labels=np.zeros(2, int))
    maps = networks.separable()
    graph = dataclasses.replace(maps, outputs=(maps.nodes[0].name,))
    with pytest.raises(UsageError, match="the network's first output is 1x8x8x8; expected a row of classes"):
        quantized_weights.evaluated((graph, {}), (graph, {}), image_sets.remembered(digest, "--evaluate"), "unit")


def test_images_are_counted_whatever_the_batch(tmp_path: Path) -> None:
    """Five images fill two batches of four, the last of them by three copies, which are no images."""
    network = variants.parse(NAME, batch=4)
    np.savez(tmp_path / "five.npz", image=np.random.default_rng(1).standard_normal((5, 3, 32, 32)))
    digest = image_sets.remember(ImageSet(tmp_path / "five.npz", "--calibration"))
    given, drawn = of(network, calibration_sha256=digest).quantized, of(network).quantized
    assert given is not None
    assert given.images == 5
    assert given.agreement in {share / 5 for share in range(6)}
    assert drawn is not None
    assert drawn.images == 4 * quantized_weights.COMPARED
