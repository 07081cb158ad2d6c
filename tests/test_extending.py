"""docs/extending.md, followed in a copy of the project: what comes out is what a plain loop computes."""

import re
import shlex
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from experiments.runs.store import Store
from tests.pages import ROOT, blocks

PAGE = "docs/extending.md"
N, D, DF = 500, 20, 3.0  # of the page's problem


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    """The copy, with every block in its place and every command run, in the page's order."""
    copy = tmp_path_factory.mktemp("extending")
    files = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", ":!figures", ":!tests"]
    for name in subprocess.run(files, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0"):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
    for language, text in blocks(PAGE):
        if language == "sh":
            for command in text.splitlines():
                python, *words = shlex.split(command)
                assert python == "python"
                done = subprocess.run([sys.executable, *words], cwd=copy, capture_output=True, text=True, check=False)
                assert (done.returncode, done.stderr) == (0, ""), command
            continue
        place, _, code = text.partition("\n")
        name, *end = place.removeprefix("# ").split(", ")
        file = copy / name
        if language == "diff":
            before, after = re.fullmatch(r"-(.*\n)\+(.*\n)", code).groups()
            content = file.read_text()
            assert content.count(before) == 1, before
            file.write_text(content.replace(before, after))
        elif end:
            assert end == ["at the end"]
            file.write_text(f"{file.read_text()}\n\n{code}")
        else:
            assert not file.exists(), file
            file.write_text(code)
    return copy


def student(seed):
    rng = np.random.default_rng([seed, 0])
    return rng.standard_t(DF, size=(N, D)), rng.normal(size=D)


def plain_loop(seed, b0, p, batch, iterations):
    """The losses, in w and y, with b kept as its power."""
    x, w_star = student(seed)
    y, w, power = x @ w_star, np.zeros(D), b0**p
    rows = np.random.default_rng([seed, 1]).integers(N, size=(iterations, batch)) if batch else [range(N)] * iterations
    losses = []
    for chosen in rows:
        residual = x[chosen] @ w - y[chosen]
        scale = 1 / batch if batch else 1.0
        losses.append(0.5 * scale * residual @ residual)
        power += losses[-1] ** (p / 2)
        w = w - power ** (-1 / p) * scale * (x[chosen].T @ residual)
    return np.array(losses)


def test_the_method_in_figure_1_and_in_table_1s_experiment(followed):
    drawn = pd.read_csv(followed / "figures/smoke/power/figure_1_unit.csv", comment="#")
    assert set(drawn.method) == {"adaloss", "adaloss_power", "adagrad_norm", "sgd_constant", "sgd_decay_sqrt"}
    runs = {run.config["b0"]: run for run in Store(followed / "runs/smoke").load_sweep("power")
            if run.config["method"]["name"] == "adaloss_power"}  # fmt: skip
    for row in drawn[(drawn.method == "adaloss_power") & (drawn.window == "[101, 200]")].itertuples():
        history = runs[row.b0].history
        assert row.loss == pytest.approx(history.loss[history.iteration.between(101, 200)].mean(), rel=1e-12)
    [run] = [run for run in map(Store(followed / "runs/smoke").load, Store(followed / "runs/smoke").folders())
             if "vit/adaloss_power" in str(run.path)]  # fmt: skip
    assert run.summary["status"] == "completed" and run.config["method"] == {"name": "adaloss_power", "p": 4.0}


def test_the_method_in_the_picture_of_a_sweep(followed):
    """Its colour and its marker's place: the loss at the end over b0, the median of the runs."""
    drawn = pd.read_csv(followed / "figures/smoke/plots/mine.csv", comment="#")
    runs = Store(followed / "runs/smoke").load_sweep("mine")
    ends = [(run.config["method"]["name"], run.config["b0"], run.history.loss.iloc[-1]) for run in runs]
    medians = pd.DataFrame(ends, columns=["method", "b0", "loss"]).groupby(["method", "b0"]).loss.median()
    assert medians.to_dict() == drawn.set_index(["method", "b0"]).loss.to_dict() and len(medians) == 2 * 3
    picture = np.asarray(Image.open(followed / "figures/smoke/plots/mine.png").convert("RGB"))
    assert (picture == 0x7F).all(axis=2).sum() > 50  # the colour of the method's entry


def test_the_sweep_and_the_figure(followed):
    assert len(Store(followed / "runs/smoke").load_sweep("figure_power")) == 3 * 3 * 3
    drawn = pd.read_csv(followed / "figures/smoke/figure_power.csv", comment="#")
    files = [file.suffix for file in (followed / "figures/smoke").iterdir() if file.is_file()]
    assert set(files) == {".png", ".pdf", ".csv"}
    for (b0, p), curve in drawn.groupby(["b0", "p"]):
        losses = np.median([plain_loop(seed, b0, p, 20, 1000) for seed in (0, 1, 2)], axis=0)[curve.iteration - 1]
        # the loop knows y - Xw to eps times |y| only, the engine the error itself: compare where that is no part of it
        known = losses > 1e-9 * losses[0]
        assert known.sum() > 10
        np.testing.assert_allclose(curve.loss[known], losses[known], rtol=1e-9)
    last = drawn[drawn.iteration == 1000].pivot(index="b0", columns="p", values="loss")
    message = pd.read_csv(followed / "figures/smoke/figure_power_messages.csv", comment="#").iloc[0]
    assert message.holds == (last[4] < last[[1, 2]].min(axis=1)).all()
