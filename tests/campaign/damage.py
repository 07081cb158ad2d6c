"""Stores and checkpoints whose files go bad: what is complete afterwards has the numbers that were saved.

    python -m tests.campaign.damage

Archives and tables of data have their own mutations in tests/experiments/test_bad_data.py; both run here ten thousand
times in all.
"""

import random
import sys
import tempfile
from pathlib import Path

import pandas as pd
import pytest
import torch

from experiments.runs import __main__ as script
from experiments.runs.checkpoint import Checkpoint
from experiments.runs.store import Run, Store, StoreError

CONFIG = {"status": "mine", "data": {"name": "x"}}
RUNS = [Run("exp", f"b0={b0:g}", {"b0": b0, **CONFIG}, "code", "data") for b0 in (1.0, 2.0)]
HISTORY = pd.DataFrame({"iteration": [1, 2, 3], "loss": [0.5, 0.25, 0.125]})
WAYS = ("flip", "zero", "cut", "empty", "gone", "folder", "text", "twice", "insert")
TIMES = 5000


def filled(root):
    """A store with two runs and a list of them."""
    store = Store(root)
    store.prepare()
    for run in RUNS:
        store.save(run, "completed", HISTORY, {"gap": 0.5}, 1.25)
    store.save_sweep("mine", RUNS)
    return store


def answer(store, *words):
    """What experiments.runs says and how it ends, in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["runs", *words, "--runs", str(store.root)])
        try:
            return script._plain(script._answer(script._arguments())), 0
        except (script.ArgumentError, StoreError) as error:
            return script._plain(str(error)), 1


def spoilt(content, way, draw):
    """The content after something has happened to it."""
    content, at = bytearray(content), draw.randrange(max(len(content), 1))
    if way == "flip" and content:
        content[at] ^= 1 << draw.randrange(8)
    if way == "zero":
        content[at : at + 512] = bytes(len(content[at : at + 512]))
    if way == "insert":
        content[at:at] = draw.randbytes(8)
    return {"cut": content[:at], "empty": b"", "text": b'{"a": [1, null]}', "twice": content * 2}.get(way, content)


def spoil(path, draw):
    """Let one of the things happen to a file that happen to files."""
    way, content = draw.choice(WAYS), path.read_bytes()
    path.unlink()
    if way == "folder":
        path.mkdir()
    elif way != "gone":
        path.write_bytes(spoilt(content, way, draw))


def mutate_store(folder, times, draw):
    """Spoil files of a store, ask everything of it, and mend them, again and again."""
    store = filled(folder / "runs")
    outside = folder / "outside"
    outside.write_bytes(b"untouched")
    files = [*store.root.glob("exp/*/*"), *store.root.glob("sweeps/*.json")]
    whole = {file: file.read_bytes() for file in files}
    for _ in range(times):
        hurt = draw.sample(files, draw.choice([1, 1, 2]))
        for file in hurt:
            spoil(file, draw)
        for words in ((), ("list", "--stale"), ("verify",), ("diff", *(run.id[:6] for run in RUNS))):
            answer(store, *words)
        store.prepare()
        for run in filter(store.has, RUNS):
            saved = store.load(run.folder)
            pd.testing.assert_frame_equal(saved.history, HISTORY)
            assert (saved.config, saved.summary["result"]) == (dict(run.config), {"gap": 0.5})
        for file in hurt:
            if file.is_dir():
                file.rmdir()
            file.write_bytes(whole[file])
        assert all(map(store.has, RUNS)) and outside.read_bytes() == b"untouched"


def mutate_checkpoint(folder, times, draw):
    """Spoil a checkpoint: it is none, or it is the one that was kept."""
    run = Store(folder).opened(RUNS[0])
    Checkpoint(run, every=0.0).keep(lambda: {"w": torch.arange(1000.0), "t": 7, "name": "x"})
    whole = run.checkpoint.read_bytes()
    for _ in range(times):
        content = bytes(spoilt(whole, draw.choice(WAYS), draw))
        run.checkpoint.write_bytes(content)
        found = Checkpoint(run).load()
        assert (found is None) == (content != whole)
    run.checkpoint.write_bytes(whole)
    assert torch.equal(Checkpoint(run).load()["w"], torch.arange(1000.0))


def main() -> None:
    """Each kind TIMES times, from seeds."""
    for mutate in (mutate_store, mutate_checkpoint):
        with tempfile.TemporaryDirectory() as folder:
            mutate(Path(folder), TIMES, random.Random(0))
        print(f"{mutate.__name__}: {TIMES} mutations, no wrong number, no traceback, nothing touched outside")


if __name__ == "__main__":
    main()
