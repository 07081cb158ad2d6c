"""Images that every seed deals, as many of each class, in disjoint parts; MNIST and Fashion-MNIST as they lie there."""

import gzip
import struct

import numpy as np
import pytest
import torch

from experiments.data import fashion_mnist, mnist
from experiments.runs.schema import ConfigError, validated
from tests.experiments.launch import option

SIZES = {"train": 12, "validation": 4, "test": 8, "split": None, "size": 28}


def test_mnist_is_dealt_for_each_seed():
    values = option("data", "mnist")
    config = validated(mnist.Config, values | {"train": 300, "validation": 100, "test": 4600})
    one, same, other = (mnist.load(config, seed) for seed in (0, 0, 1))
    assert one.checksum == same.checksum != other.checksum
    rows = [row.numpy().tobytes() for part in (one.train, one.validation, one.test) for row in part[0]]
    assert len(rows) == 5000 and sorted(rows) == sorted(row.numpy().tobytes() for row in other_rows(other))
    for name, count in (("train", 30), ("validation", 10), ("test", 460)):
        assert torch.bincount(getattr(one, name)[1]).tolist() == [count] * 10
    assert not torch.equal(one.train[0], other.train[0])
    seen = one.plain(one.train[0][:2])
    expected = (one.train[0][:2, 0].float() / 255 - 0.456) / 0.224  # of ImageNet's second channel
    assert seen.shape == (2, 3, 28, 28)
    torch.testing.assert_close(seen[:, 1], expected)


def other_rows(images):
    return torch.cat([images.train[0], images.validation[0], images.test[0]])


def idx(array):
    """An IDX file of bytes."""
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def written(folder, packed=False, labels=(16, 8), sides=((28, 28), (28, 28))):
    """The four files of 16 and 8 images."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    for part, n, count, side in zip(("train", "t10k"), (16, 8), labels, sides, strict=True):
        for kind, array in (
            ("images-idx3", rng.integers(256, size=(n, *side), dtype=np.uint8)),
            ("labels-idx1", np.arange(count, dtype=np.uint8) % 4),
        ):
            file = folder / f"{part}-{kind}-ubyte{'.gz' if packed else ''}"
            file.write_bytes(gzip.compress(idx(array)) if packed else idx(array))
    return folder


def fashion(path):
    return fashion_mnist.load(validated(fashion_mnist.Config, SIZES | {"name": "fashion_mnist", "path": str(path)}), 0)


def test_fashion_mnist_in_both_layouts(tmp_path):
    written(tmp_path / "torchvision/FashionMNIST/raw")
    one, other = fashion(written(tmp_path / "plain", packed=True)), fashion(tmp_path / "torchvision")
    assert one.checksum == other.checksum and torch.equal(one.test[0], other.test[0])
    assert one.train[0].shape == (12, 1, 28, 28) and one.classes == 4


WHY = {False: r"not an IDX file of bytes, or not whole", True: r"(Not a gzipped|Compressed|not an IDX) file [^\n]+"}


@pytest.mark.parametrize("change", [lambda c: c[:-1], lambda c: b"\1" + c[1:], lambda c: c[:3], lambda c: b""])
@pytest.mark.parametrize("packed", [True, False])
def test_a_file_that_is_not_whole_is_one_line_with_its_name(change, packed, tmp_path):
    folder = written(tmp_path / "raw", packed)
    file = folder / f"t10k-images-idx3-ubyte{'.gz' if packed else ''}"
    file.write_bytes(change(file.read_bytes()))
    with pytest.raises(ConfigError, match=rf"^data\.path={file}: cannot be read \({WHY[packed]}\)$"):
        fashion(folder)


@pytest.mark.parametrize("labels", [(8, 16), (15, 9)])  # two files swapped; one label went to the other file
def test_labels_of_other_images_are_refused(labels, tmp_path):
    folder = written(tmp_path / "raw", labels=labels)
    with pytest.raises(ConfigError, match=rf"^data\.path={folder}: the train .* 16 images and {labels[0]} labels$"):
        fashion(folder)


@pytest.mark.parametrize(("sides", "part"), [(((28, 28), (32, 32)), "t10k"), (2 * ((20, 28),), "train")])
def test_images_of_another_size_are_refused(sides, part, tmp_path):
    folder = written(tmp_path / "raw", sides=sides)
    with pytest.raises(ConfigError) as caught:
        fashion(folder)
    pixels = {"t10k": "32 x 32", "train": "20 x 28"}[part]
    why = f"its images have {pixels} pixels, should have 28 x 28"
    assert str(caught.value) == f"data.path={folder}/{part}-images-idx3-ubyte: cannot be read ({why})"


def test_a_name_that_no_folder_can_have_is_one_line(tmp_path):
    with pytest.raises(
        ConfigError, match=r"^data\.path=.*/train-images-idx3-ubyte: cannot be read \(File name too long"
    ):
        fashion(tmp_path / (300 * "n"))
