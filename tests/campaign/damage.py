"""Stores, checkpoints, archives and data files that go bad: never a wrong number, a traceback or a wait.

    python -m tests.campaign.damage

Ten thousand mutations from seeds, a fifth of each kind; tests/experiments/test_damage.py does 200 of them.
"""

import csv
import gzip
import hashlib
import io
import json
import pickle
import random
import sys
import tarfile
import tempfile
import time
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save

from experiments.data import cifar, cifar100, news
from experiments.models import hub
from experiments.runs import __main__ as script
from experiments.runs.checkpoint import Checkpoint
from experiments.runs.schema import ConfigError
from experiments.runs.store import Run, Store, StoreError

CONFIG = {"status": "mine", "data": {"name": "x"}}
RUNS = [Run("exp", f"b0={b0:g}", {"b0": b0, **CONFIG}, "code", "data") for b0 in (1.0, 2.0)]
HISTORY = pd.DataFrame({"iteration": [1, 2, 3], "loss": [0.5, 0.25, 0.125]})
WAYS = dict.fromkeys(("zero", "cut", "empty", "text", "twice"), 1)
WAYS |= dict.fromkeys(("flip", "insert", "noise", "remove", "move"), 4)
IMAGE = np.random.default_rng(0).integers(0, 256, size=(1, 3072), dtype=np.uint8)
ARTICLES = [["title", "text", "label"], ['a "b"', "c\nd, é", "1"], ["e", "f", "0"]]
WEIGHTS = {"w": torch.arange(200.0).reshape(50, 4), "b": torch.ones(2)}
TIMES = 2000


def filled(root, runs=RUNS):
    """A store with two runs and a list of them."""
    store = Store(root)
    store.prepare()
    for run in runs:
        store.save(run, "completed", HISTORY, {"gap": 0.5}, 1.25)
    store.save_sweep("mine", runs)
    return store


def answer(store, *words):
    """What experiments.runs says and how it ends, in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["runs", *words, "--runs", str(store.root)])
        try:
            return script._plain(script._answer(script._arguments())), 0
        except (script.ArgumentError, StoreError) as error:
            return script._plain(str(error)), 1


@contextmanager
def soon():
    """What is done within it takes less than ten seconds."""
    start = time.perf_counter()
    yield
    assert time.perf_counter() - start < 10


def spoilt(content, draw):
    """The content after one to three things have happened to it."""
    content = bytearray(content)
    for _ in range(draw.choice([1, 1, 1, 2, 3])):
        at, other, length = draw.randrange(len(content) + 1), draw.randrange(len(content) + 1), draw.randint(1, 20)
        match draw.choices(list(WAYS), list(WAYS.values()))[0]:
            case "flip":
                content[at : at + 1] = bytes(byte ^ (1 << draw.randrange(8)) for byte in content[at : at + 1])
            case "zero":
                content[at : at + 512] = bytes(len(content[at : at + 512]))
            case "cut":
                del content[at:]
            case "empty":
                content.clear()
            case "text":
                content[:] = b'{"a": [1, null]}'
            case "twice":
                content *= 2
            case "insert":
                content[at:at] = draw.randbytes(length)
            case "noise":
                content[at : at + length] = draw.randbytes(length)
            case "remove":
                del content[at : at + length]
            case "move":
                content[other : other + length] = content[at : at + length]
    return bytes(content)


def spoil(path, content, draw):
    """A file whose content goes bad, or in whose place there is nothing or a folder."""
    if path.is_dir():
        path.rmdir()
    path.unlink(missing_ok=True)
    match draw.randrange(10):
        case 0:
            path.mkdir()
        case 1:
            pass
        case _:
            path.write_bytes(spoilt(content, draw))


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
            spoil(file, whole[file], draw)
        with soon():
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
    """Spoil a checkpoint: it is none and a line says so, or it is the one that was kept."""
    run = Store(folder).opened(RUNS[0])
    Checkpoint(run, every=0.0).keep(lambda: {"w": torch.arange(1000.0), "t": 7, "name": "x"})
    whole = run.checkpoint.read_bytes()
    for _ in range(times):
        spoil(run.checkpoint, whole, draw)
        same = run.checkpoint.is_file() and run.checkpoint.read_bytes() == whole
        told = f"note: {run.checkpoint}: not as it was saved; the run starts again\n"
        with redirect_stderr(io.StringIO()) as said, soon():
            found = Checkpoint(run).load()
        assert (found is not None) == same
        assert said.getvalue() == ("" if same or not run.checkpoint.exists() else told)
    if run.checkpoint.is_dir():
        run.checkpoint.rmdir()
    run.checkpoint.write_bytes(whole)
    assert torch.equal(Checkpoint(run).load()["w"], torch.arange(1000.0))


def mutate_archive(folder, times, draw):
    """Spoil an archive of images, before it is packed, in it, after: read as what it should be, or refused.

    Under the checksum that the archive had it is refused.
    """
    batch = pickle.dumps({b"fine_labels": [7], b"data": IMAGE}, protocol=2)

    def tarred(train):
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as tar:
            for name, content in (("train", train), ("test", batch)):
                info = tarfile.TarInfo(f"cifar-100-python/{name}")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
        return packed.getvalue()

    def zipped(content):
        return gzip.compress(content, compresslevel=1, mtime=0)

    whole, file, read = tarred(batch), folder / "archive.tar.gz", 0
    for k in range(times):
        if k % 3 == 0:  # the pickle's operations
            file.write_bytes(zipped(tarred(spoilt(batch[:500], draw) + batch[500:])))
        elif k % 3 == 1:  # the archive's first header
            file.write_bytes(zipped(spoilt(whole[:600], draw) + whole[600:]))
        else:
            spoil(file, zipped(whole), draw)
        content = file.read_bytes() if file.is_file() else b""
        parts = accepted(lambda content=content: cifar.read(cifar100.FORM, file, hashlib.md5(content).hexdigest()))
        read += parts is not None
        for x, y in parts or ():
            assert x.dtype == np.uint8 and x.shape == (len(y), 3, 32, 32) and ((y >= 0) & (y < 100)).all()
        if content != zipped(whole):
            assert accepted(lambda: cifar.read(cifar100.FORM, file, hashlib.md5(zipped(whole)).hexdigest())) is None
        if file.is_dir():
            file.rmdir()
    assert 0 < read < times / 2


def mutate_news(folder, times, draw):
    """Spoil a table of articles: refused, or all of its cells are text."""
    table, file, read = io.StringIO(), folder / "news.csv", 0
    csv.writer(table, quoting=csv.QUOTE_ALL).writerows(ARTICLES)
    for _ in range(times):
        spoil(file, table.getvalue().encode(), draw)
        tables = accepted(lambda: news.read(file))
        read += tables is not None
        for found in (tables or {}).values():
            assert list(found.columns) == ["title", "text"]
            assert all(type(cell) is str for row in found.values for cell in row)
    assert 0 < read < times / 2


def mutate_weights(folder, times, draw):
    """Spoil a file of weights: refused, or the tensors are what its header says of its bytes."""
    file, read = folder / "model.safetensors", 0
    for _ in range(times):
        spoil(file, save(WEIGHTS), draw)
        tensors, checksum = accepted(lambda: hub.read(file)) or ({}, "")
        if tensors:
            read += 1
            content = file.read_bytes()
            start = 8 + int.from_bytes(content[:8], "little")
            header = json.loads(content[8:start])
            assert checksum == hashlib.sha256(content).hexdigest()
            assert tensors.keys() == header.keys() - {"__metadata__"}
            for name, value in tensors.items():
                first, last = header[name]["data_offsets"]
                assert list(value.shape) == header[name]["shape"]
                assert value.numpy().tobytes() == content[start + first : start + last]
    assert 0 < read < times / 2


def accepted(read):
    """What is read, None where it is refused in one line."""
    with redirect_stdout(io.StringIO()), soon():
        try:
            return read()
        except ConfigError as error:
            assert "\n" not in str(error) and len(str(error)) < 500
            return None


KINDS = (mutate_store, mutate_checkpoint, mutate_archive, mutate_news, mutate_weights)


def main() -> None:
    """Each kind TIMES times, from seeds."""
    for mutate in KINDS:
        start = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            mutate(Path(folder), TIMES, random.Random(0))
        print(f"{mutate.__name__}: {TIMES} mutations in {time.perf_counter() - start:.0f} s, none of them did harm")


if __name__ == "__main__":
    main()
