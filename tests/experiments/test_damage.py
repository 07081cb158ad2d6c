"""Stores and checkpoints that are damaged, or come from elsewhere: never a wrong number, a traceback or a wait."""

import json
import os
import random
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from experiments.checkpoint import Checkpoint
from experiments.saved import sealed, sha256
from experiments.store import Run, Store, StoreError, verify
from scripts import runs as script

ROOT = Path(__file__).resolve().parents[2]
RUNS = [
    Run("exp", f"b0={i}", {"b0": float(i), "status": "mine", "data": {"name": "x"}}, "code", "data") for i in (1, 2)
]
HISTORY = pd.DataFrame({"iteration": [1, 2, 3], "loss": [0.5, 0.25, 0.125]})


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "runs")
    store.prepare()
    for run in RUNS:
        store.save(run, "completed", HISTORY, {"gap": 0.5}, 1.25)
    store.save_sweep("mine", RUNS)
    return store


def answer(store, *words):
    """What scripts.runs says and how it ends, in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["runs", *words, "--runs", str(store.root)])
        try:
            return script._plain(script._answer(script._arguments())), 0
        except (script.ArgumentError, StoreError) as error:
            return script._plain(str(error)), 1


def forge(store, run, **changes):
    """A run whose seal is right and whose fields are not."""
    file = store.root / run.folder / "summary.json"
    summary = {name: value for name, value in json.loads(file.read_text()).items() if name != "summary_sha256"}
    summary = {name: value for name, value in {**summary, **changes}.items() if value is not ...}
    file.write_bytes(sealed(summary))


# Checkpoints


def test_a_checkpoint_with_one_wrong_bit_or_block_is_none(tmp_path, capsys):
    run = Store(tmp_path).opened(RUNS[0])
    Checkpoint(run, every=0.0).keep(lambda: {"w": torch.arange(1000.0), "t": 7, "name": "x"})
    whole = run.checkpoint.read_bytes()
    draw = random.Random(0)
    for _ in range(60):
        spoilt, at = bytearray(whole), draw.randrange(len(whole))
        if draw.random() < 0.5:
            spoilt[at] ^= 1 << draw.randrange(8)
        else:
            spoilt[at : at + 512] = bytes(min(512, len(whole) - at))
        if bytes(spoilt) == whole:
            continue
        run.checkpoint.write_bytes(spoilt)
        assert Checkpoint(run).load() is None
        assert "not as it was kept; the run starts anew" in capsys.readouterr().err
    run.checkpoint.write_bytes(whole)
    assert Checkpoint(run).load()["t"] == 7


def test_a_checkpoint_of_another_run_is_none(tmp_path):
    first, second = map(Store(tmp_path).opened, RUNS)
    Checkpoint(first, every=0.0).keep(lambda: {"t": 7})
    second.checkpoint.write_bytes(first.checkpoint.read_bytes())
    assert Checkpoint(second).load() is None
    os.mkfifo(second.checkpoint.with_suffix(".fifo"))
    second.checkpoint.with_suffix(".fifo").replace(second.checkpoint)
    assert Checkpoint(second).load() is None  # and waits for nobody


# Runs


FORGED = [
    {"id": ...}, {"experiment": None}, {"status": 3}, {"result": []}, {"result": None}, {"code": ...}, {"data": {}},
    {"wall_time_s": "1"}, {"peak_memory_mb": 1.5}, {"commit": None}, {"versions": ...}, {"machine": 1},
    {"config_sha256": ...}, {"history_sha256": 0},
]  # fmt: skip


@pytest.mark.parametrize("changes", FORGED, ids=str)
def test_a_sealed_summary_with_wrong_fields_is_a_harmed_run(store, changes):
    forge(store, RUNS[0], **changes)
    said, status = answer(store)
    assert status == 0 and said.count("harmed") == 1 and said.count("completed") == 1
    assert answer(store, "verify")[1] == 1
    assert answer(store, "delete", "status=harmed", "--yes")[0].startswith("1 of 2 runs deleted")
    assert not (store.root / RUNS[0].folder).exists() and store.has(RUNS[1])


NAMES = "abcdefghij"
BOMB = "a: &a [1]\n" + "".join(f"{y}: &{y} [{', '.join([f'*{x}'] * 9)}]\n" for x, y in pairwise(NAMES))
CONFIGS = [BOMB, "[" * 5000, "[1, 2]", "null", "a: 2020-01-01", "1: 2", "!!python/object:os.x {}", "\xff\x00"]


@pytest.mark.parametrize("text", CONFIGS, ids=range(len(CONFIGS)))
def test_a_sealed_configuration_that_is_none_is_a_harmed_run(store, text):
    content = text.encode("latin-1")
    (store.root / RUNS[0].folder / "config.yaml").write_bytes(content)
    forge(store, RUNS[0], config_sha256=sha256(content))
    assert not store.has(RUNS[0])
    assert answer(store)[1] == 0
    assert answer(store, "verify")[1] == 1


@pytest.mark.parametrize(
    "content", [b"", b"PAR1", b"PAR1" + bytes(100) + b"PAR1", b"iteration,loss\n1,2\n", bytes(1000)]
)
def test_a_sealed_history_that_is_no_table_is_one_line(store, content):
    (store.root / RUNS[0].folder / "history.parquet").write_bytes(content)
    forge(store, RUNS[0], history_sha256=sha256(content))
    with pytest.raises(StoreError, match="no table") as error:
        _ = store.load(RUNS[0].folder).history
    assert "\n" not in str(error.value)


def test_a_truncated_history_is_not_listed_as_completed(store):
    file = store.root / RUNS[0].folder / "history.parquet"
    file.write_bytes(file.read_bytes()[:-1])
    assert answer(store, "status=harmed")[0].endswith("1 of 2 runs in " + str(store.root))


def test_the_status_is_the_stores_whatever_the_configuration_says(store):
    assert answer(store, "status=mine")[0].startswith("0 of 2")
    assert answer(store, "status=completed", "data=x")[0].endswith(f"2 of 2 runs in {store.root}")


def test_strange_names_are_shown_and_steer_no_terminal(store):
    for name in ("\x1b[31mred-aaaaaaaaaaaa", "two\nlines-bbbbbbbbbbbb", os.fsdecode(b"\xff\xfe-cccccccccccc")):
        (store.root / "exp" / name).mkdir()
    said, status = answer(store)
    assert status == 0 and said.count("harmed") == 3
    assert "\x1b" not in said and said.encode("utf-8")
    assert answer(store, "delete", "status=harmed", "--yes")[0].startswith("3 of 5 runs deleted")


def test_nobody_waits_for_a_pipe_or_a_device(store):
    folder = store.root / RUNS[0].folder
    for name in ("summary.json", "config.yaml", "history.parquet"):
        kept = (folder / name).read_bytes()
        (folder / name).unlink()
        os.mkfifo(folder / name)
        assert verify(folder) and answer(store)[1] == 0
        (folder / name).unlink()
        (folder / name).write_bytes(kept)
    assert store.has(RUNS[0])
    os.mkfifo(store.root / "sweeps/pipe.json")
    assert answer(store, "list", "--stale")[1] == 1


# Places


def test_nothing_is_read_or_removed_outside(store, tmp_path):
    photos = tmp_path / "photos"
    (photos / "2020-aaaaaaaaaaaa").mkdir(parents=True)
    (photos / "2020-aaaaaaaaaaaa/me.png").write_bytes(b"x")
    (store.root / "linked").symlink_to(photos)
    (store.root / "exp/inner-aaaaaaaaaaaa").symlink_to(photos / "2020-aaaaaaaaaaaa")
    said, status = answer(store, "delete", "--stale", "--yes")
    assert (status, said) == (0, f"0 of 2 runs in {store.root}")
    for folder in ("linked/2020-aaaaaaaaaaaa", "exp/inner-aaaaaaaaaaaa", "../photos/2020-aaaaaaaaaaaa"):
        with pytest.raises(StoreError, match="leads outside"):
            store.delete(folder)
    with pytest.raises(StoreError, match="leads outside of runs="):
        store.prepare()
    assert (photos / "2020-aaaaaaaaaaaa/me.png").exists()


def test_a_link_in_the_place_of_the_checkpoints_is_refused(store, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / f"exp-{RUNS[0].id}.pt").write_bytes(b"x")
    (store.root / "checkpoints").symlink_to(mine)
    with pytest.raises(StoreError, match="checkpoints: leads outside"):
        store.prepare()
    assert list(mine.iterdir())


def test_what_lies_about_in_a_store_stops_nothing(store):
    for name in (".tmp-host-x", ".tmp-", ".tmp-a-b-c-d", "file-1-aaaaaaaa"):
        (store.root / name).mkdir()
    (store.root / ".tmp-x-1-aaaaaaaa").symlink_to(store.root)
    (store.root / "checkpoints/exp-aaaaaaaaaaaa.pt").mkdir(parents=True)
    (store.root / f"checkpoints/exp-{RUNS[0].id}.pt").mkdir()
    store.prepare()
    assert all(map(store.has, RUNS))


def test_temporary_folders_of_others_stay_for_a_day(store):
    young, old = store.root / ".tmp-other-1-aaaaaaaa", store.root / ".tmp-other-1-bbbbbbbb"
    for folder in (young, old):
        folder.mkdir()
    os.utime(old, (1e9, 1e9))
    store.prepare()
    assert (young.exists(), old.exists()) == (True, False)


# Everything at once


def spoil(path, draw):
    """One of the ways in which a file goes bad."""
    content = bytearray(path.read_bytes()) if path.is_file() else bytearray(b"x")
    at = draw.randrange(max(len(content), 1))
    way = draw.choice(["flip", "zero", "cut", "empty", "gone", "folder", "text", "twice", "insert"])
    path.unlink(missing_ok=True)
    if way == "flip" and content:
        content[at] ^= 1 << draw.randrange(8)
    if way == "zero":
        content[at : at + 512] = bytes(len(content[at : at + 512]))
    if way == "insert":
        content[at:at] = draw.randbytes(8)
    made = {"cut": content[:at], "empty": b"", "text": b'{"a": [1, null]}', "twice": content * 2}.get(way, content)
    if way == "folder":
        path.mkdir()
    elif way != "gone":
        path.write_bytes(made)


def test_200_mutations_of_a_store(store, tmp_path):
    """What is complete afterwards has the numbers that were saved; all else is told in lines."""
    files = [*store.root.glob("exp/*/*"), *store.root.glob("sweeps/*.json")]
    whole = {file: file.read_bytes() for file in files}
    draw, outside = random.Random(0), tmp_path / "outside"
    outside.write_bytes(b"untouched")
    for _ in range(200):
        hurt = draw.sample(files, draw.choice([1, 1, 2]))
        for file in hurt:
            spoil(file, draw)
        for words in ((), ("list", "--stale"), ("verify",), ("diff", *(run.id[:6] for run in RUNS))):
            answer(store, *words)
        store.prepare()
        for run in RUNS:
            if store.has(run):
                saved = store.load(run.folder)
                pd.testing.assert_frame_equal(saved.history, HISTORY)
                assert (saved.config, saved.summary["result"]) == (dict(run.config), {"gap": 0.5})
        for file in hurt:
            if file.is_dir():
                file.rmdir()
            file.write_bytes(whole[file])
        assert all(map(store.has, RUNS)) and outside.read_bytes() == b"untouched"


def test_without_git_a_run_is_saved_and_drawn(tmp_path):
    """An empty PATH, as in a slim container."""
    (tmp_path / "empty").mkdir()
    environment = {**os.environ, "PATH": str(tmp_path / "empty"), "MPLCONFIGDIR": str(tmp_path)}
    words = ["experiments.linear_regression", "b0=0.1", "iterations=20", "scale=smoke", f"runs={tmp_path / 'runs'}"]
    words += ["record.windows=[]", "record.log_points=3"]
    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    [run] = [Store(tmp_path / "runs").load(folder) for folder in Store(tmp_path / "runs").folders()]
    assert run.summary["commit"] == "unknown"
    assert np.isfinite(run.history["loss"]).all() and yaml.safe_load((run.path / "config.yaml").read_text())
