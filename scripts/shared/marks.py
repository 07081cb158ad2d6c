"""The mark that every figure and table carries: what it was made from, and the checksum of all its bytes.

A mark is one line of JSON: the sweep, its runs, the commit and the versions that drew it, and the file's name.
PNG, PDF and SVG have it in their metadata, with the id of each run; CSV, Markdown and LaTeX as the comment in their
first line, with the number of a sweep's runs and a digest of their ids. Its field ``content`` is the SHA-256 of the
file as it is with ``BLANK`` in that field: no byte can change, those of the mark included, without the checksum
showing it.
"""

import hashlib
import json
import re
import stat
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from xml.etree import ElementTree

from experiments.runs.registry import NAME
from experiments.runs.store import SavedRun, provenance

COMMENTS = {".csv": ("# ", ""), ".md": ("<!-- ", " -->"), ".tex": ("% ", "")}
PLOTS = "plots"  # the folder of the pictures of scripts.plot, below the figures of a scale
BLANK = "unsealed" * 8  # as long as a SHA-256
LONGEST = 2**20  # bytes of a mark; the greatest sweep's has a tenth of it
PNG = b"\x89PNG\r\n\x1a\n"
UNSEALED = "carries no checksum of its content; draw it again"
CHANGED = "not as it was drawn; draw it again"


def mark(file: str, sweep: str, runs: list[SavedRun]) -> str:
    """Return the mark of a file of this name, made from a sweep's runs; its checksum is blank until it is sealed.

    All ids, or in a text about a sweep their number and digest, to keep it small.
    """
    found, short = sorted(run.id for run in runs), sweep and Path(file).suffix in COMMENTS
    which = {"runs": len(found), "digest": digest(found)} if short else {"runs": found}
    made = {name: provenance()[name] for name in ("commit", "versions")}
    return json.dumps({"sweep": sweep, **which, **made, "file": file, "content": BLANK})


def digest(ids: Iterable[str]) -> str:
    """Return a hash of a set of runs, for where their ids would be too long."""
    return hashlib.sha256(" ".join(sorted(ids)).encode()).hexdigest()[:12]


def comment(suffix: str, text: str) -> str:
    """Return the mark as the first line of a file of this kind."""
    before, after = COMMENTS[suffix]
    return f"{before}{text}{after}\n"


def seal(suffix: str, content: bytes) -> bytes:
    """Return the content of a file of this kind with its checksum in the mark, where it was blank."""
    checksum = hashlib.sha256(content).hexdigest()
    return _summed(suffix, content.replace(BLANK.encode(), checksum.encode(), 1))


def of_runs(found: dict) -> tuple[str, str]:
    """Return the sweep that a mark names, and the digest of its runs."""
    return found["sweep"], digest(found["runs"]) if isinstance(found["runs"], list) else found["digest"]


def content_of(file: Path) -> bytes:
    """Return the bytes of a file. Raises OSError, and ValueError if it is a folder or a device."""
    if not stat.S_ISREG(file.stat().st_mode):
        raise ValueError("no regular file")
    return file.read_bytes()


def parsed(suffix: str, content: bytes) -> dict:
    """Return the mark of a file of this kind with this content. Raises ValueError if there is none."""
    reader = _READERS.get(suffix)
    if reader is None:
        raise ValueError(f"not a figure or table; can be read: {', '.join(_READERS)}")
    try:
        text = reader(content, suffix)
        found = json.loads(text) if len(text) <= LONGEST else None
        if not _is_mark(found):
            raise ValueError
    # SyntaxError: not XML; RecursionError: brackets in brackets
    except (ValueError, KeyError, TypeError, AttributeError, SyntaxError, RecursionError):
        raise ValueError("carries no mark of its runs; draw it again") from None
    return found


def problem(suffix: str, content: bytes, found: dict) -> str | None:
    """Return what is wrong with the content of a file with this mark: no checksum, or another one."""
    checksum = found.get("content")
    if not isinstance(checksum, str) or not re.fullmatch("[0-9a-f]{64}", checksum):
        return UNSEALED
    drawn = _summed(suffix, content.replace(checksum.encode(), BLANK.encode(), 1))
    return None if seal(suffix, drawn) == content else CHANGED


def _is_mark(found: dict) -> bool:
    """Return whether the mark has all fields and can be shown."""
    runs = found["runs"]
    named = runs if isinstance(runs, list) else [found["digest"], str(int(runs))]
    words = [found["commit"], *found["versions"], *found["versions"].values(), *named]
    shown = all(isinstance(word, str) and word.isprintable() for word in words)
    return shown and all(map(NAME.fullmatch, found["sweep"].split(", ") if found["sweep"] else ()))


def _chunks(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, and where the data begin and end, of each chunk of a PNG. Raises ValueError if it is not one."""
    if not content.startswith(PNG):
        raise ValueError("not a PNG")
    at, kind = len(PNG), b""
    while kind != b"IEND":
        start, kind = at + 8, content[at + 4 : at + 8]
        end = start + int.from_bytes(content[at : at + 4])
        if len(kind) < 4 or end + 4 > len(content):
            raise ValueError("no whole PNG")
        yield kind, start, end
        at = end + 4


def _described(content: bytes) -> tuple[int, int]:
    """Return where the text of a PNG's description begins and ends. Raises ValueError if it has none."""
    keyword = b"Description\0"
    for kind, start, end in _chunks(content):
        if kind == b"tEXt" and content[start:end].startswith(keyword):
            return start + len(keyword), end
    raise ValueError("no description")


def _summed(suffix: str, content: bytes) -> bytes:
    """Return the content with the right checksum of the chunk around the mark, which PNG wants."""
    if suffix != ".png":
        return content
    start, end = _described(content)
    crc = zlib.crc32(content[start - len(b"tEXtDescription\0") : end])
    return content[:end] + crc.to_bytes(4) + content[end + 4 :]


def _png(content: bytes, _: str) -> str:
    start, end = _described(content)
    return content[start:end].decode("latin-1")


def _pdf(content: bytes, _: str) -> str:
    text = re.search(rb"/Keywords \(((?:\\.|[^\\)])*)\)", content)
    return re.sub(rb"\\(.)", rb"\1", text[1]).decode("latin-1")


def _svg(content: bytes, _: str) -> str:
    return ElementTree.fromstring(content).find(".//{http://purl.org/dc/elements/1.1/}description").text


def _first_line(content: bytes, suffix: str) -> str:
    before, after = COMMENTS[suffix]
    line = content[: LONGEST + 1].partition(b"\n")[0].decode("utf-8")
    return line.removeprefix(before).removesuffix(after)


_READERS: dict[str, Callable[[bytes, str], str]] = {
    ".png": _png,
    ".pdf": _pdf,
    ".svg": _svg,
    **dict.fromkeys(COMMENTS, _first_line),
}
