"""The page of the integrations shows what the examples do, and names all of them."""

import re
import textwrap
from pathlib import Path

import pytest

from tests.examples.comparing import ROOT

PAGE = (ROOT / "docs/integrations.md").read_text()
SECTIONS = re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]
EXAMPLES = {file.name for file in (ROOT / "examples").glob("*.py")} - {"__init__.py", "problem.py"}


def linked(section, folder):
    return re.findall(rf"\]\(\.\./{folder}/(\w+\.py)\)", section)


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.splitlines()[0])
def test_the_code_of_a_section_is_its_examples(section):
    [name] = linked(section, "examples")
    [test] = linked(section, "tests/examples")
    assert f"{Path(name).stem}" in (ROOT / "tests/examples" / test).read_text()
    code = (ROOT / "examples" / name).read_text()
    shown = re.findall(r"```py\n(.*?)```", section, flags=re.DOTALL)
    assert shown
    for lines in shown:
        assert any(textwrap.indent(lines, " " * depth) in code for depth in (0, 4, 8, 12)), lines


def test_every_example_has_its_section():
    assert sorted(EXAMPLES) == sorted(name for section in SECTIONS for name in linked(section, "examples"))


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert (ROOT / "docs" / target).exists(), target
