"""Checkpoints: kept no more often than asked, read as they were, never half written; damaged ones: test_damage.py."""

import resource

import pytest
import torch

from experiments.runs.checkpoint import Checkpoint
from experiments.runs.store import Run, Store, StoreError

STATE = {"model": {"w": torch.arange(3.0)}, "rows": [[1, 0.5]], "generator": torch.get_rng_state(), "t": 7}
RUN = Run("lstm", "a", {"seed": 1}, "code", "data")


def test_what_was_kept_comes_back(tmp_path):
    run = Store(tmp_path).opened(RUN)
    assert Checkpoint(run).load() is None
    Checkpoint(run, every=0.0).keep(lambda: STATE)
    found = Checkpoint(run).load()
    assert torch.equal(found["model"]["w"], STATE["model"]["w"]) and torch.equal(found["generator"], STATE["generator"])
    assert (found["rows"], found["t"]) == (STATE["rows"], 7)


def test_it_is_kept_no_more_often_than_asked(tmp_path):
    run, calls = Store(tmp_path).opened(RUN), []
    often, seldom, nowhere = Checkpoint(run, every=0.0), Checkpoint(run, every=3600.0), Checkpoint(RUN, every=0.0)
    for checkpoint in (often, often, seldom, seldom, nowhere):
        checkpoint.keep(lambda: calls.append(1) or STATE)
    assert len(calls) == 2 and nowhere.load() is None


def test_a_full_disk_is_one_line_and_leaves_the_last_checkpoint(tmp_path):
    run = Store(tmp_path).opened(RUN)
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
