"""The code that a run depends on, as a hash: the source files an experiment reaches through its imports."""

import ast
import hashlib
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROJECT = ("adaloss", "experiments")
# These decide where runs go and how they are started, never a number in them.
INFRASTRUCTURE = frozenset(
    {
        "experiments",
        "experiments.app",
        "experiments.checkpoint",
        "experiments.command_line",
        "experiments.files",
        "experiments.identity",
        "experiments.interrupt",
        "experiments.locks",
        "experiments.provenance",
        "experiments.saved",
        "experiments.schema",
        "experiments.store",
        "experiments.streams",
    }
)


@cache
def code_hash(*modules: str) -> str:
    """12 hexadecimal digits of the SHA-256 of the modules' sources and of all project modules they import."""
    digest = hashlib.sha256()
    for name in sorted(reached(modules)):
        digest.update(name.encode() + b"\0" + _file(name).read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def reached(modules: tuple[str, ...]) -> set[str]:
    """The project modules that these modules import, directly or not, themselves included."""
    found: set[str] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name in found or name in INFRASTRUCTURE or _file(name) is None:
            continue
        found.add(name)
        waiting += [name.rpartition(".")[0], *_imports(name)]
    return found


def _imports(name: str) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(_file(name).read_bytes())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def _file(name: str) -> Path | None:
    if name.partition(".")[0] not in PROJECT:
        return None
    base = ROOT.joinpath(*name.split("."))
    return next((file for file in (base.with_suffix(".py"), base / "__init__.py") if file.is_file()), None)
