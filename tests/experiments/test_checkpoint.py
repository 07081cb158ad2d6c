import resource

import pandas as pd
import pytest
import torch

from experiments.runs.checkpoint import Checkpoint
from experiments.runs.store import Run, Store, StoreError


@pytest.fixture
def opened(tmp_path):
    store = Store(tmp_path)
    store.prepare()
    run = Run("lstm", "a", {"seed": 1}, "code", "data")
    assert store.opened(run).id == run.id  # where the checkpoint lies is no part of a run's identity
    return store, store.opened(run)


STATE = {"model": {"w": torch.arange(3.0)}, "rows": [[1, 0.5]], "generator": torch.get_rng_state(), "t": 7}


def test_what_was_kept_comes_back(opened):
    _, run = opened
    assert Checkpoint(run).load() is None
    Checkpoint(run, every=0.0).keep(lambda: STATE)
    found = Checkpoint(run).load()
    assert torch.equal(found["model"]["w"], STATE["model"]["w"]) and torch.equal(found["generator"], STATE["generator"])
    assert (found["rows"], found["t"]) == (STATE["rows"], 7)


def test_it_is_kept_no_more_often_than_asked(opened):
    _, run = opened
    often, seldom, calls = Checkpoint(run, every=0.0), Checkpoint(run, every=3600.0), []
    for checkpoint in (often, often, seldom, seldom):
        checkpoint.keep(lambda: calls.append(1) or STATE)
    assert len(calls) == 2


def test_without_a_store_nothing_is_kept():
    checkpoint = Checkpoint(Run("lstm", "a", {}, "code", "data"), every=0.0)
    checkpoint.keep(lambda: pytest.fail("asked for the state"))
    assert checkpoint.load() is None


@pytest.mark.parametrize("spoilt", [b"", b"PK\x03\x04 half a file", b"\x80\x02cos\nsystem\n(S'true'\ntR."])
def test_a_spoilt_checkpoint_is_no_checkpoint(opened, spoilt):
    _, run = opened
    Checkpoint(run, every=0.0).keep(lambda: STATE)
    run.checkpoint.write_bytes(spoilt)
    assert Checkpoint(run).load() is None


def test_a_full_disk_is_one_line_and_leaves_the_last_checkpoint(opened):
    _, run = opened
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


def test_the_checkpoint_goes_when_the_run_is_saved_and_stays_when_it_failed(opened):
    store, run = opened
    Checkpoint(run, every=0.0).keep(lambda: STATE)
    store.save_failure(run, "broke")
    assert run.checkpoint.exists()
    store.save(run, "completed", pd.DataFrame({"t": [1]}), {}, 0.0)
    assert not run.checkpoint.exists() and store.has(run)
