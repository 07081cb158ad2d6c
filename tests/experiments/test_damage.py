"""Checkpoints; and stores that are damaged, or come from elsewhere: never a wrong number, a traceback or a wait."""

import json
import os
import random
import resource
import subprocess
from itertools import pairwise

import pytest
import torch

from adaloss.runs.saved import sealed, sha256
from experiments.runs.checkpoint import Checkpoint
from experiments.runs.locks import Claims
from experiments.runs.store import Store, StoreError, provenance, verify
from tests.campaign.damage import KINDS, RUNS, answer, filled
from tests.experiments.launch import launch, made


@pytest.fixture
def store(tmp_path):
    return filled(tmp_path / "runs")


def forge(store, run, **changes):
    """A run whose seal is right and whose fields are not."""
    file = store.root / run.folder / "summary.json"
    summary = {name: value for name, value in json.loads(file.read_text()).items() if name != "summary_sha256"}
    summary = {name: value for name, value in {**summary, **changes}.items() if value is not ...}
    file.write_bytes(sealed(summary))


# Checkpoints


STATE = {"model": {"w": torch.arange(3.0)}, "rows": [[1, 0.5]], "generator": torch.get_rng_state(), "t": 7}


def test_what_was_kept_comes_back(tmp_path):
    run = Store(tmp_path).opened(RUNS[0])
    assert Checkpoint(run).load() is None
    Checkpoint(run, every=0.0).keep(lambda: STATE)
    found = Checkpoint(run).load()
    assert torch.equal(found["model"]["w"], STATE["model"]["w"]) and torch.equal(found["generator"], STATE["generator"])
    assert (found["rows"], found["t"]) == (STATE["rows"], 7)


def test_it_is_kept_no_more_often_than_asked(tmp_path):
    run, calls = Store(tmp_path).opened(RUNS[0]), []
    often, seldom, nowhere = Checkpoint(run, every=0.0), Checkpoint(run, every=3600.0), Checkpoint(RUNS[0], every=0.0)
    for checkpoint in (often, often, seldom, seldom, nowhere):
        checkpoint.keep(lambda: calls.append(1) or STATE)
    assert len(calls) == 2 and nowhere.load() is None


def test_a_full_disk_is_one_line_and_leaves_the_last_checkpoint(tmp_path):
    run = Store(tmp_path).opened(RUNS[0])
    checkpoint = Checkpoint(run, every=0.0)
    checkpoint.keep(lambda: STATE)
    before = run.checkpoint.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, hard))
    try:
        with pytest.raises(StoreError, match="File too large") as caught:
            checkpoint.keep(lambda: STATE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "\n" not in str(caught.value)
    assert [file.read_bytes() for file in run.checkpoint.parent.iterdir()] == [before]


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
def test_a_sealed_summary_with_wrong_fields_is_a_corrupt_run(store, changes):
    forge(store, RUNS[0], **changes)
    said, status = answer(store)
    assert status == 0 and said.count("corrupt") == 1 and said.count("completed") == 1
    assert answer(store, "verify")[1] == 1
    assert answer(store, "delete", "status=corrupt", "--yes")[0].startswith("1 of 2 runs deleted")
    assert not (store.root / RUNS[0].folder).exists() and store.has(RUNS[1])


NAMES = "abcdefghij"
BOMB = "a: &a [1]\n" + "".join(f"{y}: &{y} [{', '.join([f'*{x}'] * 9)}]\n" for x, y in pairwise(NAMES))
CONFIGS = [BOMB, "[" * 5000, "[1, 2]", "null", "a: 2020-01-01", "1: 2", "!!python/object:os.x {}", "\xff\x00"]


@pytest.mark.parametrize("text", CONFIGS, ids=range(len(CONFIGS)))
def test_a_sealed_configuration_that_is_none_is_a_corrupt_run(store, text):
    content = text.encode("latin-1")
    (store.root / RUNS[0].folder / "config.yaml").write_bytes(content)
    forge(store, RUNS[0], config_sha256=sha256(content))
    assert not store.has(RUNS[0])
    assert answer(store)[1] == 0
    assert answer(store, "verify")[1] == 1


def test_a_sealed_history_that_is_no_table_is_one_line(store):
    for content in (b"", b"PAR1", b"PAR1" + bytes(100) + b"PAR1", b"iteration,loss\n1,2\n", bytes(1000)):
        (store.root / RUNS[0].folder / "history.parquet").write_bytes(content)
        forge(store, RUNS[0], history_sha256=sha256(content))
        with pytest.raises(StoreError, match="not a table") as error:
            _ = store.load(RUNS[0].folder).history
        assert "\n" not in str(error.value)


def test_the_status_is_the_stores_whatever_the_configuration_says(store):
    assert answer(store, "status=mine")[0].startswith("0 of 2")
    assert answer(store, "status=completed", "data=x")[0].endswith(f"2 of 2 runs in {store.root}")


def test_strange_names_are_shown_and_steer_no_terminal(store):
    for name in ("\x1b[31mred-aaaaaaaaaaaa", "two\nlines-bbbbbbbbbbbb", os.fsdecode(b"\xff\xfe-cccccccccccc")):
        (store.root / "exp" / name).mkdir()
    said, status = answer(store)
    assert status == 0 and said.count("corrupt") == 3
    assert "\x1b" not in said and said.encode("utf-8")
    assert answer(store, "delete", "status=corrupt", "--yes")[0].startswith("3 of 5 runs deleted")


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


def test_nothing_is_written_through_a_link(store, tmp_path):
    """A checkpoint's temporary name, a lock's and a run's own folder."""
    mine = tmp_path / "mine"
    mine.write_text("mine")
    run = store.opened(RUNS[0])
    run.checkpoint.parent.mkdir(exist_ok=True)
    run.checkpoint.with_suffix(".tmp").symlink_to(mine)
    Checkpoint(run, every=0.0).keep(lambda: {"t": 1})
    assert mine.read_text() == "mine" and not run.checkpoint.is_symlink() and Checkpoint(run).load() == {"t": 1}
    (store.root / ".claims").mkdir(exist_ok=True)
    (store.root / ".claims/exp").symlink_to(tmp_path / "made")
    with pytest.raises(StoreError, match="exp: runs cannot be locked"), Claims(store.root, "exp"):
        pass
    assert not (tmp_path / "made").exists()
    (store.root / RUNS[1].folder).rename(tmp_path / "moved")
    (store.root / RUNS[1].folder).symlink_to(tmp_path / "moved")
    assert not store.has(RUNS[1])
    filled(store.root, RUNS[1:2])
    assert store.has(RUNS[1]) and not isinstance(store.checked(RUNS[1].folder), list)
    assert len([*(tmp_path / "moved").iterdir()]) == 3


def test_a_folder_of_ones_own_is_no_run(store):
    """Where runs= names a folder that has more in it: nothing of that is listed, so nothing deleted."""
    for name in ("thesis/chapter-1", "thesis/.git", "photos-2020/x", "exp/notes", "exp/b0=1-ABCDEF012345"):
        (store.root / name).mkdir(parents=True)
        (store.root / name / "file").touch()
    said, status = answer(store, "delete", "--stale", "--yes")
    assert (status, said) == (0, f"0 of 2 runs in {store.root}")
    assert len([*store.root.glob("*/*/file")]) == 5


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
    for beside in [*store.root.glob("sweeps/*"), *store.root.glob("exp/*"), *store.root.glob("exp/*/*")]:
        beside.with_name(f"._{beside.name}").write_bytes(b"\0\5\x16\7")  # as macOS copies to other file systems
    store.prepare()
    assert all(map(store.has, RUNS)) and store.sweeps() == ["mine"]
    assert [answer(store, *words)[1] for words in (["verify"], ["--stale"])] == [0, 0]


# Two stores


@pytest.mark.parametrize("copy", [["cp", "-rn"], ["cp", "-r"]])
@pytest.mark.parametrize("name", ["mine.json", "mine@of_today.json"])
def test_copying_one_store_into_another_loses_nothing(name, copy, tmp_path):
    merged, other = filled(tmp_path / "a", RUNS[:1]), filled(tmp_path / "b", RUNS[1:])
    [listed] = merged.root.glob("sweeps/*")
    listed.rename(listed.with_name(name))  # mine.json: as stores had it once
    for store in (merged, other):
        store.save_sweep("same", RUNS)
    subprocess.run([*copy, f"{other.root}/.", merged.root], check=True)
    assert answer(merged, "list", "--stale") == (f"0 of 2 runs in {merged.root}", 0)
    assert merged.listed("same") == [run.folder for run in RUNS]
    line, status = answer(merged, "verify")
    assert (status, line.count("\n")) == (1, 0)
    assert line.endswith(" list other runs as mine; remove all but one, or run the sweep again")
    merged.save_sweep("mine", RUNS[1:])
    assert answer(merged, "verify")[1] == 0 and merged.listed("mine") == [RUNS[1].folder]
    merged.save_sweep("same", [])
    assert answer(merged, "list", "--stale")[0].endswith(f"1 of 2 runs in {merged.root}")


# Everything at once


@pytest.mark.parametrize("mutate", KINDS)
def test_40_mutations(mutate, tmp_path):
    mutate(tmp_path, 40, random.Random(1))


def test_without_git_a_sweep_is_saved(tmp_path):
    """An empty PATH, as in a slim container."""

    def slim():
        os.environ["PATH"] = str(tmp_path / "empty")
        provenance.cache_clear()

    assert made(launch("sweep=figure_burn_in", "scale=smoke", f"runs={tmp_path}", prepare=slim))
    assert {run.summary["commit"] for run in Store(tmp_path).load_sweep("figure_burn_in")} == {"unknown"}
