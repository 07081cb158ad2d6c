"""Tables 1 and 2 at the paper's scale without downloads: the commands of docs/paper_scale.md, killed and continued.

    python -m tests.campaign.paper_scale [images of a class]

An archive in CIFAR-100's form and random weights with timm's names stand in for what is downloaded. Networks, images of
224 pixels, augmentation and files are those of the paper's scale; fewer are the images (64 of each of two classes, half
of them to test on), epochs, methods, b0 and seeds, and minibatches and precision are a CPU's. Each command is killed
twice while it trains, as soon as there is a new checkpoint; what it then makes has to be, bit for bit, what it makes
undisturbed. Each table is filled by the command that its training names.
"""

import re
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from experiments.models.resnet import ResNet
from experiments.models.vit import VisionTransformer
from tests.campaign.cases import ENVIRONMENT, leftovers
from tests.experiments.launch import ROOT, content
from tests.experiments.test_cifar import members, parts, write

NETWORKS = {
    "table_1": lambda: VisionTransformer(size=224, patch=16, channels=3, width=384, depth=12, heads=6, classes=1000),
    "table_2": lambda: ResNet((3, 4, 6, 3), channels=3, classes=1000),
}
KILLS, CLASSES = 2, (3, 98)
REDUCED = ("seed=20", "b0=[0.1,10]", "method=adaloss,adagrad_norm_rowwise", "epochs=1", "batch=16", "precision=float32")


def archive(path, images):
    """Write so many images of each of two classes, dark and bright ones; return the md5."""
    made = parts(train=np.repeat(CLASSES, images - images // 2), test=np.repeat(CLASSES, images // 2))
    for part in made:
        bright = np.array(part["fine_labels"]) == max(CLASSES)
        part["data"] = part["data"] // 2 + (128 * bright[:, None]).astype(np.uint8)
    return write(path, members(*made))


def weights(path, table):
    torch.manual_seed(0)
    save_file(NETWORKS[table]().state_dict(), path)


def checkpoints(runs):
    return {file.name: file.stat().st_mtime_ns for file in runs.glob("checkpoints/*.pt")}


def killed(command, runs):
    """Start the command, and kill it when it has saved another checkpoint."""
    before = checkpoints(runs)
    process = subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.DEVNULL)
    while not checkpoints(runs).items() - before.items():
        assert process.poll() is None, "it ended without another checkpoint"
        time.sleep(0.05)
    process.kill()
    process.wait()


def finished(command):
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, check=True, capture_output=True, text=True)
    assert not done.stderr, done.stderr  # no checkpoint was dropped
    return done.stdout


def rehearsed(table, folder, images=64):
    """Fill the table undisturbed and after kills: the minutes that both took, and the table."""
    path, took = folder / "cifar-100-python.tar.gz", []
    md5 = archive(path, images)
    weights(folder / "model.safetensors", table)
    for name, kills in (("undisturbed", 0), ("killed", KILLS)):
        runs, start = folder / name, time.perf_counter()
        command = [
            sys.executable, "-m", "experiments.vit", f"sweep={table}", "scale=paper", f"data.path={path}",
            f"data.md5={md5}", "weights=file", f"weights.path={folder / 'model.safetensors'}", *REDUCED, f"runs={runs}",
        ]  # fmt: skip
        for _ in range(kills):
            killed(command, runs)
        drawing = re.search("python -m (.*) draws it", finished(command))[1]
        took.append((time.perf_counter() - start) / 60)
        assert not leftovers(runs), leftovers(runs)
    assert content(folder / "killed") == content(folder / "undisturbed"), table
    finished([sys.executable, "-m", *shlex.split(drawing), "--figures", str(folder)])
    return took, next(folder.glob(f"{table}-*/{table}.md")).read_text()


def main(*images):
    for table in NETWORKS:
        with tempfile.TemporaryDirectory() as folder:
            took, page = rehearsed(table, Path(folder), *images)
        print(
            f"{table}: {took[0]:.1f} minutes undisturbed, {took[1]:.1f} killed {KILLS} times: the same bits\n\n{page}"
        )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
