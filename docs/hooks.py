"""Hooks of mkdocs: the repository's own links lead somewhere on the site, which holds its own MathJax.

The pages are written for readers of the repository, and link to its files. Those that are no page of the site become
one: code with its highlighting, a notebook as its cells, a folder as the list of its files; pictures and tables are
copied.
"""

import json
import posixpath
import re
from importlib.metadata import distribution
from pathlib import Path

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
PAGES = {"README.md": "index.md"} | {
    f"{name}.md": f"{name.lower()}.md" for name in ("CONTRIBUTING", "DEVIATIONS", "CHANGELOG")
}
COPIED = (".png", ".csv", ".html")
LANGUAGES = {".py": "python", ".yaml": "yaml", ".cff": "yaml", ".md": "markdown"}
HEAD = "---\ntitle: {0}\nsearch: {{exclude: true}}\n---\n# `{0}`\n\n"
LINK = re.compile(r"(\]\()([^)\s#]+)((?:#[^)\s]*)?\))")
MATHJAX = "mathjax/static/mathjax/es5/tex-svg.js"  # of the package: one file with its glyphs, which loads nothing


def on_files(files: Files, config) -> Files:
    """Add the repository's top pages, let every link lead into the site, and add the files that the links mean."""
    wanted: dict[str, str] = {}
    sources = dict(PAGES)
    for file in list(files):
        if file.src_uri.endswith(".md"):
            sources[f"docs/{file.src_uri}"] = file.src_uri
            files.remove(file)
    for source, page in sources.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=_relinked(text, source, page, wanted)))
    for target in list(wanted):
        if (ROOT / target).is_dir():
            inside = [f"{target}/{file.name}" for file in sorted((ROOT / target).iterdir()) if file.is_file()]
            wanted |= {name: _place(name) for name in inside}
            files.append(File.generated(config, wanted.pop(target), content=_listed(target, inside)))
    for target, page in wanted.items():
        if page == target:
            files.append(File.generated(config, page, abs_src_path=str(ROOT / target)))
        else:
            files.append(File.generated(config, page, content=_code(target)))
    script = distribution("django-static-mathjax").locate_file(MATHJAX)
    files.append(File.generated(config, "mathjax/tex-svg.js", abs_src_path=str(script)))
    return files


def _relinked(text: str, source: str, page: str, wanted: dict[str, str]) -> str:
    """Return ``source``'s text with its links as seen from ``page``; what needs its own page goes to ``wanted``."""

    def link(found: re.Match) -> str:
        if re.match(r"[a-z]+:", found[2]):
            return found[0]
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), found[2]))
        if target in PAGES:
            place = PAGES[target]
        elif target.startswith("docs/"):
            place = target.removeprefix("docs/")
        elif not (ROOT / target).exists():
            raise PluginError(f"{source}: {found[2]} leads nowhere")
        else:
            place = wanted.setdefault(target, _place(target))
        return found[1] + posixpath.relpath(place, posixpath.dirname(page) or ".") + found[3]

    return LINK.sub(link, text)


def _place(target: str) -> str:
    """Return a file's place on the site: pictures and tables as they are, others on a page of their own."""
    if (ROOT / target).is_dir():
        return f"source/{target}/index.md"
    return target if Path(target).suffix in COPIED else f"source/{target}.md"


def _code(target: str) -> str:
    text = (ROOT / target).read_text(encoding="utf-8")
    if target.endswith(".ipynb"):
        cells = [("".join(cell["source"]), cell["cell_type"]) for cell in json.loads(text)["cells"]]
        shown = [f"```python\n{source}\n```" if kind == "code" else source for source, kind in cells]
        return "---\nsearch: {exclude: true}\n---\n" + "\n\n".join(shown)
    return f"{HEAD.format(target)}````{LANGUAGES.get(Path(target).suffix, 'text')}\n{text}````\n"


def _listed(target: str, inside: list[str]) -> str:
    places = {name: posixpath.relpath(_place(name), f"source/{target}") for name in inside}
    return HEAD.format(target) + "\n\n".join(
        f"![{Path(name).stem}]({place})" if name.endswith(".png") else f"[{Path(name).name}]({place})"
        for name, place in places.items()
    )
