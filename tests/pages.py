"""The pages of the project, and the code that they show."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("README.md", *sorted(f"docs/{file.name}" for file in (ROOT / "docs").glob("*.md")))


def blocks(page, *languages):
    """(language, text) of the page's fenced blocks, in order; all of them, or those in some languages."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", (ROOT / page).read_text(), flags=re.DOTALL | re.MULTILINE)
    return [(language, text) for language, text in found if not languages or language in languages]


def commands(page):
    """The lines of its sh blocks, without comments."""
    lines = [line.split("  #")[0].strip() for _, text in blocks(page, "sh") for line in text.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]
