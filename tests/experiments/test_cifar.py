"""The archives of CIFAR-10 and CIFAR-100: made here in the real format, read, and refused where they are not so."""

import hashlib
import io
import pickle
import struct
import tarfile
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from experiments.data import cifar, cifar10, cifar100
from experiments.runs.schema import ConfigError

MOMENTS = {  # of each channel: mean and deviation
    cifar10: ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    cifar100: ((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
}
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


def batch(labels, rng, form):
    """Return the content of a file of images."""
    return {
        "filenames": [f"image_{k}.png" for k in range(len(labels))],
        "batch_label": "training batch 1 of 1",
        form.labels: [int(label) for label in labels],
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


def parts(train=None, test=None, form=cifar100.FORM):
    """Images to train and to test on, ten and one of each class if the labels are not given."""
    rng, classes = np.random.default_rng(0), np.arange(form.classes)
    train, test = (np.repeat(classes, 10) if train is None else train, classes if test is None else test)
    return batch(rng.permutation(train), rng, form), batch(test, rng, form)


def members(train, test, form=cifar100.FORM):
    """The archive's files; the images to train on are dealt to theirs one after the other."""
    found = {f"{form.folder}/meta": python2({"label_names": ["apple"]})}
    for part, names in ((test, form.test), (train, form.train)):
        for name, rows in zip(names, np.array_split(np.arange(len(part["data"])), len(names)), strict=True):
            few = {key: [part[key][k] for k in rows] for key in ("filenames", form.labels)}
            found[f"{form.folder}/{name}"] = python2(few | {"batch_label": name, "data": part["data"][rows]})
    return found


@dataclass
class Archive:
    """A made-up archive of CIFAR-10 or CIFAR-100: its module, and what is in it."""

    module: ModuleType
    path: Path
    md5: str
    train: dict
    test: dict

    @property
    def form(self):
        return self.module.FORM

    def load(self, split=0, **options):
        fields = {"path": str(self.path), "md5": self.md5, "validation": 0.1, "split": 0, "resize": 12, "crop": 8}
        return self.module.load(self.module.Config(name=self.module.__name__.split(".")[-1], **fields | options), split)


@pytest.fixture(scope="module", params=[cifar10, cifar100])
def archive(request, tmp_path_factory):
    path, form = tmp_path_factory.mktemp("cifar") / "archive.tar.gz", request.param.FORM
    train, test = parts(form=form)
    return Archive(request.param, path, write(path, members(train, test, form)), train, test)


def test_all_images_are_read_and_dealt_evenly(archive):
    train, test, classes = archive.train, archive.test, archive.form.classes
    content = python2({"data": np.zeros((2, 2), np.uint8)})
    assert b"cnumpy.core.multiarray\n_reconstruct" in content and b"_codecs" not in content  # as Python 2 wrote
    assert pickle.loads(content, encoding="bytes").keys() == {b"data"}
    images = archive.load()
    assert (images.classes, images.channels, images.size) == (classes, 3, 8)
    for (x, y), size in ((images.train, 9), (images.validation, 1)):
        assert x.dtype == torch.uint8 and x.shape == (classes * size, 3, 32, 32)
        assert np.bincount(y.numpy()).tolist() == [size] * classes
    dealt = torch.cat([images.train[0], images.validation[0]]).reshape(10 * classes, -1).numpy()
    dealt_labels = torch.cat([images.train[1], images.validation[1]]).numpy()
    assert {(int(y), row.tobytes()) for y, row in zip(dealt_labels, dealt, strict=True)} == {
        (y, row.tobytes()) for y, row in zip(train[archive.form.labels], train["data"], strict=True)
    }
    assert images.test[0].reshape(classes, -1).numpy().tobytes() == test["data"].tobytes()
    assert images.test[1].tolist() == test[archive.form.labels]
    red, _, blue = images.test[0][3]
    assert red[5, 7] == test["data"][3, 5 * 32 + 7] and blue[31, 31] == test["data"][3, -1]


def test_the_unpacked_archive_in_torchvisions_layout_is_the_same(archive, tmp_path, monkeypatch):
    packed, form = archive.load(), archive.form
    found = members(archive.train, archive.test, form)
    (tmp_path / form.folder).mkdir()
    for name, content in found.items():
        (tmp_path / name).write_bytes(content)
    first, md5 = next(iter(form.train.items()))
    with pytest.raises(ConfigError, match=rf"^{tmp_path}/{form.folder}/{first}: its md5 is \w+, not {md5}; down"):
        archive.load(path=str(tmp_path))
    for part in (form.train, form.test):
        for name in part:
            monkeypatch.setitem(part, name, hashlib.md5(found[f"{form.folder}/{name}"]).hexdigest())
    unpacked = archive.load(path=str(tmp_path))
    assert unpacked.checksum == packed.checksum and torch.equal(unpacked.test[0], packed.test[0])
    assert torch.equal(unpacked.train[0], packed.train[0]) and torch.equal(unpacked.train[1], packed.train[1])


def test_the_split_is_of_its_own_seed(archive):
    one, same, other = map(archive.load, (0, 0, 1))
    assert torch.equal(one.train[0], same.train[0]) and one.checksum == same.checksum != other.checksum
    assert not torch.equal(one.train[0], other.train[0]) and torch.equal(one.test[0], other.test[0])


def test_a_wrong_md5_and_a_share_that_leaves_no_image_are_refused(archive):
    for words, line in (
        ({"md5": 32 * "0"}, f"{archive.path}: its md5 is {archive.md5}, not data.md5={32 * '0'}; download it again"),
        ({"validation": 0.001}, "data.validation=0.001: leaves no image of "),
        ({"validation": 0.999}, "data.validation=0.999: leaves no image of "),
    ):
        with pytest.raises(ConfigError) as caught:
            archive.load(**words)
        assert str(caught.value).startswith(line) and "\n" not in str(caught.value)
    with pytest.raises(ValueError, match=r"data\.crop=13: should be at most data\.resize=12"):
        archive.load(crop=13)


def some_images(n=5, size=32):
    return torch.from_numpy(np.random.default_rng(1).integers(0, 256, size=(n, 3, size, size), dtype=np.uint8))


def test_crop_and_flip_are_those_of_a_loop():
    images = some_images(size=12).float()
    draws = torch.tensor([[0, 0, 0], [4, 4, 1], [2, 1, 0], [3, 0, 1], [0, 4, 1]])
    found = cifar.cropped(images, draws, 8)
    for i, (top, left, flip) in enumerate(draws.tolist()):
        for row in range(8):
            for column in range(8):
                source = left + (7 - column if flip else column)
                assert torch.equal(found[i, :, row, column], images[i, :, top + row, source])
    assert torch.equal(cifar.centred(images, 8), images[:, :, 2:10, 2:10])


def test_draws_are_uniform_and_repeatable():
    draws = cifar.draw(3000, 4, torch.Generator().manual_seed(0))
    for column, values in ((0, 5), (1, 5), (2, 2)):
        counts = torch.bincount(draws[:, column])
        assert len(counts) == values and (counts - 3000 / values).abs().max() < 5 * (3000 / values) ** 0.5
    assert torch.equal(draws, cifar.draw(3000, 4, torch.Generator().manual_seed(0)))


def test_resizing_is_that_of_pillow():
    images, size = some_images(), 48
    found = cifar.resized(images, size)
    for image, ours in zip(images, found, strict=True):
        theirs = Image.fromarray(image.permute(1, 2, 0).numpy()).resize((size, size), Image.Resampling.BILINEAR)
        difference = ours.permute(1, 2, 0) - torch.from_numpy(np.array(theirs)).float()
        assert difference.abs().max() <= 1.01  # Pillow rounds after each of the two directions
    plain = functional.interpolate(images.float(), size=(size, size), mode="bilinear")
    torch.testing.assert_close(found, plain, rtol=0, atol=1e-3)


def test_what_the_model_sees(archive):
    images, moments = archive.load(), zip(*MOMENTS[archive.module], strict=True)
    raw = some_images()
    draws = torch.tensor([[4, 0, 1]] * 5)
    seen = images.augment(raw, draws)
    assert seen.shape == images.plain(raw).shape == (5, 3, 8, 8) and seen.dtype == torch.float32
    resized = functional.interpolate(raw.float(), size=(12, 12), mode="bilinear", antialias=True)
    for channel, (mean, std) in enumerate(moments):
        for found, crop in ((seen, resized[..., 4:12, 0:8].flip(3)), (images.plain(raw), resized[..., 2:10, 2:10])):
            expected = (crop[:, channel] / 255 - mean) / std
            torch.testing.assert_close(found[:, channel], expected, rtol=1e-5, atol=1e-5)
