"""CIFAR-10 and CIFAR-100 from their python archives (https://www.cs.toronto.edu/~kriz/cifar.html).

The archive is read in memory and nothing is extracted; it may also be torchvision's root, a folder in which it was
unpacked. Its members are pickles, which :mod:`experiments.data.pickled` reads without running them. All sizes are
limited. Images are resized, cropped, flipped and normalised in batches on the model's device, as the authors do it with
torchvision: Resize, RandomCrop and RandomHorizontalFlip to train, Resize and CenterCrop to evaluate.
"""

import hashlib
import math
import tarfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from os.path import isdir  # which knows no error
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from pydantic import Field, model_validator
from torch.nn import functional

from adaloss.runs import files
from experiments.data import pickled
from experiments.data.images import Images, validation_split
from experiments.runs.schema import ConfigError, Count, Seed, Strict

CHANNELS, STORED = 3, 32
SPLIT_STREAM = 1
MOST_BYTES, MOST_MEMBERS = 2**28, 1000  # the larger archive is 170 MB, unpacked 186 MB in eight members
PIECE = 2**16
WITHOUT_DATA = (b"1", b"2", b"3", b"4", b"5", b"6")  # members of a tar archive: links, devices, folders, pipes
MALFORMED = (tarfile.TarError, zlib.error, LookupError, TypeError, ValueError, MemoryError)  # what such content raises


@dataclass(frozen=True)
class Form:
    """Which of the two: its name, folder, the key of its labels, and the md5 of each file to train and to test on.

    ``mean`` and ``std`` are those of each channel.
    """

    title: str
    classes: int
    folder: str
    labels: str
    train: dict[str, str]
    test: dict[str, str]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


class CifarConfig(Strict):
    """``path`` and ``md5`` of the archive; ``validation``, the share of each class kept from the training images.

    ``split`` is the seed that deals them; the training's own if it is None. Images are resized to ``resize`` pixels
    and cropped to ``crop``.
    """

    path: str
    md5: Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
    validation: Annotated[float, Field(gt=0, lt=1)]
    split: Seed | None
    resize: Count
    crop: Count

    @model_validator(mode="after")
    def _crop_fits(self) -> "CifarConfig":
        if self.crop > self.resize:
            raise ValueError(f"data.crop={self.crop}: should be at most data.resize={self.resize}")
        return self


def load(form: Form, config: CifarConfig, split: int) -> Images:
    """Load all into memory, images as bytes. Raises ConfigError if the archive is not what it should be."""
    path = Path(config.path)
    (x, y), test = read(form, path, config.md5)
    rng = np.random.default_rng([split, SPLIT_STREAM])
    train, validation = validation_split(y, config.validation, rng, f" of {path}")
    checksum = hashlib.sha256(f"{config.md5} {validation.tolist()}".encode()).hexdigest()[:12]

    def part(images: np.ndarray, labels: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.tensor(images), torch.tensor(labels)  # copies: what was read is not to be written to

    return Images(
        train=part(x[train], y[train]),
        validation=part(x[validation], y[validation]),
        test=part(*test),
        classes=form.classes,
        channels=CHANNELS,
        size=config.crop,
        checksum=checksum,
        **views(form, config.resize, config.crop),
    )


def views(form: Form, resize: int, crop: int) -> dict[str, Callable]:
    """Return ``draw``, ``augment`` and ``plain`` of ``Images``."""

    def normalised(images: torch.Tensor) -> torch.Tensor:
        mean, std = (torch.tensor(values, device=images.device)[:, None, None] for values in (form.mean, form.std))
        return (images / 255 - mean) / std

    return {
        "draw": lambda n, generator: draw(n, resize - crop, generator),
        "augment": lambda images, draws: normalised(cropped(resized(images, resize), draws, crop)),
        "plain": lambda images: normalised(centred(resized(images, resize), crop)),
    }


def draw(n: int, margin: int, generator: torch.Generator) -> torch.Tensor:
    """Draw each image's crop, top row and left column in 0..``margin``, and whether it is flipped: (n, 3)."""
    corner = torch.randint(margin + 1, (n, 2), generator=generator)
    return torch.cat([corner, torch.randint(2, (n, 1), generator=generator)], dim=1)


def resized(images: torch.Tensor, size: int) -> torch.Tensor:
    """Resize bytes (n, c, h, w) to floats 0..255, (n, c, ``size``, ``size``), bilinear."""
    return functional.interpolate(images.float(), size=(size, size), mode="bilinear", antialias=True)


def cropped(images: torch.Tensor, draws: torch.Tensor, size: int) -> torch.Tensor:
    """Return each image's own square of ``size`` pixels, some flipped: (n, c, ``size``, ``size``)."""
    n, channels = images.shape[:2]
    along = torch.arange(size, device=images.device)
    top, left, flip = draws.unbind(1)
    rows = top[:, None] + along
    columns = left[:, None] + torch.where(flip[:, None] == 1, along.flip(0), along)
    image = torch.arange(n, device=images.device)[:, None, None, None]
    channel = torch.arange(channels, device=images.device)[None, :, None, None]
    return images[image, channel, rows[:, None, :, None], columns[:, None, None, :]]


def centred(images: torch.Tensor, size: int) -> torch.Tensor:
    """Return the square of ``size`` pixels in the middle."""
    first = (images.shape[-1] - size) // 2
    return images[:, :, first : first + size, first : first + size]


def read(form: Form, path: Path, md5: str) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Return training and test part of the archive: images (n, 3, 32, 32) of bytes, labels (n,). Raises ConfigError."""
    folder = path / form.folder
    unpacked = {}
    if isdir(folder):  # noqa: PTH112
        digests = form.train | form.test
        unpacked = {f"{form.folder}/{name}": _content(folder / name, digest) for name, digest in digests.items()}
    content = b"" if unpacked else _content(path, md5, "data.md5=")
    try:
        members = unpacked or _members(_unpacked(content))
        return _part(form, members, form.train), _part(form, members, form.test)
    except MALFORMED as error:
        raise ConfigError(f"{path}: not the python archive of {form.title} ({files.one_line(error)})") from error


def _content(path: Path, md5: str, field: str = "") -> bytes:
    try:
        content = files.read(path, MOST_BYTES)
    except (OSError, ValueError) as error:  # ValueError: no name that a file can have
        why = getattr(error, "strerror", None) or error
        raise ConfigError(f"data.path={path}: cannot be read ({why}); docs/paper_scale.md says where it is") from error
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if found != md5:
        raise ConfigError(f"{path}: its md5 is {found}, not {field}{md5}; download it again")
    return content


def _unpacked(content: bytes) -> bytearray:
    """Return the one gzip stream that ``content`` begins with."""
    stream, unpacked = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS), bytearray()
    for start in range(0, len(content), PIECE):
        unpacked += stream.decompress(content[start : start + PIECE])
        if len(unpacked) > MOST_BYTES:
            raise ValueError(f"it unpacks to more than {MOST_BYTES} bytes")
        if stream.eof:
            return unpacked
    raise ValueError("it ends too early")


def _members(archive: bytearray) -> dict[str, memoryview]:
    """Return the contents of the plain files of a tar archive.

    Its headers are walked here: ``tarfile`` follows links, and loops on some headers (CVE-2024-6232, CVE-2025-8194).
    """
    view, found, at = memoryview(archive), {}, 0
    for _ in range(MOST_MEMBERS):
        header = bytes(view[at : at + tarfile.BLOCKSIZE])
        if not header.strip(b"\0"):  # the end
            return found
        info = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
        start = at + tarfile.BLOCKSIZE
        size = 0 if info.type in WITHOUT_DATA else info.size
        if not 0 <= size <= len(view) - start:
            raise ValueError(f"a member of {size} bytes where {len(view) - start} are left")
        if info.type in (tarfile.REGTYPE, tarfile.AREGTYPE):
            found[info.name] = view[start : start + size]
        at = start + math.ceil(size / tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
    raise ValueError(f"it has {MOST_MEMBERS} members or more")


def _part(form: Form, members: Mapping[str, bytes | memoryview], names: Iterable[str]) -> tuple[np.ndarray, np.ndarray]:
    images, labels = zip(*(_batch(form, members, name) for name in names), strict=True)
    return np.concatenate(images), np.concatenate(labels)


def _batch(form: Form, members: Mapping[str, bytes | memoryview], name: str) -> tuple[np.ndarray, np.ndarray]:
    member = members.get(f"{form.folder}/{name}")
    if member is None:
        raise ValueError(f"it has no file {form.folder}/{name}")
    batch = pickled.Reader().read(bytes(member))
    if type(batch) is not dict:
        raise ValueError(f"{name} holds a {type(batch).__name__}")
    array, labels = batch.get(b"data"), batch.get(form.labels.encode())
    if type(labels) is not list or not all(type(label) is int and 0 <= label < form.classes for label in labels):
        raise ValueError(f"{name}: {form.labels} should be integers from 0 to {form.classes - 1} in a list")
    if not isinstance(array, pickled.Array) or array.shape != (len(labels), CHANNELS * STORED**2):
        raise ValueError(f"{name}: {pickled.DATA}, n the number of {form.labels}")
    if not labels:
        raise ValueError(f"{name}: holds no image")
    images = np.frombuffer(array.content, np.uint8).reshape(-1, CHANNELS, STORED, STORED)
    return images, np.array(labels, dtype=np.int64)
