"""CIFAR-100 from its python archive, cifar-100-python.tar.gz (https://www.cs.toronto.edu/~kriz/cifar.html).

The archive is read in memory and nothing is extracted. Its members are pickles, read here by the few operations that
their writers use: bytes, lists of integers and the like come of them, arrays of bytes, and nothing else; no name in a
pickle is looked up, nothing is called. All sizes are limited. Images are resized, cropped, flipped and normalised in
batches on the model's device, as the authors do it with torchvision: Resize, RandomCrop and RandomHorizontalFlip to
train, Resize and CenterCrop to evaluate.
"""

import hashlib
import io
import math
import pickletools
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field, model_validator
from torch.nn import functional

from experiments import files
from experiments.schema import ConfigError, Count, Seed, Strict
from experiments.vit_data import Images, balanced_split

CLASSES, CHANNELS, STORED = 100, 3, 32
MEAN, STD = (0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)
SPLIT_STREAM = 1
# The archive is 169 MB, unpacked 186 MB in five members; the larger pickle takes some 300000 operations.
MOST_BYTES, MOST_MEMBERS, MOST_OPERATIONS, MOST_NAME = 2**28, 1000, 10**6, 80
PIECE = 2**16
WITHOUT_DATA = (b"1", b"2", b"3", b"4", b"5", b"6")  # members of a tar archive: links, devices, folders, pipes
DATA = f"data should be bytes of shape (n, {CHANNELS * STORED**2}), row after row"
LABELS = f"fine_labels should be integers from 0 to {CLASSES - 1} in a list"
# Of a pickle's operations, those that come with an argument and the others. PROTO and FRAME say nothing of values.
OPERATIONS = """
    BININT BININT1 BININT2 BINUNICODE SHORT_BINUNICODE BINUNICODE8 BINBYTES SHORT_BINBYTES BINBYTES8 BYTEARRAY8
    BINSTRING SHORT_BINSTRING BINPUT LONG_BINPUT BINGET LONG_BINGET GLOBAL PROTO FRAME
    NONE NEWTRUE NEWFALSE EMPTY_TUPLE EMPTY_LIST EMPTY_DICT MARK TUPLE TUPLE1 TUPLE2 TUPLE3
    APPEND APPENDS SETITEM SETITEMS MEMOIZE STACK_GLOBAL REDUCE BUILD STOP
"""
CODES = {info.code.encode("latin-1"): info for info in pickletools.opcodes if info.name in OPERATIONS.split()}
MALFORMED = (tarfile.TarError, zlib.error, LookupError, TypeError, ValueError, MemoryError)  # what such content raises


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
    path = Path(config.path)
    (x, y), test = read(path, config.md5)
    rng = np.random.default_rng([config.split, SPLIT_STREAM])
    train, validation = balanced_split(y, config.validation, rng)
    if not (len(train) and len(validation)):
        raise ConfigError(f"data.validation={config.validation}: leaves no image of {path} to train or validate on")
    checksum = hashlib.sha256(f"{config.md5} {validation.tolist()}".encode()).hexdigest()[:12]

    def part(images: np.ndarray, labels: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.tensor(images), torch.tensor(labels)  # copies: what was read is not to be written to

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
    content = _content(path, md5)
    try:
        members = _members(_unpacked(content))
        return _part(members, "train"), _part(members, "test")
    except MALFORMED as error:
        raise ConfigError(f"{path}: not the python archive of CIFAR-100 ({_line(error)})") from error


def _content(path: Path, md5: str) -> bytes:
    try:
        content = files.read(path, MOST_BYTES)
    except (OSError, ValueError) as error:  # ValueError: no name that a file can have
        why = getattr(error, "strerror", None) or error
        raise ConfigError(f"data.path={path}: cannot be read ({why}); docs/paper_scale.md says where it is") from error
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if found != md5:
        raise ConfigError(f"{path}: its md5 is {found}, not data.md5={md5}; download it again")
    return content


def _unpacked(content: bytes) -> bytearray:
    """The one gzip stream that ``content`` begins with."""
    stream, unpacked = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS), bytearray()
    for start in range(0, len(content), PIECE):
        unpacked += stream.decompress(content[start : start + PIECE])
        if len(unpacked) > MOST_BYTES:
            raise ValueError(f"it unpacks to more than {MOST_BYTES} bytes")
        if stream.eof:
            return unpacked
    raise ValueError("it ends too early")


def _members(archive: bytearray) -> dict[str, memoryview]:
    """The contents of the plain files of a tar archive.

    Its headers are walked here: ``tarfile`` follows links, and hangs on some headers (CVE-2024-6232, CVE-2025-8194).
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


def _part(members: dict[str, memoryview], name: str) -> tuple[np.ndarray, np.ndarray]:
    member = members.get(f"cifar-100-python/{name}")
    if member is None:
        raise ValueError(f"it has no file cifar-100-python/{name}")
    batch = _Pickle().read(bytes(member))
    if type(batch) is not dict:
        raise ValueError(f"{name} holds a {type(batch).__name__}")
    array, labels = batch.get(b"data"), batch.get(b"fine_labels")
    if type(labels) is not list or not all(type(label) is int and 0 <= label < CLASSES for label in labels):
        raise ValueError(f"{name}: {LABELS}")
    if not isinstance(array, _Array) or array.shape != (len(labels), CHANNELS * STORED**2):
        raise ValueError(f"{name}: {DATA}, n the number of fine_labels")
    if not labels:
        raise ValueError(f"{name}: holds no image")
    images = np.frombuffer(array.content, np.uint8).reshape(-1, CHANNELS, STORED, STORED)
    return images, np.array(labels, dtype=np.int64)


@dataclass(frozen=True)
class _Name:
    """Stands for what a pickle names."""

    full: str


@dataclass
class _Bytes:
    """Stands for NumPy's type of bytes; ``whole`` once the pickle has told all about it."""

    whole: bool = False

    def build(self, state: Any) -> None:
        """Take the rest that a pickle tells, which can be but one thing."""
        if state not in ((3, order, None, None, None, -1, -1, 0) for order in (b"|", "|")):
            raise ValueError(f"it holds an array of a strange type; {DATA}")
        self.whole = True


@dataclass
class _Array:
    """Stands for an array of bytes: ``content`` in the order of ``shape``, which fits it."""

    content: bytes | bytearray = b""
    shape: tuple[int, ...] | None = None

    def build(self, state: Any) -> None:
        """Take what NumPy writes: its version 1, shape, type, whether column after column, content."""
        version, shape, dtype, by_column, content = state
        if version != 1 or by_column is not False:
            raise ValueError(f"it holds a strange array; {DATA}")
        self.fill(content, dtype, shape)

    def fill(self, content: Any, dtype: Any, shape: Any) -> None:
        """Check and take. A shape of more than two dimensions is none of ours."""
        if not (isinstance(dtype, _Bytes) and dtype.whole and type(content) in (bytes, bytearray)):
            raise ValueError(f"it holds a strange array; {DATA}")
        if type(shape) is not tuple or len(shape) > 2 or not all(type(size) is int and size >= 0 for size in shape):
            raise ValueError(f"it holds an array of a strange shape; {DATA}")
        if math.prod(shape) != len(content):
            raise ValueError(f"it holds {len(content)} bytes as an array of shape {shape}")
        self.content, self.shape = content, shape


class _Pickle:
    """Reads one pickle of protocol 2 to 5 to values of Python's plain types, ``_Array`` and the other stand-ins."""

    def __init__(self) -> None:
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}
        self._encoded = 0
        self._makers = {
            "numpy.core.multiarray._reconstruct": self._reconstruct,
            "numpy._core.multiarray._reconstruct": self._reconstruct,
            "numpy.core.numeric._frombuffer": self._frombuffer,
            "numpy._core.numeric._frombuffer": self._frombuffer,
            "numpy.dtype": self._dtype,
            "_codecs.encode": self._encode,
            "__builtin__.bytes": lambda: b"",  # Python 3's in protocol 2
        }

    def read(self, content: bytes) -> Any:
        """The value. Raises one of MALFORMED."""
        file = io.BytesIO(content)
        for _ in range(MOST_OPERATIONS):
            code = file.read(1)
            if code not in CODES:
                raise ValueError(f"a broken pickle, or one with the operation {code}")
            operation = CODES[code]
            if operation.name == "STOP":
                [value] = self._stack
                return value
            self._do(operation.name, _argument(operation, file))
        raise ValueError(f"a pickle of more than {MOST_OPERATIONS} operations")

    def _do(self, operation: str, argument: Any) -> None:
        push = self._stack.append
        match operation:
            case "BININT1" | "BININT2" | "BININT" | "BINUNICODE" | "SHORT_BINUNICODE" | "BINUNICODE8":
                push(argument)
            case "SHORT_BINBYTES" | "BINBYTES" | "BINBYTES8" | "BYTEARRAY8":
                push(argument)
            case "SHORT_BINSTRING" | "BINSTRING":  # Python 2's, which pickletools decodes
                push(argument.encode("latin-1"))
            case "BINPUT" | "LONG_BINPUT" | "MEMOIZE":
                self._memo[len(self._memo) if argument is None else argument] = self._stack[-1]
            case "BINGET" | "LONG_BINGET":
                push(self._memo[argument])
            case "NONE" | "NEWTRUE" | "NEWFALSE":
                push({"NONE": None, "NEWTRUE": True, "NEWFALSE": False}[operation])
            case "EMPTY_TUPLE" | "EMPTY_LIST" | "EMPTY_DICT":
                push({"EMPTY_TUPLE": (), "EMPTY_LIST": [], "EMPTY_DICT": {}}[operation])
            case "MARK":
                self._marks.append(len(self._stack))
            case "TUPLE":
                push(tuple(self._marked()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                push(tuple(self._last(int(operation[-1]))))
            case "APPEND" | "APPENDS":
                self._extend(self._last(1) if operation == "APPEND" else self._marked())
            case "SETITEM" | "SETITEMS":
                self._update(self._last(2) if operation == "SETITEM" else self._marked())
            case "GLOBAL":
                push(self._named(argument))
            case "STACK_GLOBAL":
                push(self._named(".".join(self._last(2))))
            case "REDUCE":
                push(self._made(*self._last(2)))
            case "BUILD":
                push(self._built(*self._last(2)))

    def _last(self, count: int) -> list[Any]:
        """Take that many values, none from before the last mark."""
        start = len(self._stack) - count
        if start < (self._marks[-1] if self._marks else 0):
            raise ValueError("a broken pickle")
        return self._cut(start)

    def _marked(self) -> list[Any]:
        """Take the values since the last mark."""
        return self._cut(self._marks.pop())

    def _cut(self, start: int) -> list[Any]:
        values = self._stack[start:]
        del self._stack[start:]
        return values

    def _extend(self, values: list[Any]) -> None:
        if type(self._stack[-1]) is not list:
            raise ValueError("a broken pickle")
        self._stack[-1].extend(values)

    def _update(self, values: list[Any]) -> None:
        keys = values[::2]
        if type(self._stack[-1]) is not dict or not all(type(key) in (bytes, str) for key in keys):
            raise ValueError("a broken pickle")  # other keys could take forever to hash
        self._stack[-1].update(zip(keys, values[1::2], strict=True))

    def _named(self, name: str) -> _Name:
        if name != "numpy.ndarray" and name not in self._makers:
            raise ValueError(f"it asks for {name[:MOST_NAME]}")
        return _Name(name)

    def _made(self, maker: Any, arguments: Any) -> Any:
        if not isinstance(maker, _Name) or maker.full not in self._makers or type(arguments) is not tuple:
            raise ValueError("a broken pickle")
        return self._makers[maker.full](*arguments)

    def _built(self, thing: Any, state: Any) -> Any:
        if not isinstance(thing, (_Array, _Bytes)) or type(state) is not tuple:
            raise ValueError("a broken pickle")
        thing.build(state)
        return thing

    def _reconstruct(self, kind: Any, shape: Any, code: Any) -> _Array:
        if kind != _Name("numpy.ndarray") or shape != (0,) or code not in (b"b", "b"):
            raise ValueError(f"it holds a strange array; {DATA}")
        return _Array()

    def _frombuffer(self, content: Any, dtype: Any, shape: Any, order: Any) -> _Array:
        if order != "C":
            raise ValueError(f"it holds a strange array; {DATA}")
        array = _Array()
        array.fill(content, dtype, shape)
        return array

    def _dtype(self, code: Any, align: Any, copy: Any) -> _Bytes:
        if code not in (b"u1", "u1") or (align, copy) != (False, True):
            raise ValueError(f"it holds an array of another type; {DATA}")
        return _Bytes()

    def _encode(self, text: Any, encoding: Any) -> bytes:
        """Python 3's bytes in protocol 2; a text that is asked for again and again is no way to fill the memory."""
        if type(text) is not str or encoding != "latin1":
            raise ValueError("a broken pickle")
        self._encoded += len(text)
        if self._encoded > MOST_BYTES:
            raise ValueError(f"it unpacks to more than {MOST_BYTES} bytes")
        return text.encode("latin-1")


def _argument(operation: pickletools.OpcodeInfo, file: io.BytesIO) -> Any:
    if operation.name == "GLOBAL":  # pickletools would undo escapes in the two lines
        return ".".join(file.readline(MOST_NAME)[:-1].decode("latin-1") for _ in range(2))
    return operation.arg.reader(file) if operation.arg else None


def _line(error: Exception) -> str:
    """What ``error`` says in one line of at most 200 characters."""
    line = " ".join(str(error)[:200].split()) or type(error).__name__
    return "".join(character if character.isprintable() else "?" for character in line)
