"""Experiments as a user starts them: one process each."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import yaml

ROOT = Path(__file__).resolve().parents[2]


def command(*args):
    return [sys.executable, "-m", "experiments.linear_regression", *map(str, args)]


def launch(*args, cwd=ROOT, **options):
    """Run to the end; the result has returncode, stdout and stderr."""
    return subprocess.run(command(*args), cwd=cwd, capture_output=True, text=True, timeout=300, check=False, **options)


def made(result):
    """How many runs the jobs of one call made anew, by their own account."""
    assert result.returncode == 0, result.stderr
    return sum(int(line.split(", ")[-1].split()[0]) for line in result.stdout.splitlines() if line.endswith(" made"))


def content(root):
    """What a store holds: folder -> (config, bytes of the history, status, results). Half-written folders fail."""
    found = {}
    for folder in sorted(Path(root).glob("linear_regression/*")):
        summary = json.loads((folder / "summary.json").read_text())
        pd.read_parquet(folder / "history.parquet")
        found[f"{folder.parent.name}/{folder.name}"] = (
            yaml.safe_load((folder / "config.yaml").read_text()),
            (folder / "history.parquet").read_bytes(),
            summary["status"],
            summary["result"],
        )
    return found
