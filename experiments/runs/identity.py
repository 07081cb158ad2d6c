"""The code that a run depends on, as a hash: the source files an experiment reaches through its imports."""

import ast
import hashlib
import re
from functools import cache
from importlib.util import resolve_name
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PROJECT = ("adaloss", "experiments")
# Where runs go, how they are started, and what their methods are called and look like: never a number in them.
INFRASTRUCTURE = ("experiments", "experiments.methods")
STORE = re.compile(r"(adaloss|experiments)\.runs(\.|$)")
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@cache
def code_hash(*modules: str) -> str:
    """Return 12 hexadecimal digits of the SHA-256 of what the modules and all project modules they import compute.

    Comments, docstrings and layout are no part of it: only the syntax tree is.
    """
    digest = hashlib.sha256()
    for name in sorted(reached(modules)):
        digest.update(f"{name}\0{_text(name)}\0".encode())
    return digest.hexdigest()[:12]


def reached(modules: tuple[str, ...], packages: tuple[str, ...] = PROJECT) -> set[str]:
    """Return the modules of the project's packages that these import, directly or not, themselves included."""
    found: set[str] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name in found or name.partition(".")[0] not in packages or file_of(name) is None:
            continue
        if name in INFRASTRUCTURE or STORE.match(name):
            continue
        found.add(name)
        waiting += [name.rpartition(".")[0], *_imports(name)]
    return found


@cache
def _tree(name: str) -> ast.Module:
    """Return the syntax tree of a module, without docstrings."""
    tree = ast.parse(file_of(name).read_bytes())
    for node in ast.walk(tree):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            del node.body[0]
    return tree


@cache
def _text(name: str) -> str:
    """Return the syntax tree of a module as text."""
    return str(_shape(_tree(name)))


def _imports(name: str) -> set[str]:
    package = name if file_of(name).name == "__init__.py" else name.rpartition(".")[0]
    names: set[str] = set()
    for node in ast.walk(_tree(name)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = resolve_name("." * node.level + (node.module or ""), package)
            names |= {module} | {f"{module}.{alias.name}" for alias in node.names}
    return names


def _shape(node: object) -> object:
    """Return a syntax tree as nested lists; empty fields are left out, as Python's versions differ in them."""
    if isinstance(node, ast.AST):
        fields = [(name, _shape(value)) for name, value in ast.iter_fields(node) if value not in (None, [])]
        return [type(node).__name__, *fields]
    if isinstance(node, list):
        return [_shape(item) for item in node]
    return node


def file_of(name: str) -> Path | None:
    """Return the file of a module of the project, None if it has none."""
    base = ROOT.joinpath(*name.split("."))
    return next((file for file in (base.with_suffix(".py"), base / "__init__.py") if file.is_file()), None)
