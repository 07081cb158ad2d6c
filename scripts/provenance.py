"""The provenance of a figure or a table, and whether the runs behind it are still what was saved.

python -m scripts.provenance figures/laptop/figure_1.png figures/laptop/figure_1.csv
python -m scripts.provenance figures/published/*.png --runs runs/laptop

Every file carries a mark (``scripts.shared.marks``): which sweep, runs, commit and versions drew it, and its checksum.
Checked are the file's bytes against that; every byte of the runs; and, where the mark has a digest for the runs, what
the store lists as the sweep by now. A problem is one line on stderr; the status is 1 if there was any.
"""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from tqdm import tqdm

from experiments.runs.registry import listed
from experiments.runs.store import Store, StoreError, run_id, verify
from experiments.runs.terminal import run_main
from scripts.shared import marks
from scripts.shared.marks import digest

SCALE_OF_PUBLISHED = "laptop"  # figures/published is a copy of that scale's


def runs_of(file: Path, found: dict, store: Store, folders: dict[str, str]) -> tuple[list[Path], list[str]]:
    """Return the runs that a file's mark means, and a line for each unknown one; ``folders`` has the store's by id."""
    again = f"draw it again: python -m scripts.{drawing(file, found['sweep'])}"
    if isinstance(found["runs"], list):
        made = f"run the sweep {found['sweep']} again" if found["sweep"] else "make it again"
        lost = [f"{store.root}: run {name} is gone; {made}, or {again}"
                for name in found["runs"] if name not in folders]  # fmt: skip
        return [store.root / folders[name] for name in found["runs"] if name in folders], lost
    listed = listed_of(found["sweep"], store)
    if digest(map(run_id, listed)) != found["digest"]:
        line = f"made from {found['runs']} runs that are not the {len(listed)} which {store.root} now lists as"
        return [], [f"{line} {found['sweep']}; {again}"]
    return [store.root / folder for folder in listed], []


def listed_of(sweeps: str, store: Store) -> list[str]:
    """Return the folders of all runs of a mark's sweeps, each once. Raises StoreError if one is missing."""
    return [*dict.fromkeys(folder for sweep in filter(None, sweeps.split(", ")) for folder in store.listed(sweep))]


def drawing(file: Path, sweep: str) -> str:
    """Return the script that draws a file, with its options: of another list of runs, that with the file's name."""
    if file.stem in ("claims", "criteria"):
        return "claims"
    if file.resolve().parent.name == marks.PLOTS:
        return f"plot sweep={sweep}" if sweep else "plot"
    script = sweep if sweep in listed() else max(filter(file.stem.startswith, listed()), key=len, default=sweep)
    return script if script == sweep else f"{script} --sweep {sweep}"


class Checks:
    """The state of a check of one file after another; ``problems`` has each line once, in order."""

    def __init__(self, runs: Path | None):
        self.runs = runs
        self.problems: dict[str, None] = {}
        self._stores: dict[Path, tuple[Store, dict[str, str]]] = {}
        self._verified: dict[Path, list[str]] = {}

    def check(self, file: Path) -> None:
        """Print what made the file, and add what is wrong with it and with its runs."""
        try:
            content = marks.content_of(file)
            found = marks.parsed(file.suffix, content)
            print(f"{file}: {_words(found)}")
            self._add(file, marks.problem(file.suffix, content, found))
            paths, lost = runs_of(file, found, *self._store(self.runs or Path("runs") / _scale(file, found["sweep"])))
        except OSError as error:
            self._add(file, error.strerror or str(error))
        except (ValueError, StoreError) as error:
            self._add(file, str(error))
        else:
            for line in lost:
                self._add(file, line)
            self._verify(paths)

    def _add(self, file: Path, line: str | None) -> None:
        if line is not None:
            self.problems[f"{file}: {line}"] = None

    def _store(self, root: Path) -> tuple[Store, dict[str, str]]:
        if root not in self._stores:
            store = Store(root)
            self._stores[root] = store, {run_id(folder): folder for folder in store.folders()}
        return self._stores[root]

    def _verify(self, paths: list[Path]) -> None:
        new = [path for path in paths if path not in self._verified]
        for path in tqdm(new, disable=None, leave=False, unit="run"):
            self._verified[path] = verify(path)
        self.problems |= dict.fromkeys(line for path in paths for line in self._verified[path])
        whole = [path for path in paths if not self._verified[path]]
        where = f" in {paths[0].parents[1]}" if paths else ""
        print(f"  {len(whole)} runs{where} are as they were saved{_made_at(whole)}")


def main() -> None:
    """Print what made each file; one line for each problem, and status 1 if there is any."""
    parser = argparse.ArgumentParser(description="What made these files, and are they and their runs as they were?")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a figure or a table")
    parser.add_argument("--runs", type=Path, help="folder of the runs (default: runs/<scale>, by the file's folder)")
    args = parser.parse_args()
    checks = Checks(args.runs)
    for file in args.files:
        checks.check(file)
    for line in checks.problems:
        print(f"error: {line}", file=sys.stderr)
    sys.exit(1 if checks.problems else 0)


def _words(found: dict) -> str:
    count = len(found["runs"]) if isinstance(found["runs"], list) else found["runs"]
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    which = f"sweep {found['sweep']}, " if found["sweep"] else ""
    return f"{which}{count} runs; drawn at commit {found['commit']} with {versions}"


def _made_at(paths: Iterable[Path]) -> str:
    """Return the commits that made the runs."""
    commits = {Store(path.parents[1]).load(f"{path.parent.name}/{path.name}").summary["commit"] for path in paths}
    return f"; made at commit {', '.join(sorted(commits))}" if commits else ""


def _scale(file: Path, sweep: str) -> str:
    folder = file.resolve().parent
    name = (folder.parent if folder.name in (sweep, marks.PLOTS) else folder).name  # of a changed sweep, of plots
    return SCALE_OF_PUBLISHED if name == "published" else name


if __name__ == "__main__":
    run_main(main)
