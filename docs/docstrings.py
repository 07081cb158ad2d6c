"""The library's docstrings as mkdocstrings reads them: their reStructuredText formulas and names become Markdown."""

import re
import textwrap
from typing import Any

import griffe


class Markdown(griffe.Extension):
    """Translates the few roles and directives that the docstrings use."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite one docstring."""
        if obj.docstring:
            obj.docstring.value = translated(obj.docstring.value)


def translated(text: str) -> str:
    """Put formulas between dollars, mark names and literals as code, fence indented blocks."""
    text = re.sub(r"^\.\. math::(.*(?:\n+ +\S.*)*)", _display, text, flags=re.MULTILINE)
    text = re.sub(r":math:`([^`]*)`", lambda found: f"${' '.join(found[1].split())}$", text)
    text = re.sub(r":\w+:`~?([^`<]*)`", r"`\1`", text)
    return re.sub(r"::\n\n((?:[ ]{4}.*\n?|\n)+)", _literal, text)


def _display(found: re.Match) -> str:
    formulas = [" ".join(part.split()) for part in re.split(r"\n\s*\n", found[1]) if part.strip()]
    return "\n".join(f"\n$$\n{formula}\n$$\n" for formula in formulas)


def _literal(found: re.Match) -> str:
    return f":\n\n```text\n{textwrap.dedent(found[1]).strip()}\n```\n\n"
