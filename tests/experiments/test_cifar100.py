"""CIFAR-100's archive: one of the real format is made here, read, and refused where it is not what it should be."""

import hashlib
import io
import pickle
import struct
import tarfile

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from experiments.data import cifar100
from experiments.runs.schema import ConfigError

RECONSTRUCT = np.empty(0).__reduce__()[0]


class Python2(pickle._Pickler):
    """Writes as Python 2 did: byte strings where Python 3 has str or bytes, and NumPy's name of that time."""

    dispatch = pickle._Pickler.dispatch.copy()

    def save_string(self, value):
        value = value.encode("latin1") if isinstance(value, str) else value
        short = len(value) < 256
        self.write(pickle.SHORT_BINSTRING if short else pickle.BINSTRING)
        self.write(struct.pack("<B" if short else "<i", len(value)) + value)

    dispatch[str] = dispatch[bytes] = save_string

    def save_global(self, obj, name=None):
        if obj is RECONSTRUCT:
            self.write(pickle.GLOBAL + b"numpy.core.multiarray\n_reconstruct\n")
        else:
            super().save_global(obj, name)


def python2(value):
    file = io.BytesIO()
    Python2(file, protocol=2).dump(value)
    return file.getvalue()


def batch(labels, rng):
    """What the members train and test hold."""
    return {
        "filenames": [f"image_{k}.png" for k in range(len(labels))],
        "batch_label": "training batch 1 of 1",
        "fine_labels": [int(label) for label in labels],
        "coarse_labels": [int(label) // 5 for label in labels],
        "data": rng.integers(0, 256, size=(len(labels), 3072), dtype=np.uint8),
    }


def write(path, members):
    """The archive of these members (name -> bytes); returns its md5."""
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return hashlib.md5(path.read_bytes()).hexdigest()


TRAIN, TEST = np.repeat(np.arange(100), 10), np.arange(100)


def parts(train=TRAIN, test=TEST):
    rng = np.random.default_rng(0)
    return batch(rng.permutation(train), rng), batch(test, rng)


def members(train, test):
    return {
        "cifar-100-python/meta": python2({"fine_label_names": ["apple"], "coarse_label_names": ["fruit"]}),
        "cifar-100-python/test": python2(test),
        "cifar-100-python/train": python2(train),
    }


def config(path, md5, **options):
    fields = {"validation": 0.1, "split": 0, "resize": 12, "crop": 8} | options
    return cifar100.Config(name="cifar100", path=str(path), md5=md5, **fields)


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    path = tmp_path_factory.mktemp("cifar") / "cifar-100-python.tar.gz"
    train, test = parts()
    return path, write(path, members(train, test)), train, test


def test_all_images_are_read_and_dealt_evenly(archive):
    path, md5, train, test = archive
    content = python2({"data": np.zeros((2, 2), np.uint8)})
    assert b"cnumpy.core.multiarray\n_reconstruct" in content and b"_codecs" not in content  # as Python 2 wrote
    assert pickle.loads(content, encoding="bytes").keys() == {b"data"}
    images = cifar100.load(config(path, md5), 0)
    assert (images.classes, images.channels, images.size) == (100, 3, 8)
    labels = np.array(train["fine_labels"])
    for (x, y), size in ((images.train, 9), (images.validation, 1)):
        assert x.dtype == torch.uint8 and x.shape == (100 * size, 3, 32, 32)
        assert np.bincount(y.numpy()).tolist() == [size] * 100
    dealt = torch.cat([images.train[0], images.validation[0]]).reshape(1000, -1).numpy()
    dealt_labels = torch.cat([images.train[1], images.validation[1]]).numpy()
    assert {(int(y), row.tobytes()) for y, row in zip(dealt_labels, dealt, strict=True)} == {
        (int(y), row.tobytes()) for y, row in zip(labels, train["data"], strict=True)
    }
    assert images.test[0].reshape(100, -1).numpy().tobytes() == test["data"].tobytes()
    assert images.test[1].tolist() == test["fine_labels"]
    red, _, blue = images.test[0][3]
    assert red[5, 7] == test["data"][3, 5 * 32 + 7] and blue[31, 31] == test["data"][3, -1]


def test_the_unpacked_archive_in_torchvisions_layout_is_the_same(archive, tmp_path, monkeypatch):
    path, md5, *parts = archive
    packed = cifar100.load(config(path, md5), 0)
    (tmp_path / "cifar-100-python").mkdir()
    for name, content in members(*parts).items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(
        ConfigError, match=rf"^{tmp_path}/cifar-100-python/train: its md5 is \w+, not 16019d7e\w+; down"
    ):
        cifar100.load(config(tmp_path, md5), 0)
    digests = {name: hashlib.md5(members(*parts)[f"cifar-100-python/{name}"]).hexdigest() for name in ("train", "test")}
    monkeypatch.setattr(cifar100, "UNPACKED", digests)
    unpacked = cifar100.load(config(tmp_path, md5), 0)
    assert unpacked.checksum == packed.checksum and torch.equal(unpacked.test[0], packed.test[0])
    assert torch.equal(unpacked.train[0], packed.train[0]) and torch.equal(unpacked.train[1], packed.train[1])


def test_the_split_is_of_its_own_seed(archive):
    one, same, other = (cifar100.load(config(*archive[:2]), k) for k in (0, 0, 1))
    assert torch.equal(one.train[0], same.train[0]) and one.checksum == same.checksum != other.checksum
    assert not torch.equal(one.train[0], other.train[0]) and torch.equal(one.test[0], other.test[0])


def test_a_wrong_md5_and_a_share_that_leaves_no_image_are_refused(archive):
    path, md5, *_ = archive
    for words, line in (
        ({"md5": 32 * "0"}, f"{path}: its md5 is {md5}, not data.md5={32 * '0'}; download it again"),
        ({"md5": md5, "validation": 0.001}, "data.validation=0.001: leaves no image of "),
        ({"md5": md5, "validation": 0.999}, "data.validation=0.999: leaves no image of "),
    ):
        with pytest.raises(ConfigError) as caught:
            cifar100.load(config(path, **words), 0)
        assert str(caught.value).startswith(line) and "\n" not in str(caught.value)
    with pytest.raises(ValueError, match=r"data\.crop=13: should be at most data\.resize=12"):
        config("x", 32 * "0", crop=13)


def some_images(n=5, size=32):
    return torch.from_numpy(np.random.default_rng(1).integers(0, 256, size=(n, 3, size, size), dtype=np.uint8))


def test_crop_and_flip_are_those_of_a_loop():
    images = some_images(size=12).float()
    draws = torch.tensor([[0, 0, 0], [4, 4, 1], [2, 1, 0], [3, 0, 1], [0, 4, 1]])
    found = cifar100.cropped(images, draws, 8)
    for i, (top, left, flip) in enumerate(draws.tolist()):
        for row in range(8):
            for column in range(8):
                source = left + (7 - column if flip else column)
                assert torch.equal(found[i, :, row, column], images[i, :, top + row, source])
    assert torch.equal(cifar100.centred(images, 8), images[:, :, 2:10, 2:10])


def test_draws_are_uniform_and_repeatable():
    draws = cifar100.draw(3000, 4, torch.Generator().manual_seed(0))
    for column, values in ((0, 5), (1, 5), (2, 2)):
        counts = torch.bincount(draws[:, column])
        assert len(counts) == values and (counts - 3000 / values).abs().max() < 5 * (3000 / values) ** 0.5
    assert torch.equal(draws, cifar100.draw(3000, 4, torch.Generator().manual_seed(0)))


def test_resizing_is_that_of_pillow():
    images, size = some_images(), 48
    found = cifar100.resized(images, size)
    for image, ours in zip(images, found, strict=True):
        theirs = Image.fromarray(image.permute(1, 2, 0).numpy()).resize((size, size), Image.Resampling.BILINEAR)
        difference = ours.permute(1, 2, 0) - torch.from_numpy(np.array(theirs)).float()
        assert difference.abs().max() <= 1.01  # Pillow rounds after each of the two directions
    plain = functional.interpolate(images.float(), size=(size, size), mode="bilinear")
    torch.testing.assert_close(found, plain, rtol=0, atol=1e-3)


def test_what_the_model_sees(archive):
    images = cifar100.load(config(archive[0], archive[1]), 0)
    raw = some_images()
    draws = torch.tensor([[4, 0, 1]] * 5)
    seen = images.augment(raw, draws)
    assert seen.shape == images.plain(raw).shape == (5, 3, 8, 8) and seen.dtype == torch.float32
    resized = functional.interpolate(raw.float(), size=(12, 12), mode="bilinear", antialias=True)
    for channel, (mean, std) in enumerate(zip((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761), strict=True)):
        for found, crop in ((seen, resized[..., 4:12, 0:8].flip(3)), (images.plain(raw), resized[..., 2:10, 2:10])):
            expected = (crop[:, channel] / 255 - mean) / std
            torch.testing.assert_close(found[:, channel], expected, rtol=1e-5, atol=1e-5)
