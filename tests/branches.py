"""``python -m tests.branches --least 95``: how many of adaloss's branches the tests took that ``coverage run`` watched.

coverage.py's own total counts lines and branches together; this is the branches alone, by file.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import coverage


def main() -> int:
    """Print a table; status 1 under the least share."""
    parser = argparse.ArgumentParser(prog="python -m tests.branches", description=__doc__.splitlines()[0])
    parser.add_argument("--least", type=float, default=0.0, help="per cent of the branches")
    least = parser.parse_args().least
    data = coverage.Coverage()
    data.load()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "coverage.json"
        data.json_report(outfile=str(file))
        found = json.loads(file.read_text())
    for name, of in found["files"].items():
        missing = ", ".join(f"{start}->{end if end > 0 else 'exit'}" for start, end in of["missing_branches"])
        print(line(name, of["summary"]) + (f"  not taken: {missing}" if missing else ""))
    print(line("in all", found["totals"]))
    return int(share(found["totals"]) < least)


def share(summary: dict) -> float:
    """Per cent of the branches that were taken."""
    return 100.0 * summary["covered_branches"] / summary["num_branches"] if summary["num_branches"] else 100.0


def line(name: str, summary: dict) -> str:
    """One row of the table."""
    branches = f"{summary['covered_branches']} of {summary['num_branches']} branches"
    return f"{name:40} {branches:>22} {share(summary):6.1f} %, {summary['missing_lines']:3} lines not run"


if __name__ == "__main__":
    sys.exit(main())
