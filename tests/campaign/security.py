"""Foreign files that would run code or write elsewhere, given to everything that reads files.

    python -m tests.campaign.security

Ruff sees to it that no call of ours runs what a file says (the rules S in pyproject.toml).
"""

import hashlib
import io
import os
import pickle
import tarfile
import tempfile
from pathlib import Path

import pandas as pd
import torch

from experiments.data import cifar100
from experiments.models import hub
from experiments.runs.checkpoint import Checkpoint
from experiments.runs.schema import ConfigError
from experiments.runs.store import Run, Store, StoreError


class Trap:
    """Unpickled, it leaves a file behind."""

    def __init__(self, mark):
        self.mark = str(mark)

    def __reduce__(self):
        return os.mkdir, (self.mark,)


def tampered(folder):
    """What came of each foreign file: it is refused, or read as nothing; the trap stays shut."""
    mark = folder / "sprung"
    trap = pickle.dumps({b"data": Trap(mark)})
    store = Store(folder / "runs")
    store.prepare()
    run = store.opened(Run("exp", "a", {"seed": 0}, "code", "data"))

    run.checkpoint.parent.mkdir()
    torch.save({"model": Trap(mark)}, run.checkpoint)
    assert Checkpoint(run).load() is None and not mark.exists()
    yield "a checkpoint with a pickled call"

    store.save(run, "completed", pd.DataFrame({"t": [1]}), {}, 0.0)
    (store.root / run.folder / "config.yaml").write_text(f"!!python/object/apply:os.mkdir ['{mark}']\n")
    _refused(StoreError, lambda: store.load(run.folder))
    assert not mark.exists()
    yield "a configuration with a Python tag"

    for name, content in {
        "a pickled call in the archive": [("cifar-100-python/train", trap)],
        "members above the archive": [("../../escaped", b"x"), ("cifar-100-python/../../escaped", b"x")],
        "an absolute member": [("/tmp/adaloss-escaped", b"x")],
        "a link out of the archive": [("cifar-100-python/train", None)],
    }.items():
        archive = folder / "cifar-100-python.tar.gz"
        with tarfile.open(archive, "w:gz") as tar:
            for member, data in content:
                info = tarfile.TarInfo(member)
                if data is None:
                    info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
                info.size = len(data or b"")
                tar.addfile(info, io.BytesIO(data or b""))
        md5 = hashlib.md5(archive.read_bytes(), usedforsecurity=False).hexdigest()
        before = set(folder.rglob("*"))
        _refused(ConfigError, lambda archive=archive, md5=md5: cifar100.read(archive, md5))
        assert not mark.exists() and set(folder.rglob("*")) == before
        assert not (folder.parent / "escaped").exists() and not Path("/tmp/adaloss-escaped").exists()
        yield name

    weights = folder / "model.safetensors"
    weights.write_bytes(trap)
    _refused(ConfigError, lambda: hub.read(weights))
    assert not mark.exists()
    yield "pickled weights under a safetensors name"


def _refused(error, work):
    try:
        work()
    except error as caught:
        assert "\n" not in str(caught)
    else:
        raise AssertionError("not refused")


def main():
    with tempfile.TemporaryDirectory() as folder:
        for what in tampered(Path(folder)):
            print(f"harmless: {what}")


if __name__ == "__main__":
    main()
