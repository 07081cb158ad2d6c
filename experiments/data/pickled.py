"""A reader of the pickles in the archives of CIFAR-10 and CIFAR-100, by the few operations that their writers use.

It makes bytes, arrays of bytes, lists of integers and the like, and nothing else; no name in a pickle is looked up,
nothing is called. All sizes are limited.
"""

import io
import math
import pickletools
from dataclasses import dataclass
from typing import Any

# The larger pickle takes some 300000 operations and holds 154 MB.
MOST_OPERATIONS, MOST_BYTES, MOST_NAME = 10**6, 2**28, 80
DATA = "data should be bytes of shape (n, 3072), row after row"
# Of a pickle's operations, those that come with an argument and the others. PROTO and FRAME say nothing of values.
OPERATIONS = """
    BININT BININT1 BININT2 BINUNICODE SHORT_BINUNICODE BINUNICODE8 BINBYTES SHORT_BINBYTES BINBYTES8 BYTEARRAY8
    BINSTRING SHORT_BINSTRING BINPUT LONG_BINPUT BINGET LONG_BINGET GLOBAL PROTO FRAME
    NONE NEWTRUE NEWFALSE EMPTY_TUPLE EMPTY_LIST EMPTY_DICT MARK TUPLE TUPLE1 TUPLE2 TUPLE3
    APPEND APPENDS SETITEM SETITEMS MEMOIZE STACK_GLOBAL REDUCE BUILD STOP
"""
CODES = {info.code.encode("latin-1"): info for info in pickletools.opcodes if info.name in OPERATIONS.split()}


@dataclass(frozen=True)
class Name:
    """A stand-in for what a pickle names."""

    full: str


@dataclass
class Bytes:
    """A stand-in for NumPy's type of bytes; ``whole`` once the pickle has described it."""

    whole: bool = False

    def build(self, state: Any) -> None:
        """Take the rest that a pickle tells, which can be but one thing."""
        if state not in ((3, order, None, None, None, -1, -1, 0) for order in (b"|", "|")):
            raise ValueError(f"it holds an array of a strange type; {DATA}")
        self.whole = True


@dataclass
class Array:
    """A stand-in for an array of bytes: ``content`` in the order of ``shape``, which fits it."""

    content: bytes | bytearray = b""
    shape: tuple[int, ...] | None = None

    def build(self, state: Any) -> None:
        """Take what NumPy writes: its version 1, shape, type, whether column after column, content."""
        version, shape, dtype, by_column, content = state
        if version != 1 or by_column is not False:
            raise ValueError(f"it holds a strange array; {DATA}")
        self.fill(content, dtype, shape)

    def fill(self, content: Any, dtype: Any, shape: Any) -> None:
        """Check and take. A shape of more than two dimensions is refused."""
        if not (isinstance(dtype, Bytes) and dtype.whole and type(content) in (bytes, bytearray)):
            raise ValueError(f"it holds a strange array; {DATA}")
        if type(shape) is not tuple or len(shape) > 2 or not all(type(size) is int and size >= 0 for size in shape):
            raise ValueError(f"it holds an array of a strange shape; {DATA}")
        if math.prod(shape) != len(content):
            raise ValueError(f"it holds {len(content)} bytes as an array of shape {shape}")
        self.content, self.shape = content, shape


class Reader:
    """A reader of one pickle (protocols 2 to 5) to plain Python values, ``Array`` and the other stand-ins."""

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
        """Return the value. Raises LookupError, TypeError, ValueError or MemoryError if it is not one of these."""
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
            raise ValueError("a broken pickle")  # other keys could take for ever to hash
        self._stack[-1].update(zip(keys, values[1::2], strict=True))

    def _named(self, name: str) -> Name:
        if name != "numpy.ndarray" and name not in self._makers:
            raise ValueError(f"it asks for {name[:MOST_NAME]}")
        return Name(name)

    def _made(self, maker: Any, arguments: Any) -> Any:
        if not isinstance(maker, Name) or maker.full not in self._makers or type(arguments) is not tuple:
            raise ValueError("a broken pickle")
        return self._makers[maker.full](*arguments)

    def _built(self, thing: Any, state: Any) -> Any:
        if not isinstance(thing, (Array, Bytes)) or type(state) is not tuple:
            raise ValueError("a broken pickle")
        thing.build(state)
        return thing

    def _reconstruct(self, kind: Any, shape: Any, code: Any) -> Array:
        if kind != Name("numpy.ndarray") or shape != (0,) or code not in (b"b", "b"):
            raise ValueError(f"it holds a strange array; {DATA}")
        return Array()

    def _frombuffer(self, content: Any, dtype: Any, shape: Any, order: Any) -> Array:
        if order != "C":
            raise ValueError(f"it holds a strange array; {DATA}")
        array = Array()
        array.fill(content, dtype, shape)
        return array

    def _dtype(self, code: Any, align: Any, copy: Any) -> Bytes:
        if code not in (b"u1", "u1") or (align, copy) != (False, True):
            raise ValueError(f"it holds an array of another type; {DATA}")
        return Bytes()

    def _encode(self, text: Any, encoding: Any) -> bytes:
        """Encode Python 3's bytes in protocol 2; a text asked for again and again does not fill the memory."""
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
