"""Images of the user's: files of numpy's and folders of pictures, what becomes of them, and which are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from mbench.core.errors import UsageError
from mbench.networks import image_sets
from mbench.networks.graph import Graph
from mbench.networks.graph_builder import GraphBuilder
from mbench.networks.image_sets import ImageSet

SHAPE = (3, 7, 5)


def network(batch: int = 1, **more: tuple[int, ...]) -> Graph:
    builder = GraphBuilder()
    x = builder.convolution("conv", builder.input("image", (batch, *SHAPE)), 4, kernel=1)
    x = builder.add("reshape", "flat", builder.add("global_avg_pool", "pool", x), shape=(batch, 4))
    for name, shape in more.items():
        x = builder.add("add", f"with {name}", x, builder.input(name, shape))
    return builder.graph(x)


def images(count: int) -> np.ndarray:
    return np.random.default_rng(3).standard_normal((count, *SHAPE)).astype(np.float32)


def archive(folder: Path, **arrays: np.ndarray) -> ImageSet:
    np.savez(folder / "images.npz", **arrays)  # type: ignore[arg-type]
    return ImageSet(folder / "images.npz", "--calibration")


def pictures(folder: Path, *names: str, size: tuple[int, int] = (20, 28)) -> ImageSet:
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.new("RGB", size, (40 * number, 128, 255)).save(folder / name)
    return ImageSet(folder, "--evaluate")


@pytest.mark.parametrize("name", ["image", "arr_0"])
def test_an_array_of_images_is_read_one_by_one(tmp_path: Path, name: str) -> None:
    given = images(3)
    found = list(archive(tmp_path, **{name: given}).images(network()))
    assert [list(each) for each in found] == [["image"]] * 3
    np.testing.assert_array_equal(np.concatenate([each["image"] for each in found]), given)


def test_a_batch_is_filled_with_the_last_image(tmp_path: Path) -> None:
    given = images(3)
    first, second = archive(tmp_path, image=given).images(network(batch=2))
    np.testing.assert_array_equal(first["image"], given[:2])
    np.testing.assert_array_equal(second["image"], given[[2, 2]])


def test_each_input_has_an_array(tmp_path: Path) -> None:
    given, hints = images(2), np.arange(8.0).reshape(2, 4)
    found = list(archive(tmp_path, image=given, hint=hints).images(network(hint=(1, 4))))
    np.testing.assert_array_equal(found[1]["hint"], hints[1:])
    assert found[0]["hint"].dtype == "float32"
    with pytest.raises(UsageError, match="it has no array 'hint', which the network reads"):
        list(archive(tmp_path, image=given).images(network(hint=(1, 4))))


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({}, "it has no images"),
        ({"labels": np.arange(3)}, "it has no images"),
        ({"image": np.float32(3)}, "'image' 0 images; expected as many of each, and at least one"),
        ({"image": images(2), "hint": np.ones((3, 4))}, "'image' 2, 'hint' 3 images"),
        ({"image": images(2), "labels": np.arange(3)}, "labels is 3; expected 2, one for each image"),
        ({"image": images(2), "labels": np.ones(2)}, "labels holds float64; expected whole numbers"),
        ({"image": np.array(["a", "b"])}, "holds <U1; expected numbers"),
    ],
)
def test_files_that_are_none_are_refused_in_a_line(tmp_path: Path, arrays: dict[str, np.ndarray], said: str) -> None:
    with pytest.raises(UsageError, match=rf"--calibration .*images\.npz: .*{said}"):
        archive(tmp_path, **arrays)


def test_images_of_another_shape_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="images of 'image' are 3x5x7; expected 3x7x5"):
        list(archive(tmp_path, image=np.zeros((2, 3, 5, 7))).images(network()))


def test_what_is_not_there_or_no_picture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--calibration .*no\.npz: cannot be read"):
        ImageSet(tmp_path / "no.npz", "--calibration")
    with pytest.raises(UsageError, match="the folder has no pictures"):
        ImageSet(tmp_path, "--calibration")
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(UsageError, match=r"a\.png is no picture that can be read"):
        list(ImageSet(tmp_path, "--calibration").images(network()))
    two = network(hint=(1, 4))
    with pytest.raises(UsageError, match="pictures are for networks that read one image of three channels"):
        list(ImageSet(tmp_path, "--calibration").images(two))


@pytest.mark.parametrize(("size", "kept"), [((5, 7), (5, 7)), ((40, 8), (5, 7)), ((9, 500), (5, 7))])
def test_pictures_are_scaled_and_cut_to_the_middle(
    tmp_path: Path, size: tuple[int, int], kept: tuple[int, int]
) -> None:
    [found] = pictures(tmp_path, "a.png", size=size).images(network(), "unit")
    assert found["image"].shape == (1, *SHAPE)
    np.testing.assert_allclose(found["image"][0, :, 0, 0], [0, 128 / 255, 1], rtol=1e-6)


def test_the_middle_is_what_is_left(tmp_path: Path) -> None:
    """A picture that is dark left and bright right shows both sides of its middle, and nothing of its ends."""
    pixels = np.zeros((70, 100, 3), np.uint8)
    pixels[:, 50:], pixels[:, :5], pixels[:, -5:] = 200, 77, 77
    PIL.Image.fromarray(pixels).save(tmp_path / "a.png")
    [found] = ImageSet(tmp_path, "--calibration").images(network(), "unit")
    line = found["image"][0, 0, 3] * 255
    assert line[:2].max() < 5
    assert line[3:].min() > 195
    assert not np.isclose(line, 77, atol=10).any()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("torchvision", [-0.485 / 0.229, (128 / 255 - 0.456) / 0.224, (1 - 0.406) / 0.225]),
        ("tensorflow", [-1, 128 / 127.5 - 1, 1]),
        ("unit", [0, 128 / 255, 1]),
    ],
)
def test_pixels_become_what_the_preprocessing_says(tmp_path: Path, name: str, expected: list[float]) -> None:
    [found] = pictures(tmp_path, "a.png").images(network(), name)
    np.testing.assert_allclose(found["image"][0, :, 3, 2], expected, rtol=1e-5, atol=1e-6)


def test_labels_of_a_file(tmp_path: Path) -> None:
    found = archive(tmp_path, image=images(3), labels=np.array([3, 0, 1], np.uint8))
    np.testing.assert_array_equal(found.labels(4), [3, 0, 1])
    with pytest.raises(UsageError, match="its labels are 0 to 3, and the network's output has 3 places, 0 to 2"):
        found.labels(3)
    with pytest.raises(UsageError, match="it has no array 'labels'"):
        archive(tmp_path, image=images(3)).labels(4)


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (["cat/1.png", "cat/2.png", "dog/1.png"], [0, 0, 1]),
        (["10/a.png", "9/a.png"], [10, 9]),
        (["a/a.png", "b/deep/a.png"], [0, 1]),
    ],
)
def test_folders_are_classes(tmp_path: Path, names: list[str], labels: list[int]) -> None:
    np.testing.assert_array_equal(
        pictures(tmp_path, *names).labels(11), sorted(labels) if "10" not in names[0] else labels
    )


def test_pictures_without_a_folder_have_no_label(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="pictures lie in the folder itself; expected a folder for each class"):
        pictures(tmp_path, "a.png", "cat/a.png").labels(3)


def test_a_set_is_found_again_by_its_hash_and_only_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MBENCH_CACHE_DIR", str(tmp_path / "cache"))
    folder = tmp_path / "set"
    digest = image_sets.remember(pictures(folder, "a/1.png", "b/1.png"))
    assert len(image_sets.remembered(digest, "--evaluate")) == 2
    (folder / "a/1.png").rename(folder / "b/2.png")
    with pytest.raises(UsageError, match="its images are others than before; give --evaluate again"):
        image_sets.remembered(digest, "--evaluate")
    with pytest.raises(UsageError, match="are not known here; give --evaluate again"):
        image_sets.remembered("0" * 64, "--evaluate")


@pytest.mark.parametrize(("name", "dtype"), [("a.png", np.uint16), ("a.tif", np.int32), ("a.tif", np.float32)])
def test_pixels_of_more_than_8_bits_are_refused(tmp_path: Path, name: str, dtype: type) -> None:
    """Pillow makes 255 of all that is more, so that a picture would be nearly white."""
    PIL.Image.fromarray(np.linspace(0, 60_000, 300).reshape(15, 20).astype(dtype)).save(tmp_path / name)
    with pytest.raises(UsageError, match=r"has pixels of mode (I;16|I|F), which would be clipped; expected 8 bits"):
        ImageSet(tmp_path, "--calibration").images(network())[0]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr"])
def test_pictures_of_all_other_kinds_are_read(tmp_path: Path, mode: str) -> None:
    PIL.Image.new(mode, (9, 30)).save(tmp_path / ("a.jpg" if mode in ("CMYK", "YCbCr") else "a.png"))
    assert ImageSet(tmp_path, "--calibration").images(network())[0]["image"].shape == (1, *SHAPE)


def test_pictures_are_read_when_they_are_needed(tmp_path: Path) -> None:
    """A folder may hold more than fits in memory; one that is damaged is found when it is its turn."""
    given = pictures(tmp_path, "a.png", "b.png", "c.png")
    (tmp_path / "c.png").write_bytes(b"no picture")
    found = given.images(network(batch=2))
    assert len(found) == 2
    assert found[0]["image"].shape == (2, *SHAPE)
    assert [each["image"].shape for each in found[:1]] == [(2, *SHAPE)]
    with pytest.raises(UsageError, match=r"c\.png is no picture that can be read"):
        found[-1]
    with pytest.raises(IndexError):
        found[2]
