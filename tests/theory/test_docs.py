"""The pages on the theory: what they name exists, what the code refers to is there, and the mathematics renders."""

import importlib
import inspect
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = {name: (ROOT / "docs" / name).read_text() for name in ("theory.md", "errata.md")}
SECTIONS = ["A0", "A1", "A2", "A3", "A4", "A5", "A6", "B", "C", "D"]


def maths(text):
    """Every formula between dollars: displayed ones are lines of their own, the others may not span lines."""
    for line in text.splitlines():
        display = re.fullmatch(r"\$\$(.*)\$\$", line)
        yield from [display[1]] if display else line.split("$")[1::2]


@pytest.mark.parametrize("page", PAGES)
def test_every_function_named_exists(page):
    names = set(re.findall(r"`(adaloss(?:\.\w+)+)`", PAGES[page]))
    assert names
    for name in names:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError:
            module, _, attribute = name.rpartition(".")
            assert callable(getattr(importlib.import_module(module), attribute)), name


@pytest.mark.parametrize("page", PAGES)
def test_every_file_named_exists(page):
    files = set(re.findall(r"`((?:tests|experiments|docs|adaloss)/[\w/]+\.\w+)`", PAGES[page]))
    assert files
    assert [file for file in sorted(files) if not (ROOT / file).is_file()] == []
    for target in re.findall(r"\]\(([^)#]+)\)", PAGES[page]):
        assert (ROOT / "docs" / target).is_file(), target


def test_every_section_says_what_computes_and_what_checks_it():
    sections = re.findall(r"^## ([A-D]\d?)\. .*?\n(.*?)(?=^## |\Z)", PAGES["theory.md"], flags=re.MULTILINE | re.DOTALL)
    assert [name for name, _ in sections] == SECTIONS
    for name, text in sections:
        assert re.search(r"^Computed by `adaloss", text, flags=re.MULTILINE), name
        assert re.search(r"checked by\s`tests/", text), name
    assert [int(n) for n in sorted(re.findall(r"\*\*B(\d)", PAGES["theory.md"]))] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert [int(n) for n in re.findall(r"\*\*C(\d)", PAGES["theory.md"])] == [0, 1, 2, 3, 4]
    assert [int(n) for n in re.findall(r"\*\*D(\d)", PAGES["theory.md"])] == [1, 2, 3, 4, 5, 6]


def test_every_bound_of_the_library_is_in_the_page():
    for module in ("linear_regression", "stochastic", "finite_width", "random_start"):
        library = importlib.import_module(f"adaloss.theory.{module}")
        for name, function in inspect.getmembers(library, inspect.isfunction):
            if not name.startswith("_") and function.__module__ == library.__name__:
                assert re.search(rf"`adaloss\.theory\.\w+\.{name}`", PAGES["theory.md"]), name


def test_references_of_the_code_lead_somewhere():
    code = [file for folder in ("adaloss", "experiments", "scripts") for file in sorted((ROOT / folder).rglob("*.py"))]
    found = {name for file in code for name in re.findall(r"\b[Dd]ocs ([A-D]\d?)\b", file.read_text())}
    assert found >= {"A1", "A5", "B2", "B3"}
    known = {*SECTIONS, *re.findall(r"\*\*([B-D]\d)", PAGES["theory.md"])}
    assert found <= known


@pytest.mark.parametrize("page", PAGES)
def test_the_mathematics_renders_in_plain_viewers(page):
    """Some viewers apply Markdown's escapes and emphasis inside formulas first: nothing in these depends on it."""
    for number, line in enumerate(PAGES[page].splitlines(), start=1):
        assert line.count("$") % 2 == 0, f"line {number}: a formula goes over its end"
    for formula in maths(PAGES[page]):
        assert not re.search(r"\\[^a-zA-Z]", formula), f"Markdown would drop the backslash: {formula}"
        assert "*" not in formula and "<!" not in formula, formula
        assert formula.count("{") == formula.count("}"), formula
        assert len(re.findall(r"\\left\b", formula)) == len(re.findall(r"\\right\b", formula)), formula
        assert formula.strip() == formula != "", formula
    for row in re.findall(r"^\|.*\|$", PAGES[page], flags=re.MULTILINE):
        assert all("|" not in formula for formula in maths(row)), row
