"""CIFAR-100 from its python archive, cifar-100-python.tar.gz (https://www.cs.toronto.edu/~kriz/cifar.html).

The archive is read in memory and nothing is extracted. Its members are pickles, read by an unpickler that knows NumPy's
arrays and nothing else. Images are resized, cropped, flipped and normalised in batches on the model's device, as the
authors do it with torchvision: Resize, RandomCrop and RandomHorizontalFlip to train, Resize and CenterCrop to evaluate.
"""

import hashlib
import io
import pickle
import tarfile
import zlib
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field, model_validator
from torch.nn import functional

from experiments.schema import ConfigError, Count, Seed, Strict
from experiments.vit_data import Images, balanced_split

CLASSES, CHANNELS, STORED = 100, 3, 32
MEAN, STD = (0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)
SPLIT_STREAM = 1
_RECONSTRUCT = np.empty(0).__reduce__()[0]
_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


class Config(Strict):
    """``path`` and ``md5`` of the archive; ``validation``, the share of each class kept from the training images.

    ``split`` is the seed that deals them: the parts are the same for every seed of the training. Images are resized to
    ``resize`` pixels and cropped to ``crop``.
    """

    name: Literal["cifar100"]
    path: str
    md5: Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
    validation: Annotated[float, Field(gt=0, lt=1)]
    split: Seed
    resize: Count
    crop: Count

    @model_validator(mode="after")
    def _crop_fits(self) -> "Config":
        if self.crop > self.resize:
            raise ValueError(f"data.crop={self.crop}: should be at most data.resize={self.resize}")
        return self


def load(config: Config) -> Images:
    """All in memory, images as bytes. Raises ConfigError where the archive is not what it should be."""
    (x, y), test = read(Path(config.path), config.md5)
    rng = np.random.default_rng([config.split, SPLIT_STREAM])
    train, validation = balanced_split(y, config.validation, rng)
    checksum = hashlib.sha256(f"{config.md5} {validation.tolist()}".encode()).hexdigest()[:12]

    def part(images: np.ndarray, labels: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.from_numpy(images), torch.from_numpy(labels)

    return Images(
        train=part(x[train], y[train]),
        validation=part(x[validation], y[validation]),
        test=part(*test),
        classes=CLASSES,
        channels=CHANNELS,
        size=config.crop,
        draw=lambda n, generator: draw(n, config.resize - config.crop, generator),
        augment=lambda images, draws: normalised(cropped(resized(images, config.resize), draws, config.crop)),
        plain=lambda images: normalised(centred(resized(images, config.resize), config.crop)),
        checksum=checksum,
    )


def draw(n: int, margin: int, generator: torch.Generator) -> torch.Tensor:
    """For each image the crop's top row and left column, 0..``margin``, and whether it is flipped: (n, 3)."""
    corner = torch.randint(margin + 1, (n, 2), generator=generator)
    return torch.cat([corner, torch.randint(2, (n, 1), generator=generator)], dim=1)


def resized(images: torch.Tensor, size: int) -> torch.Tensor:
    """Bytes (n, c, h, w) to floats 0..255, (n, c, ``size``, ``size``), bilinear."""
    return functional.interpolate(images.float(), size=(size, size), mode="bilinear", antialias=True)


def cropped(images: torch.Tensor, draws: torch.Tensor, size: int) -> torch.Tensor:
    """Each image's own square of ``size`` pixels, some from right to left: (n, c, ``size``, ``size``)."""
    n, channels = images.shape[:2]
    along = torch.arange(size, device=images.device)
    top, left, flip = draws.unbind(1)
    rows = top[:, None] + along
    columns = left[:, None] + torch.where(flip[:, None] == 1, along.flip(0), along)
    image = torch.arange(n, device=images.device)[:, None, None, None]
    channel = torch.arange(channels, device=images.device)[None, :, None, None]
    return images[image, channel, rows[:, None, :, None], columns[:, None, None, :]]


def centred(images: torch.Tensor, size: int) -> torch.Tensor:
    """The square of ``size`` pixels in the middle."""
    first = (images.shape[-1] - size) // 2
    return images[:, :, first : first + size, first : first + size]


def normalised(images: torch.Tensor) -> torch.Tensor:
    """0..255 to mean 0 and deviation 1 in each channel, by CIFAR-100's own."""
    mean, std = (torch.tensor(values, device=images.device)[:, None, None] for values in (MEAN, STD))
    return (images / 255 - mean) / std


def read(path: Path, md5: str) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Training and test part of the archive: images (n, 3, 32, 32) of bytes, labels (n,). Raises ConfigError."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"data.path={path}: cannot be read ({error.strerror}); docs/paper_scale.md says where it is"
        ) from error
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if found != md5:
        raise ConfigError(f"{path}: its md5 is {found}, not data.md5={md5}; download it again")
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
            return _part(archive, "train"), _part(archive, "test")
    except (tarfile.TarError, EOFError, OSError, zlib.error, pickle.UnpicklingError, KeyError, ValueError) as error:
        raise ConfigError(f"{path}: not the python archive of CIFAR-100 ({_line(error)})") from error


def _part(archive: tarfile.TarFile, name: str) -> tuple[np.ndarray, np.ndarray]:
    member = archive.extractfile(f"cifar-100-python/{name}")
    if member is None:
        raise ValueError(f"{name} is no file")
    batch = _Unpickler(io.BytesIO(member.read()), encoding="bytes").load()
    if not isinstance(batch, dict):
        raise ValueError(f"{name} holds a {type(batch).__name__}")
    images, labels = batch[b"data"], np.array(batch[b"fine_labels"])
    if getattr(images, "dtype", None) != np.uint8 or images.shape != (len(labels), CHANNELS * STORED**2):
        raise ValueError(f"{name}: data should be bytes of shape (n, {CHANNELS * STORED**2})")
    if labels.dtype.kind != "i" or labels.min() < 0 or labels.max() >= CLASSES:
        raise ValueError(f"{name}: labels should be integers from 0 to {CLASSES - 1}")
    return images.reshape(-1, CHANNELS, STORED, STORED), labels.astype(np.int64)


class _Unpickler(pickle.Unpickler):
    """Reads what NumPy's arrays need, and refuses every other name."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return _ALLOWED[module, name]


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
