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


def written(folder, packed):
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    for part, n in (("train", 16), ("t10k", 8)):
        for kind, array in (
            ("images-idx3", rng.integers(256, size=(n, 28, 28), dtype=np.uint8)),
            ("labels-idx1", np.arange(n, dtype=np.uint8) % 4),
        ):
            head = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
            content = head + array.tobytes()
            file = folder / f"{part}-{kind}-ubyte{'.gz' if packed else ''}"
            file.write_bytes(gzip.compress(content) if packed else content)
    return folder


def fashion(path):
    return fashion_mnist.load(validated(fashion_mnist.Config, SIZES | {"name": "fashion_mnist", "path": str(path)}), 0)


def test_fashion_mnist_in_both_layouts(tmp_path):
    written(tmp_path / "torchvision/FashionMNIST/raw", packed=False)
    one, other = fashion(written(tmp_path / "plain", packed=True)), fashion(tmp_path / "torchvision")
    assert one.checksum == other.checksum and torch.equal(one.test[0], other.test[0])
    assert one.train[0].shape == (12, 1, 28, 28) and one.classes == 4


@pytest.mark.parametrize("change", [lambda c: c[:-1], lambda c: b"\1" + c[1:], lambda c: c[:3], lambda c: b""])
@pytest.mark.parametrize("packed", [True, False])
def test_a_file_that_is_not_whole_is_one_line(change, packed, tmp_path):
    folder = written(tmp_path / "raw", packed)
    file = folder / f"t10k-images-idx3-ubyte{'.gz' if packed else ''}"
    file.write_bytes(change(file.read_bytes()))
    with pytest.raises(ConfigError, match=rf"^data\.path={folder}/t10k-images-idx3-ubyte: cannot be read \([^\n]+\)$"):
        fashion(folder)
