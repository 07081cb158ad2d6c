import os
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.runs.provenance import origin
from experiments.runs.store import Run, Store, StoreError, verify

RUN = Run("exp", "adaloss_b0=1_seed=0", {"b0": 1.0, "method": {"name": "adaloss"}, "seed": 0}, "code", "data")
HISTORY = pd.DataFrame({"iteration": [1, 2, 3], "loss": [0.1 + 0.2, np.inf, 1e-300]})


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "runs")
    store.prepare()
    store.save(RUN, "completed", HISTORY, {"gap": 0.5}, 1.25)
    return store


def folder(store):
    return store.root / RUN.folder


def test_what_was_saved_is_read(store):
    saved = store.load(RUN.folder)
    pd.testing.assert_frame_equal(saved.history, HISTORY, check_exact=True)
    assert saved.config == RUN.config
    assert saved.id == RUN.id == saved.summary["id"]
    assert (saved.summary["status"], saved.summary["result"], saved.summary["wall_time_s"]) == (
        "completed",
        {"gap": 0.5},
        1.25,
    )
    assert saved.summary["versions"]["numpy"] == np.__version__
    assert saved.summary["peak_memory_mb"] > 10
    assert {file.name for file in folder(store).iterdir()} == {"config.yaml", "history.parquet", "summary.json"}


def test_identity_is_configuration_code_and_data(store):
    others = [
        replace(RUN, config=RUN.config | {"b0": 2.0}),
        replace(RUN, config=RUN.config | {"method": {"name": "adagrad_norm"}}),
        replace(RUN, code="other"),
        replace(RUN, data="other"),
        replace(RUN, experiment="other"),
    ]
    assert len({run.id for run in [RUN, *others]}) == 6
    assert not any(store.has(run) for run in others)
    assert replace(RUN, label="renamed").id == RUN.id
    assert replace(RUN, config=dict(reversed(RUN.config.items()))).id == RUN.id


@pytest.mark.parametrize("harm", ["config.yaml", "history.parquet", "summary.json"])
@pytest.mark.parametrize("how", ["cut", "flip", "remove"])
def test_a_corrupt_run_is_not_complete_and_is_made_again(store, harm, how):
    assert store.has(RUN)
    file = folder(store) / harm
    content = file.read_bytes()
    if how == "remove":
        file.unlink()
    else:
        file.write_bytes(content[:-20] if how == "cut" else content[:12] + bytes([content[12] ^ 1]) + content[13:])
    assert not store.has(RUN)
    store.save(RUN, "completed", HISTORY, {}, 1.0)
    assert store.has(RUN)
    pd.testing.assert_frame_equal(store.load(RUN.folder).history, HISTORY)
    assert not list(store.root.glob(".tmp-*"))


@pytest.mark.parametrize("name", ["config.yaml", "history.parquet", "summary.json"])
def test_a_change_of_any_byte_is_found(store, name):
    path = folder(store)
    assert verify(path) == []
    content = (path / name).read_bytes()
    for k in range(len(content)):
        (path / name).write_bytes(content[:k] + bytes([content[k] ^ 1]) + content[k + 1 :])
        assert verify(path) == [f"{path / name}: missing or not as it was saved; delete {path} and run the sweep again"]
    for other in (content + b"\n", content[:-1], b""):
        (path / name).write_bytes(other)
        assert len(verify(path)) == 1
        if name != "history.parquet":
            with pytest.raises(StoreError, match="run missing or unreadable; delete it and run the sweep again"):
                store.load(RUN.folder)
    (path / name).write_bytes(content)
    assert verify(path) == []


def test_what_verify_says_of_other_folders(store):
    path, failed = folder(store), replace(RUN, data="fails")
    store.save_failure(failed, "no luck")
    assert verify(store.root / failed.folder) == [
        f"{store.root / failed.folder}: failed, no result; run the sweep again"
    ]
    assert verify(path.with_name("gone")) == [f"{path.with_name('gone')}: run missing; run the sweep again"]
    # an honest run under the name of another: the checksums agree, the identity does not
    moved = path.rename(path.with_name(f"a-{failed.id}"))
    assert verify(moved) == [
        f"{moved}: the run in this folder is exp/...-{RUN.id}; delete {moved} and run the sweep again"
    ]


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


def test_runs_and_sweeps_are_found_and_deleted(store):
    other = replace(RUN, experiment="another")
    store.save(other, "completed", HISTORY, {}, 1.0)
    store.save_sweep("figure_0", [RUN])
    (store.root / "checkpoints").mkdir()
    (store.root / "checkpoints" / "folder").mkdir()
    assert store.folders() == [other.folder, RUN.folder]
    assert (store.sweeps(), store.listed("figure_0")) == (["figure_0"], [RUN.folder])
    store.delete(other.folder)
    assert store.folders() == [RUN.folder]
    assert not list(store.root.glob(".tmp-*"))
    with pytest.raises(StoreError, match=r"not deleted \(No such file or directory\)"):
        store.delete(other.folder)
    with pytest.raises(StoreError, match=r"no runs there \(No such file or directory\)"):
        Store(store.root / "nowhere").folders()


def test_reading_a_corrupt_run_says_what_to_do(store):
    history = folder(store) / "history.parquet"
    saved = store.load(RUN.folder)
    history.write_bytes(history.read_bytes()[:-1] + b"?")
    with pytest.raises(StoreError, match=r"history\.parquet: missing or not as it was saved; delete .* again"):
        _ = saved.history
    shutil.rmtree(folder(store))
    with pytest.raises(StoreError, match="missing or not as it was saved"):
        _ = saved.history
    with pytest.raises(StoreError, match="run missing or unreadable; delete it and run the sweep again"):
        store.load(RUN.folder)


def test_a_complete_run_is_never_replaced(store):
    before = {file.name: file.read_bytes() for file in folder(store).iterdir()}
    store.save(RUN, "completed", HISTORY * 2, {"gap": 9.0}, 9.0)
    assert {file.name: file.read_bytes() for file in folder(store).iterdir()} == before
    assert not list(store.root.glob(".tmp-*"))


def test_a_failed_run_is_no_result_and_is_repeated(store):
    run = replace(RUN, data="fails")
    store.save_failure(run, "Traceback: no luck")
    assert not store.has(run)
    assert "no luck" in (store.root / run.folder / "summary.json").read_text()
    store.save(run, "diverged", HISTORY, {}, 1.0)
    assert store.has(run)


def test_a_full_disk_leaves_nothing_half_written(store, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    other = replace(RUN, data="other")
    monkeypatch.setattr(pd.DataFrame, "to_parquet", full)
    with pytest.raises(StoreError, match=r"not saved \(No space left on device\); complete runs are untouched"):
        store.save(other, "completed", HISTORY, {}, 1.0)
    assert not (store.root / other.folder).exists()
    assert not list(store.root.glob(".tmp-*"))
    assert store.has(RUN)


def test_leftovers_of_dead_processes_go_and_those_of_living_ones_stay(store):
    dead = store.root / f".tmp-{origin()}-{2**22 + 1}-aaaaaaaa"  # beyond the greatest process id
    alive = store.root / f".tmp-{origin()}-{os.getppid()}-bbbbbbbb"
    elsewhere = store.root / ".tmp-otherhost-1-cccccccc"
    for left in (dead, alive, elsewhere):
        left.mkdir()
        (left / "summary.json").write_text("{}")
    store.prepare()
    assert (dead.exists(), alive.exists(), elsewhere.exists()) == (False, True, True)


def test_a_list_that_cannot_be_written_is_one_line(store):
    (store.root / "sweeps").write_text("a file in the way")
    with pytest.raises(
        StoreError, match=r"figure_0@\w+\.json: the sweep is not listed \(File exists\); its runs are saved"
    ):
        store.save_sweep("figure_0", [RUN])


def test_sweeps_are_listed_in_order_and_missing_ones_named(store):
    other = replace(RUN, label="a", data="other")
    store.save(other, "completed", HISTORY, {}, 1.0)
    store.save_sweep("figure_0", [other, RUN])
    assert [run.id for run in store.load_sweep("figure_0")] == [other.id, RUN.id]
    with pytest.raises(StoreError, match="the sweep 'figure_9' has not been finished; run it with sweep=figure_9"):
        store.load_sweep("figure_9")
    shutil.rmtree(folder(store))
    with pytest.raises(StoreError, match="run missing or unreadable"):
        store.load_sweep("figure_0")
