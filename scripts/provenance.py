"""What made a figure or a table, and whether the runs behind it still are what was saved.

python -m scripts.provenance figures/laptop/figure_1.png figures/laptop/figure_1.csv
python -m scripts.provenance figures/published/*.png --runs runs/laptop

Every file carries a mark, one line of JSON: the sweep, its runs, the commit and the versions that drew it. PNG, PDF and
SVG have it in their metadata, with the id of each run; CSV, Markdown and LaTeX have it as the comment in their first
line, with the number of runs and a digest of their ids, which the sweep's list in the store must agree with. A problem
is one line on stderr; the status is 1 if there was any.
"""

import argparse
import hashlib
import json
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from xml.etree import ElementTree

from PIL import Image
from tqdm import tqdm

from experiments.store import SavedRun, Store, StoreError, provenance, run_id, verify

COMMENTS = {".csv": ("# ", ""), ".md": ("<!-- ", " -->"), ".tex": ("% ", "")}
SCALE_OF_PUBLISHED = "laptop"  # figures/published is a copy of that scale's


def mark(sweep: str, runs: list[SavedRun], *, ids: bool) -> str:
    """What a file made from the runs of a sweep carries: all ids, or their number and digest to keep a table small."""
    found = sorted(run.id for run in runs)
    which = {"runs": found} if ids else {"runs": len(found), "digest": digest(found)}
    made = provenance()
    return json.dumps({"sweep": sweep, **which, "commit": made["commit"], "versions": made["versions"]})


def digest(ids: Iterable[str]) -> str:
    """What stands for a set of runs where their ids would be too long."""
    return hashlib.sha256(" ".join(sorted(ids)).encode()).hexdigest()[:12]


def comment(suffix: str, text: str) -> str:
    """The mark as the first line of a file of this kind."""
    before, after = COMMENTS[suffix]
    return f"{before}{text}{after}\n"


def read(file: Path) -> dict:
    """The mark of a file. Raises OSError, and ValueError where there is none."""
    reader = _READERS.get(file.suffix)
    if reader is None:
        raise ValueError(f"no figure or table; can be read: {', '.join(_READERS)}")
    try:
        found = json.loads(reader(file))
        if not re.fullmatch(r"\w+(, \w+)*", found["sweep"]) or not isinstance(found["versions"], dict):
            raise ValueError
        if not isinstance(found["runs"], list):
            int(found["runs"]), str(found["digest"])
    except (ValueError, KeyError, TypeError, AttributeError, SyntaxError):  # SyntaxError: what is no XML
        raise ValueError("carries no mark of its runs; draw it again") from None
    return found


def runs_of(found: dict, store: Store, folders: dict[str, str]) -> tuple[list[Path], list[str]]:
    """The runs that a mark means, and a line for each that cannot be told; ``folders`` has the store's by id."""
    sweeps = found["sweep"].split(", ")
    again = f"draw it again: python -m scripts.{sweeps[0] if len(sweeps) == 1 else 'claims'}"
    if isinstance(found["runs"], list):
        lost = [f"{store.root}: run {name} is gone; run the sweep {found['sweep']} again, or {again}"
                for name in found["runs"] if name not in folders]  # fmt: skip
        return [store.root / folders[name] for name in found["runs"] if name in folders], lost
    listed = [*dict.fromkeys(folder for sweep in sweeps for folder in store.listed(sweep))]
    if digest(map(run_id, listed)) != found["digest"]:
        line = f"made from {found['runs']} runs that are not the {len(listed)} which {store.root} now lists as"
        return [], [f"{line} {found['sweep']}; {again}"]
    return [store.root / folder for folder in listed], []


def main() -> None:
    """Print what made each file; one line for each problem, and status 1 if there is any."""
    parser = argparse.ArgumentParser(description="What made these files, and are the runs behind them as saved?")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a figure or a table")
    parser.add_argument("--runs", type=Path, help="folder of the runs (default: runs/<scale>, by the file's folder)")
    args = parser.parse_args()
    stores: dict[Path, tuple[Store, dict[str, str]]] = {}
    checked: dict[Path, list[str]] = {}
    problems: dict[str, None] = {}  # each once, in order
    for file in args.files:
        try:
            found = read(file)
            print(f"{file}: {_words(found)}")
            root = args.runs or Path("runs") / _scale(file)
            if root not in stores:
                store = Store(root)
                stores[root] = store, {run_id(folder): folder for folder in store.folders()}
            paths, lost = runs_of(found, *stores[root])
        except OSError as error:
            problems[f"{file}: {error.strerror or error}"] = None
            continue
        except (ValueError, StoreError) as error:
            problems[f"{file}: {error}"] = None
            continue
        for path in tqdm([path for path in paths if path not in checked], disable=None, leave=False, unit="run"):
            checked[path] = verify(path)
        wrong = [line for path in paths for line in checked[path]]
        problems |= dict.fromkeys([*(f"{file}: {line}" for line in lost), *wrong])
        whole = [path for path in paths if not checked[path]]
        print(f"  {len(whole)} runs in {root} are as they were saved{_made_at(whole)}")
    for line in problems:
        print(f"error: {line}", file=sys.stderr)
    sys.exit(1 if problems else 0)


def _words(found: dict) -> str:
    count = len(found["runs"]) if isinstance(found["runs"], list) else found["runs"]
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    return f"sweep {found['sweep']}, {count} runs; drawn at commit {found['commit']} with {versions}"


def _made_at(paths: Iterable[Path]) -> str:
    """The commits that made the runs."""
    commits = {Store(path.parents[1]).load(f"{path.parent.name}/{path.name}").summary["commit"] for path in paths}
    return f"; made at commit {', '.join(sorted(commits))}" if commits else ""


def _scale(file: Path) -> str:
    name = file.resolve().parent.name
    return SCALE_OF_PUBLISHED if name == "published" else name


def _png(file: Path) -> str:
    with Image.open(file) as image:
        return image.info["Description"]


def _pdf(file: Path) -> str:
    text = re.search(rb"/Keywords \(((?:\\.|[^\\)])*)\)", file.read_bytes())
    return re.sub(rb"\\(.)", rb"\1", text[1]).decode("latin-1")


def _svg(file: Path) -> str:
    return ElementTree.parse(file).find(".//{http://purl.org/dc/elements/1.1/}description").text


def _first_line(file: Path) -> str:
    before, after = COMMENTS[file.suffix]
    with file.open(encoding="utf-8") as lines:
        line = lines.readline().rstrip("\n")
    return line.removeprefix(before).removesuffix(after)


_READERS: dict[str, Callable[[Path], str]] = {
    ".png": _png,
    ".pdf": _pdf,
    ".svg": _svg,
    **dict.fromkeys(COMMENTS, _first_line),
}

if __name__ == "__main__":
    main()
