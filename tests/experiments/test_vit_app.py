"""Fine-tuning as a user starts it: pretraining found again, kills, several processes, the paper's path cut to size."""

import hashlib
import json
import os
import re
import socket
import subprocess
import sys
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file

from experiments import distributed
from experiments.methods import SGD_FAMILY
from experiments.models.vit import VisionTransformer
from experiments.vit.experiment import Vit
from tests.experiments.launch import ROOT, Fork, content, finish, made, option
from tests.experiments.launch import launch as launch_experiment
from tests.experiments.test_cifar import members, parts, write

MODEL = {"width": 16, "depth": 1, "heads": 2}
SHORT = (
    "data.test=1600",
    "weights.share=0.5",
    "weights.epochs=2",
    "epochs=6",
    "batch=8",
    *(f"model.{name}={value}" for name, value in MODEL.items()),
)
WITHOUT_PRETRAINING = tuple(word for word in SHORT if not word.startswith("weights"))

launch = partial(launch_experiment, experiment="vit")


def fork_two(*args):
    """The same on two processes that train one model together, as torchrun starts them: what the first one says."""
    with socket.create_server(("localhost", 0)) as free:
        port = free.getsockname()[1]

    entered = []

    def joined(rank):
        words = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "MASTER_ADDR": "localhost", "MASTER_PORT": port}
        os.environ.update({name: str(value) for name, value in words.items()})
        warnings.filterwarnings("ignore", "Grad strides", UserWarning)  # torch's, an error to pytest alone
        until_the_end = distributed.process_group()
        until_the_end.__enter__()
        entered.append(until_the_end)

    both = [Fork("vit", args, partial(joined, rank)) for rank in range(2)]
    first, second = (finish(process, timeout=120) for process in both)
    assert second[:2] == (0, ""), second
    return subprocess.CompletedProcess(args, *first)


def torchrun(*args):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["-m", "experiments.vit", *map(str, args)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)


def histories(root):
    return {folder.name: pd.read_parquet(folder / "history.parquet") for folder in Path(root, "vit").glob("*")}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Two values of b0, two seeds, one pretraining."""
    root = tmp_path_factory.mktemp("undisturbed")
    assert made(launch(*SHORT, "b0=[0.1,1]", "seed=[0,1]", f"runs={root}")) == 4
    return root


def test_one_run_for_each_cell_and_one_pretraining_for_all(undisturbed):
    runs = content(undisturbed, "vit")
    cells = sorted((config["b0"], config["seed"]) for config, *_ in runs.values())
    assert cells == [(0.1, 0), (0.1, 1), (1, 0), (1, 1)]
    [(config, _, status, result)] = content(undisturbed, "vit_pretrain").values()
    assert status == "completed" and config["weights"]["name"] == "labels" and 0 < result["test_accuracy"] < 1
    [pretraining] = Path(undisturbed, "vit_pretrain").glob("*/summary.json")
    checksum = json.loads(pretraining.read_text())["history_sha256"]
    for config, _, status, result in runs.values():
        assert status == "completed" and result["weights_sha256"] == checksum
        assert config["weight_decay"] == {"value": 1e-4, "by": "eta"} and config["method"]["name"] == "adaloss"
    for name, history in histories(undisturbed).items():
        result = runs[f"vit/{name}"][3]
        ends, steps = history.dropna(), len(history) // 6
        assert 10 <= steps <= 12 and list(history["iteration"]) == list(range(1, 6 * steps + 1))
        assert list(ends["iteration"]) == [steps * k for k in range(1, 7)]
        best = ends.loc[ends["validation_accuracy"].idxmax()]
        assert (best["epoch"], best["test_accuracy"]) == (result["best_epoch"], result["test_accuracy"])
        assert (history["step"].diff()[1:] < 0).all() and history["loss"].notna().all()
    assert not list(Path(undisturbed, "checkpoints").glob("*"))


def test_two_jobs_at_once_on_an_empty_store(undisturbed, tmp_path):
    both = [Fork("vit", (*SHORT, "b0=0.1", "seed=[0,1]", f"runs={tmp_path}")) for _ in range(2)]
    for process in both:
        code, _, errors = finish(process, timeout=120)
        assert (code, errors) == (0, "")
    found = content(tmp_path, "vit")
    assert found.items() <= content(undisturbed, "vit").items() and len(found) == 2
    assert content(tmp_path, "vit_pretrain") == content(undisturbed, "vit_pretrain")
    assert not [*tmp_path.glob(".tmp-*"), *tmp_path.glob("checkpoints/*")]


def random_weights(path, **model):
    torch.manual_seed(0)
    save_file(VisionTransformer(**model, classes=7).state_dict(), path)
    return path


@pytest.mark.parametrize(("method", "b0"), [("adaloss", [0.1, 1]), ("adagrad_norm_rowwise", [1])])
def test_two_processes_train_what_one_does(method, b0, tmp_path):
    weights = random_weights(tmp_path / "w.safetensors", size=8, patch=4, channels=1, **MODEL)
    # 9 images of a minibatch and 6 of the last: with 9 the processes' parts differ
    short = [word for word in WITHOUT_PRETRAINING if not word.startswith("batch")]
    arguments = (*short, "weights=file", f"weights.path={weights}", f"method={method}", f"b0={b0}", "batch=9")
    one = launch(*arguments, f"runs={tmp_path / 'one'}")
    two = fork_two(*arguments, f"runs={tmp_path / 'two'}")
    assert made(one) == made(two) == len(b0)  # and not twice as many: the second process is silent and saves nothing
    assert content(tmp_path / "one", "vit").keys() == content(tmp_path / "two", "vit").keys()
    for name, alone in histories(tmp_path / "one").items():
        shared = histories(tmp_path / "two")[name]
        pd.testing.assert_frame_equal(shared, alone, check_exact=False, rtol=1e-6, atol=1e-6)
    assert [result["processes"] for *_, result in content(tmp_path / "two", "vit").values()] == len(b0) * [2]


def test_two_processes_find_what_is_complete(undisturbed):
    assert made(torchrun(*SHORT, "b0=1", "seed=[0,1]", f"runs={undisturbed}")) == 0


def test_two_processes_pretrain_what_one_does(undisturbed, tmp_path):
    assert made(fork_two(*SHORT, "b0=0.1", f"runs={tmp_path}")) == 1
    ours, theirs = (
        pd.read_parquet(next(root.glob("vit_pretrain/*/history.parquet"))) for root in (tmp_path, undisturbed)
    )
    pd.testing.assert_frame_equal(ours, theirs, check_exact=False, rtol=0, atol=1e-3)  # Adam divides by small numbers
    assert not ours["weight"].equals(theirs["weight"])  # the sums are taken in another order


def test_the_papers_scale_cut_to_two_steps(tmp_path):
    archive = tmp_path / "cifar-100-python.tar.gz"  # four images to train on, of two classes, and two to test
    md5 = write(archive, members(*parts(train=np.array([5, 5, 99, 99]), test=np.array([5, 99]))))
    model = {"patch": 4, "width": 8, "depth": 1, "heads": 2}
    weights = random_weights(tmp_path / "w.safetensors", size=8, channels=3, **model)
    words = (
        "sweep=table_1", "scale=paper", f"data.md5={md5}", "data.validation=0.5", "data.resize=10", "data.crop=8",
        "weights=file", f"weights.path={weights}", *(f"model.{name}={value}" for name, value in model.items()),
        "batch=1", "epochs=1", "seed=0", "b0=0.1", f"runs={tmp_path / 'runs'}",
    )  # fmt: skip
    assert made(launch(*words, f"data.path={archive}")) == 5  # one of each method
    for config, _, status, found in content(tmp_path / "runs", "vit").values():
        assert config["precision"] == "bfloat16" and "path" not in config["data"] and "path" not in config["weights"]
        assert status == "completed" and found["classes"] == 100
    for history in histories(tmp_path / "runs").values():
        assert len(history) == 2 and history["loss"].between(4, 5.5).all()  # log 100 = 4.6
    archive.rename(tmp_path / "moved.tar.gz")  # the same file elsewhere: the same runs
    assert "nothing to train" in launch(*words, f"data.path={tmp_path / 'moved.tar.gz'}").stdout


def test_what_is_not_there_or_fits_not_is_one_line_and_makes_nothing(tmp_path):
    weights = random_weights(tmp_path / "w.safetensors", size=8, patch=4, channels=1, **MODEL)
    absent = "data.path=/nowhere: cannot be read (No such file or directory); docs/paper_scale.md says where it is\n"
    for words, line in (
        (("scale=paper", "data.path=/nowhere", f"weights.revision={40 * 'a'}"), absent),
        (("sweep=table_2", "scale=paper", "data.path=/nowhere", "weights=file", f"weights.path={weights}"), absent),
        (("weights=file", f"weights.path={weights}"), f"{weights}: not this model's weights ("),
    ):
        result = launch(*words, f"runs={tmp_path / 'runs'}")
        assert (result.returncode, result.stdout) == (2, "") and result.stderr.startswith(f"error: {line}")
        assert result.stderr.count("\n") == 1 and not content(tmp_path / "runs", "vit")


def test_weights_that_change_before_they_are_used_make_no_run(tmp_path):
    """The runs are of the file as it was; the same command then makes those of the file as it is."""
    weights = random_weights(tmp_path / "w.safetensors", size=8, patch=4, channels=1, **MODEL)
    before = hashlib.sha256(weights.read_bytes()).hexdigest()

    def swapped():
        whole = Vit.prepare

        def prepare(*args):
            state = load_file(weights)
            save_file(state | {"norm.weight": 5 * state["norm.weight"]}, weights)
            whole(*args)

        Vit.prepare = prepare

    words = (*WITHOUT_PRETRAINING, "weights=file", f"weights.path={weights}", "b0=1", f"runs={tmp_path / 'runs'}")
    result = launch(*words, prepare=swapped)
    after = hashlib.sha256(weights.read_bytes()).hexdigest()
    assert result.returncode == 2 and not content(tmp_path / "runs", "vit")
    assert result.stderr == (
        f"error: weights.path={weights}: has the sha256 {after}, not that of the run ({before}): "
        "it was changed meanwhile; run the same command again\n"
    )
    assert made(launch(*words)) == 1
    [(*_, found)] = content(tmp_path / "runs", "vit").values()
    assert found["weights_sha256"] == after


def test_weights_of_the_hub_come_from_a_cache_that_is_whole(tmp_path):
    weights = random_weights(tmp_path / "w.safetensors", size=8, patch=4, channels=1, **MODEL)
    blob = tmp_path / "models--me--tiny/blobs" / hashlib.sha256(weights.read_bytes()).hexdigest()
    file = blob.parents[1] / f"snapshots/{40 * 'a'}/model.safetensors"
    blob.parent.mkdir(parents=True), file.parent.mkdir(parents=True)
    weights.rename(blob)
    file.symlink_to(blob)

    def run(b0):
        of_hub = ("weights=hub", "weights.repo=me/tiny", f"weights.revision={40 * 'a'}")
        cache = partial(setattr, constants, "HF_HUB_CACHE", str(tmp_path))
        return launch(*WITHOUT_PRETRAINING, *of_hub, f"b0={b0}", f"runs={tmp_path / 'runs'}", prepare=cache)

    assert made(run(1)) == 1
    blob.write_bytes(blob.read_bytes()[:-1] + b"?")
    result = run(2)
    assert result.returncode == 2 and result.stderr.startswith(f"error: {blob}: has the sha256 ")
    assert len(content(tmp_path / "runs", "vit")) == 1


def test_the_page_covers_every_method():
    page = (ROOT / "docs/paper_scale.md").read_text()
    assert {*re.findall(r"experiments\.vit .* method=(\w+)", page)} == SGD_FAMILY.keys()
    assert option("data", "cifar100")["md5"] in page
