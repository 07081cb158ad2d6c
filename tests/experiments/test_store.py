"""The store: what is saved is read, to the byte; with folders in the way, full disks, and other processes beside it."""

import errno
import json
import os
import re
import resource
import shutil
import subprocess
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaloss.runs import files
from experiments.runs.provenance import ROOT, origin
from experiments.runs.store import Run, Store, StoreError, provenance, verify

CONFIG = {"zeta": 1.0, "b0": 1.0, "method": {"name": "adaloss"}}
RUN = Run("exp", "adaloss_b0=1_seed=0", CONFIG, "code", "data")
OTHER = replace(RUN, label="a", data="other")
HISTORY = pd.DataFrame({"iteration": [1, 2, 3], "loss": [0.1 + 0.2, np.inf, 1e-300]}, index=[7, 8, 9])
AGAIN = "run missing or unreadable; delete it and run the sweep again"


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "runs")
    store.prepare()
    store.save(RUN, "completed", HISTORY, {"gap": 0.5}, 1.23456789)
    return store


def folder(store):
    return store.root / RUN.folder


def contents(path):
    return {file.name: file.read_bytes() for file in path.iterdir()}


def temporary(store):
    return [path.name for path in store.root.glob(".tmp-*")]


FULL = OSError(errno.ENOSPC, "a paragraph\nof pyarrow's")


# What is saved


def test_what_was_saved_is_read(tmp_path, monkeypatch):
    """The configuration in its own order, no index in the history, seconds to the microsecond, memory in MiB."""
    monkeypatch.setattr(resource, "getrusage", lambda who: SimpleNamespace(ru_maxrss=2000 * 1024))
    store = Store(tmp_path / "a/b/runs")
    store.save(RUN, "completed", HISTORY, {"gap": 0.5}, 1.23456789)
    assert re.fullmatch(r"exp/adaloss_b0=1_seed=0-[0-9a-f]{12}", RUN.folder) and store.has(RUN) is True
    saved = store.load(RUN.folder)
    pd.testing.assert_frame_equal(saved.history, HISTORY.reset_index(drop=True), check_exact=True)
    assert saved.config == CONFIG and saved.id == RUN.id == saved.summary["id"]
    expected = {"experiment": "exp", "status": "completed", "result": {"gap": 0.5}, "code": "code", "data": "data"}
    assert saved.summary.items() >= (expected | {"wall_time_s": 1.234568, "peak_memory_mb": 2000}).items()
    files = contents(folder(store))
    assert files.keys() == {"config.yaml", "history.parquet", "summary.json"}
    assert files["config.yaml"] == b"zeta: 1.0\nb0: 1.0\nmethod:\n  name: adaloss\n"
    text = files["summary.json"].decode()
    assert text == json.dumps(json.loads(text), indent=1) + "\n"  # a line for each entry
    for thing, field in ((RUN, "code"), (saved, "summary")):
        with pytest.raises(FrozenInstanceError):
            setattr(thing, field, {})


def test_identity_is_configuration_code_and_data(store):
    others = [replace(RUN, config=CONFIG | {"b0": 2.0}), replace(RUN, config=CONFIG | {"method": {"name": "sgd"}})]
    others += [replace(RUN, **{field: "other"}) for field in ("code", "data", "experiment")]
    assert len({run.id for run in [RUN, *others]}) == 6
    assert not any(store.has(run) for run in others)
    assert replace(RUN, label="renamed").id == RUN.id
    assert replace(RUN, config=dict(reversed(CONFIG.items()))).id == RUN.id


TEXT = st.text(st.characters(codec="ascii"), max_size=8) | st.sampled_from(
    ["null", "1e3", "1:30", "=", "no", "~", "\x85é"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=100)
@given(config=st.dictionaries(TEXT, VALUES, max_size=4))
def test_the_identity_survives_the_way_through_the_files(config, tmp_path_factory):
    store, run = Store(tmp_path_factory.mktemp("runs")), replace(RUN, config=config)
    store.save(run, "completed", HISTORY, {}, 1.0)
    assert verify(store.root / run.folder) == []
    assert store.load(run.folder).config == config


def test_a_failed_run_is_no_result_and_is_repeated(store):
    store.save_failure(OTHER, "no luck")
    saved, path = store.load(OTHER.folder), store.root / OTHER.folder
    assert (saved.summary["status"], saved.summary["result"]) == ("failed", {"error": "no luck"})
    assert saved.history.empty and saved.summary["wall_time_s"] == 0.0
    assert store.has(OTHER) is False
    assert verify(path) == [f"{path}: failed, no result; run the sweep again"]
    (path / "more").write_text("of the failed run")
    store.save(OTHER, "diverged", HISTORY, {}, 1.0)
    assert store.has(OTHER) and contents(path).keys() == contents(folder(store)).keys()


FILES = ["config.yaml", "history.parquet", "summary.json"]


@pytest.mark.parametrize(("seconds", "resumed", "synced"), [(0.9, False, []), (1.1, False, FILES), (0.1, True, FILES)])
def test_what_took_long_is_on_the_disk_before_it_has_its_name(seconds, resumed, synced, store, monkeypatch):
    """Short runs are left to their checksums: test_a_change_of_any_byte_is_found."""
    run = store.opened(OTHER)
    if resumed:
        run.checkpoint.parent.mkdir()
        run.checkpoint.write_bytes(b"what a longer training had reached")
    done, fsync, rename = [], os.fsync, Path.rename

    def note(descriptor):
        done.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        fsync(descriptor)

    def renamed(path, target):
        done.append("renamed")
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", note)
    monkeypatch.setattr(Path, "rename", renamed)
    store.save(run, "completed", HISTORY, {}, seconds)
    assert store.has(OTHER)
    assert done[: len(synced)] == synced and done[len(synced) :][-2:] == (["renamed", "exp"] if synced else ["renamed"])


def test_a_complete_run_is_never_replaced(store):
    before = contents(folder(store))
    store.save(RUN, "completed", HISTORY * 2, {"gap": 9.0}, 9.0)
    assert contents(folder(store)) == before and not temporary(store)


def test_provenance_is_the_commit_and_the_machine(monkeypatch, tmp_path):
    def said(commit, status=""):
        def run(words, **_):
            return subprocess.CompletedProcess(words, 0, commit if "rev-parse" in words else status, "")

        with monkeypatch.context() as patch:
            patch.setattr(subprocess, "run", run)
            return asked()

    def asked():
        provenance.cache_clear()
        return provenance()

    try:
        assert said(f"{ROOT}\nabc123\n")["commit"] == "abc123"
        assert said("/another/project\nabc123\n")["commit"] == "unknown"
        assert said(f"{ROOT}\nabc123\n", " M adaloss/stepsizes.py")["commit"] == "abc123-dirty"
        found = said("", " M x")  # git says nothing outside a checkout, and its status is no error
        assert found["commit"] == "unknown" and found["machine"].endswith(f"{os.cpu_count()} cores")
        packages = {"python", "numpy", "scipy", "numba", "torch", "pandas", "matplotlib", "scikit-learn"}
        assert set(found["versions"]) == packages and found["versions"]["numpy"] == np.__version__
        monkeypatch.setenv("GIT_DIR", str(tmp_path / "nowhere"))  # of another repository: has no say
        assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?|unknown", asked()["commit"])
        monkeypatch.setenv("PATH", str(tmp_path))  # no git
        assert asked()["commit"] == "unknown"
    finally:
        provenance.cache_clear()


# What is corrupt


@pytest.mark.parametrize("name", ["config.yaml", "history.parquet", "summary.json"])
def test_a_change_of_any_byte_is_found(store, name):
    path, saved = folder(store), store.load(RUN.folder)
    file, content = path / name, (path / name).read_bytes()
    wrong = [f"{file}: missing or not as it was saved; delete {path} and run the sweep again"]
    assert verify(path) == []
    flipped = (content[:k] + bytes([content[k] ^ 1]) + content[k + 1 :] for k in range(len(content)))
    for other in (*flipped, content + b"\n", content[:-1], b"", b"[]", b"{}", b"a: ["):
        file.write_bytes(other)
        assert verify(path) == wrong
    if name == "history.parquet":
        with pytest.raises(StoreError, match=r"history\.parquet: missing or not as it was saved; delete .* again"):
            _ = saved.history
    else:
        with pytest.raises(StoreError, match=AGAIN):
            store.load(RUN.folder)
    assert store.has(RUN) is False
    file.unlink()
    assert verify(path) == wrong
    store.save(RUN, "completed", HISTORY, {}, 1.0)  # it is made again
    assert verify(path) == [] and not temporary(store)


def test_what_verify_says_of_other_folders(store):
    path, saved = folder(store), store.load(RUN.folder)
    assert verify(path.with_name("gone")) == [f"{path.with_name('gone')}: run missing; run the sweep again"]
    # an honest run under the name of another: the checksums agree, the identity does not
    moved = path.rename(path.with_name(f"a-{OTHER.id}"))
    assert verify(moved) == [
        f"{moved}: the run in this folder is exp/...-{RUN.id}; delete {moved} and run the sweep again"
    ]
    with pytest.raises(StoreError, match="missing or not as it was saved"):
        _ = saved.history
    with pytest.raises(StoreError, match=AGAIN):
        store.load(RUN.folder)


# Lists of sweeps


def test_runs_and_sweeps_are_found_and_deleted(store):
    other = replace(RUN, experiment="another")
    store.save(other, "completed", HISTORY, {}, 1.0)
    (store.root / "checkpoints/folder").mkdir(parents=True)
    for runs in ([RUN], [other, RUN]):  # the second replaces the first, and nothing else is left
        store.save_sweep("figure_0", runs)
        [file] = (store.root / "sweeps").iterdir()
        listed = {"sweep": "figure_0", "runs": [run.folder for run in runs]}
        assert file.read_text() == json.dumps(listed, indent=1) + "\n"
    assert (store.sweeps(), store.listed("figure_0")) == (["figure_0"], [other.folder, RUN.folder])
    assert [run.id for run in store.load_sweep("figure_0")] == [other.id, RUN.id]
    with pytest.raises(StoreError, match="the sweep 'figure_9' has not been finished; run it with sweep=figure_9"):
        store.load_sweep("figure_9")
    assert store.folders() == [other.folder, RUN.folder]
    store.delete(other.folder)
    assert store.folders() == [RUN.folder] and not temporary(store)
    with pytest.raises(StoreError, match=AGAIN):
        store.load_sweep("figure_0")
    with pytest.raises(StoreError, match=r"not deleted \(No such file or directory\)"):
        store.delete(other.folder)
    with pytest.raises(StoreError, match=r"no runs there \(No such file or directory\)"):
        Store(store.root / "nowhere").folders()


def test_a_broken_list_is_a_sweep_that_was_not_finished(tmp_path):
    store = Store(tmp_path / "a/b/c")
    for _ in range(2):
        store.prepare()
        assert list(store.root.iterdir()) == []
    store = Store(tmp_path / "c")  # not prepared
    store.save_sweep("figure_0", [])
    assert store.load_sweep("figure_0") == []
    [listed] = (store.root / "sweeps").iterdir()
    texts = ["no json", "{}", "[]", "null", '{"runs": null}', '{"runs": [1]}', '{"runs": ["../x/y"]}', "[" * 100_000]
    for text in texts:
        listed.write_text(text)
        with pytest.raises(StoreError, match="not a list of a sweep's runs; run it with sweep=figure_0"):
            store.load_sweep("figure_0")


# Folders, and other processes


def test_a_root_that_cannot_be_written_is_one_line_and_leaves_no_folders(tmp_path, monkeypatch):
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/file").write_text("mine")
    for root, reason in ((tmp_path / "kept/file", "File exists"), (tmp_path / "kept/file/runs", "Not a directory")):
        with pytest.raises(StoreError, match=rf"cannot be written \({reason}\)"):
            Store(root).prepare()
    monkeypatch.setattr(Path, "write_bytes", Mock(side_effect=FULL))
    for root in (tmp_path / "new/er/runs", tmp_path / "kept/runs", tmp_path / "kept"):
        with pytest.raises(StoreError) as error:
            Store(root).prepare()
        assert str(error.value) == (
            f"runs={root}: cannot be written (No space left on device); free it or choose another folder"
        )
    assert [path.relative_to(tmp_path) for path in sorted(tmp_path.rglob("*"))] == [Path("kept"), Path("kept/file")]
    assert (tmp_path / "kept/file").read_text() == "mine"


def test_another_process_may_take_away_what_is_being_removed(tmp_path, monkeypatch):
    """Two that fail at once remove the same folders, two that start at once the same leftovers."""
    root = tmp_path / "new/runs"
    with monkeypatch.context() as patch:

        def full_and_gone(*args):
            patch.setattr(shutil, "rmtree", lambda *a, **k: (remove(tmp_path / "new"), remove(*a, **k)))
            raise FULL

        remove = shutil.rmtree
        patch.setattr(Path, "write_bytes", full_and_gone)
        with pytest.raises((StoreError, FileNotFoundError)):
            Store(root).prepare()
    store = Store(root)
    store.prepare()
    left = root / f".tmp-{origin()}-{2**22 + 1}-aaaaaaaa"
    left.mkdir()

    def dead(pid, signal):
        assert (pid, signal) == (2**22 + 1, 0)
        left.rmdir()
        raise ProcessLookupError

    monkeypatch.setattr(os, "kill", dead)
    store.prepare()
    assert list(root.iterdir()) == []


def test_leftovers_of_dead_processes_go_and_those_of_living_ones_stay(store, monkeypatch):
    """On a host with dashes in its name; those of other hosts stay for a day."""
    monkeypatch.setattr("experiments.runs.store.origin", lambda: "node-07-a")
    asked = []

    def kill(pid, signal):
        asked.append(pid)
        if pid != 43:
            raise ProcessLookupError if pid == 41 else PermissionError  # 42 lives, and is another user's

    monkeypatch.setattr(os, "kill", kill)
    stay = {*(f".tmp-node-07-a-{pid}-aaaaaaaa" for pid in (42, 43)), ".tmp-other-1-aaaaaaaa"}
    for name in (*stay, ".tmp-node-07-a-41-aaaaaaaa", ".tmp-other-1-bbbbbbbb"):
        (store.root / name).mkdir()
        (store.root / name / "summary.json").write_text("{}")
    os.utime(store.root / ".tmp-other-1-bbbbbbbb", (1e9, 1e9))
    store.prepare()
    assert sorted(asked) == [41, 42, 43] and set(temporary(store)) == stay


def test_temporary_names_are_those_that_prepare_looks_for(store, monkeypatch):
    seen, true = [], files.write
    monkeypatch.setattr(
        files, "write", lambda path, *of, **how: seen.append(path.parent.name) or true(path, *of, **how)
    )
    store.save(OTHER, "completed", HISTORY, {}, 1.0)
    assert re.fullmatch(rf"\.tmp-{re.escape(origin())}-{os.getpid()}-[0-9a-f]{{8}}", seen[0])


def test_what_could_not_be_saved_is_one_line_with_the_systems_word(store, monkeypatch):
    again = "fix the folder and run the same command again"
    (store.root / "sweeps").write_text("a file in the way")
    told = rf"figure_0@\w+\.json: the sweep is not listed \(File exists\); its runs are saved: {again}$"
    with pytest.raises(StoreError, match=told):
        store.save_sweep("figure_0", [RUN])
    with pytest.raises(StoreError, match=r"not saved \(Not a directory\)"):
        Store(store.root / "sweeps").save(OTHER, "completed", HISTORY, {}, 1.0)
    for error, word in ((FULL, "No space left on device"), (OSError("no number"), "no number")):
        monkeypatch.setattr(pd.DataFrame, "to_parquet", Mock(side_effect=error))
        with pytest.raises(StoreError) as caught:
            store.save(OTHER, "completed", HISTORY, {}, 1.0)
        assert str(caught.value) == (
            f"{store.root / OTHER.folder}: not saved ({word}); complete runs are untouched: {again}"
        )
    assert not (store.root / OTHER.folder).exists() and not temporary(store) and store.has(RUN)


@pytest.mark.parametrize("whole", [True, False])
def test_another_process_may_save_the_same_run_first(store, monkeypatch, whole):
    """Its run stays where it is whole; where it is not, that ours could not be put there is told."""
    target, rename = store.root / OTHER.folder, Path.rename

    def late(self, other):
        if Path(other) == target and not target.exists():
            monkeypatch.setattr(Path, "rename", rename)
            if whole:
                store.save(OTHER, "completed", HISTORY, {"first": True}, 1.0)
            else:
                target.mkdir()
                (target / "config.yaml").write_text("half")
        return rename(self, other)

    monkeypatch.setattr(Path, "rename", late)
    if whole:
        store.save(OTHER, "completed", HISTORY, {"first": False}, 1.0)
        assert store.load(OTHER.folder).summary["result"] == {"first": True}
    else:
        with pytest.raises(StoreError, match=r"not saved \(Directory not empty\)"):
            store.save(OTHER, "completed", HISTORY, {"first": False}, 1.0)
    assert not temporary(store)


@pytest.mark.parametrize(("status", "stays"), [("completed", False), ("diverged", False), ("failed", True)])
def test_the_checkpoint_goes_when_the_run_is_complete(store, status, stays):
    run = store.opened(OTHER)
    assert run.checkpoint == store.root / "checkpoints" / f"exp-{OTHER.id}.pt"
    assert (run.id, run.folder) == (OTHER.id, OTHER.folder)
    store.save(run, status, HISTORY, {}, 1.0)  # there was none yet
    assert store.load(run.folder).summary["status"] == status
    shutil.rmtree(store.root / run.folder)
    run.checkpoint.parent.mkdir()
    run.checkpoint.write_text("half way")
    store.save(run, status, HISTORY, {}, 1.0)
    assert run.checkpoint.exists() == stays
