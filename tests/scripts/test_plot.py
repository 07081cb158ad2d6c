"""scripts.plot: what is drawn of any runs is their median, and what cannot be one curve is refused."""

import shutil
import sys

import numpy as np
import pandas as pd
import pytest

from experiments.runs.store import Run, Store
from scripts import plot
from scripts.report.sweeps import own
from tests.scripts.synthetic import check, refusal, saved, start

B0, SIZES = (0.01, 1.0, 100.0), (20, 50)
LOSS = {"adaloss": 1.0, "of_mine": 3.0}  # the second is no method of the project: it is drawn all the same
ITERATION = np.array([1, 10, 100])


def loss_of(method, n, b0, seed):
    """At each iteration; two of four seeds diverge from the smallest b0 of the second method."""
    lost = (method, b0) == ("of_mine", 0.01) and seed > 1
    return np.where(lost & (ITERATION > 1), np.inf, (seed + 1) * LOSS[method] * n * b0 / ITERATION)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("plot")
    cells = [
        (
            {"method": {"name": method}, "data": {"name": "gaussian", "n": n}, "b0": b0, "seed": seed},
            {"iteration": ITERATION, "loss": loss_of(method, n, b0, seed)},
            {"final": seed * b0},
        )
        for method in LOSS
        for n in SIZES
        for b0 in B0
        for seed in range(4)
    ]
    saved(root / "runs", "mine", cells)
    return root


def drawn(root, monkeypatch, name, *words):
    start("plot", monkeypatch, *words, "--runs", root / "runs", "--figures", root / "figures")
    return pd.read_csv(root / f"figures/plots/{name}.csv", comment="#")


def pictured(root, monkeypatch, *words):
    """The figure, and its title in one line."""
    figures, picture = [], plot.picture
    places = ("--runs", root / "runs", "--figures", root / "figures")
    with monkeypatch.context() as patch:
        patch.setattr(plot, "picture", lambda *args: figures.append(picture(*args)) or figures[0])
        patch.setattr(sys, "argv", ["plot", *map(str, [*words, *places])])
        plot.main()
    return figures[0], figures[0].get_suptitle().replace("\n", " ")


def expected(t, row, n):
    values = sorted(loss_of(row.method, n, row.b0, seed)[t] for seed in range(4))
    return pytest.approx([np.median(values), *np.quantile(values, (0.25, 0.75), method="nearest")])


def test_medians_and_quartiles_over_the_seeds(root, monkeypatch):
    table = drawn(root, monkeypatch, "mine", "sweep=mine")  # over b0, a curve a method, a panel a size
    assert table.columns.tolist() == ["data.n", "method", "b0", "loss", "low", "high", "runs", "not_finite"]
    assert len(table) == 12 and (table.runs == 4).all()
    for row, n in zip(table.itertuples(), table["data.n"], strict=True):
        assert [row.loss, row.low, row.high] == expected(2, row, n)
        assert row.not_finite == (2 if np.isinf(row.loss) else 0)
    early = drawn(root, monkeypatch, "early", "data.n=20", "--at", "99", "--facet", "data.name", "--name", "early")
    assert all([row.loss, row.low, row.high] == expected(1, row, 20) for row in early.itertuples())


@pytest.mark.parametrize("b0", [(1.0, 2.0), (1.0, 1.0)])
def test_what_diverged_is_within_the_axis(b0, tmp_path, monkeypatch):
    """matplotlib leaves infinite points out of its limits; where all of a panel are, a log axis has none."""
    cells = [
        ({"method": {"name": method}, "b0": value * scale, "seed": 0}, {"iteration": [1], "loss": [loss]}, {})
        for method, value, loss in (("adaloss", b0[0], np.inf), ("of_mine", b0[1], 1.0))
        for scale in (1, 1000)
    ]
    saved(tmp_path / "runs", "lost", cells)
    fig, _ = pictured(tmp_path, monkeypatch, "sweep=lost", "--x", "b0", "--facet", "method")
    for ax, value in zip(fig.axes, b0, strict=True):
        low, high = ax.get_xlim()
        assert low < value and 1000 * value < high and ax.get_xscale() == "log"


def test_curves_and_results(root, monkeypatch):
    table = drawn(root, monkeypatch, "loss_over_iteration", "b0=1", "method=adaloss", "--x", "iteration")
    assert table[["data.n", "iteration"]].to_numpy().tolist() == [[n, t] for n in SIZES for t in ITERATION]
    assert table.loss.tolist() == pytest.approx([2.5 * n / t for n in SIZES for t in ITERATION])
    words = ("method=adaloss", "data.n=20", "--y", "final", "--hue", "seed")
    table = drawn(root, monkeypatch, "result_final_over_b0", *words)
    assert table["result.final"].tolist() == [seed * b0 for seed in range(4) for b0 in B0]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--x", "no"], "--x no: there are iteration, loss, data.n, b0"),
        (["--hue", "no"], "--hue no: there are experiment, method, data, data.n, b0, seed"),
        (["data.n=20", "b0=1", "--x", "loss", "--y", "loss"], "loss: twice among --x, --y, --hue and --facet"),
        (["data.n=20", "--hue", "b0"], "b0: twice among --x, --y, --hue and --facet"),
        (["--hue", "seed"], "the runs differ in data.n: choose one, as data.n=... of 20, 50"),
        (["data.n=20", "--at", "0.5"], "--at 0.5: the first recorded iteration is 1"),
        (["--x", "iteration", "--y", "final"], "--y result.final: one number a run; --x should be a field, data.n, b0"),
        (["--y", "final", "--at", "10"], "--at 10: --y result.final is one number a run; it is for a recorded"),
        (["--x", "iteration", "b0=1", "--at", "10"], "--at 10: --x iteration draws all that was recorded; it is for"),
        (["--name", "../x"], "--name '../x': should be a word of letters"),
        (["b0=7"], "b0=7: no run in "),
        (["bo=7"], "bo=7: no such field; there are "),
    ],
)
def test_what_is_refused_in_one_line(words, line, root, monkeypatch):
    said = refusal("plot", monkeypatch, *words, "--runs", root / "runs", "--figures", root / "figures")
    assert said.startswith(f"error: {line}")


def test_a_list_tells_runs_apart_as_a_number_does(tmp_path, monkeypatch):
    """And dollars in a name are no formula."""
    cells = [
        ({"sizes": sizes, "env": "$_{$", "b0": b0, "seed": k}, {"iteration": [1], "loss": [float(k)]}, {})
        for k, sizes in enumerate(([8, 8], [64]))
        for b0 in (1.0, 2.0)
    ]
    saved(tmp_path / "runs", "mine", cells)
    table = drawn(tmp_path, monkeypatch, "mine", "sweep=mine", "--facet", "env")
    assert table[["sizes", "b0", "loss"]].to_numpy().tolist() == [
        ["[64]", 1, 1], ["[64]", 2, 1], ["[8, 8]", 1, 0], ["[8, 8]", 2, 0],
    ]  # fmt: skip
    one = drawn(tmp_path, monkeypatch, "one", "sizes=[8, 8]", "env!=$^$", "--name", "one")
    assert one.loss.tolist() == [0, 0]


def test_what_can_be_drawn_is_listed(root, monkeypatch, capsys):
    start("plot", monkeypatch, "--list", "--runs", root / "runs")
    out = capsys.readouterr().out
    for line in (
        "method               adaloss, of_mine",
        "data.n               20, 50",
        "iteration, loss",
        "result.final",
    ):
        assert f"  {line}\n" in out


def test_the_files_name_their_runs_and_the_report_shows_the_sweep(root, monkeypatch, capsys):
    for name, words in (("mine", ["sweep=mine"]), ("some", ["b0=1,100", "--name", "some"])):
        drawn(root, monkeypatch, name, *words)
        files = [root / f"figures/plots/{name}.{kind}" for kind in ("csv", "png", "pdf")]
        capsys.readouterr()
        status, out, problems = check(monkeypatch, capsys, *files, "--runs", root / "runs")
        assert (status, problems) == (0, []) and out.count("runs in") == 3
    [sweep] = own(Store(root / "runs"), root / "figures")
    assert (sweep.name, len(sweep.runs), sweep.corrupt, sweep.stale) == ("mine", 48, [], [])
    assert [file.name for file in sweep.drawn if file.picture] == ["mine"]
    extra = saved(root / "runs", "mine", [({"method": {"name": "adaloss"}, "b0": 5.0}, {"iteration": [1]}, {})])
    [sweep] = own(Store(root / "runs"), root / "figures")
    [line] = sweep.stale
    assert len(extra) == 1 and line.endswith("draw it again: python -m scripts.plot sweep=mine")


def test_every_name_that_a_sweep_may_have_is_drawn_and_checked(tmp_path, monkeypatch, capsys):
    name = "größe-v1.2"
    saved(tmp_path / "runs", name, [({"b0": b0}, {"iteration": [1], "loss": [b0]}, {}) for b0 in (1.0, 2.0)])
    drawn(tmp_path, monkeypatch, name, f"sweep={name}")
    files = [tmp_path / f"figures/plots/{name}.{kind}" for kind in ("csv", "png", "pdf")]
    capsys.readouterr()
    status, out, problems = check(monkeypatch, capsys, *files, "--runs", tmp_path / "runs")
    assert (status, problems) == (0, []) and out.count(f"sweep {name}, 2 runs; ") == 3
    [sweep] = own(Store(tmp_path / "runs"), tmp_path / "figures")
    assert [file.name for file in sweep.drawn if file.picture] == [name]


@pytest.mark.parametrize("damage", ["missing", "corrupt", "failed"])
def test_a_run_without_numbers_is_told(damage, root, tmp_path, monkeypatch, capsys):
    """A list is whole or refused; of runs that other filters choose, those that are left out are counted."""
    shutil.copytree(root / "runs", tmp_path / "runs")
    places = ("--runs", tmp_path / "runs", "--figures", tmp_path / "figures")
    store = Store(tmp_path / "runs")
    victim = store.load_sweep("mine")[0]  # of adaloss
    if damage == "corrupt":
        (victim.path / "config.yaml").write_text("edited: by hand")
    else:
        shutil.rmtree(victim.path)
    if damage == "failed":
        store.save_failure(Run("made_up", "cell_0", victim.config, "none", "none"), "why")
    for words in (["sweep=mine"], ["sweep=mine", "method=of_mine"], ["sweep==other,mine", "--list"]):
        if "other" in words[0]:
            saved(tmp_path / "runs", "other", [({"b0": 5.0}, {"iteration": [1]}, {})])
        line = refusal("plot", monkeypatch, *words, *places)
        assert line.startswith(f"error: {victim.path}") and line.endswith("run the sweep again")
    capsys.readouterr()
    for word, told in (
        ("method=adaloss", 1),
        ("method=of_mine", damage == "corrupt"),
        ("status=diverged,completed", 0),
    ):
        start("plot", monkeypatch, word, "--list", *places)
        note = f"note: runs left out: 1 {damage}; python -m experiments.runs verify names them\n"
        assert capsys.readouterr().out.count(note) == (told and damage != "missing"), word
    line = refusal("plot", monkeypatch, "sweep=mine,none", "--runs", root / "runs")
    assert "the sweep 'none' has not been finished" in line


def test_title_and_legend_lie_in_the_picture(root, tmp_path, monkeypatch):
    """The title of docs/runs.md's command; and names as long as those of the methods."""
    words = ("--x", "b0", "--y", "loss", "--at", "1000", "--hue", "method", "--facet", "data.name", "--name", "at_1000")
    fig, title = pictured(root, monkeypatch, "experiment=made_up", "data.n=50", "b0=0.01,1,100,1000,10000", *words)
    assert title.endswith("median and middle half of 4 runs, up to iteration 100")
    assert pictured(root, monkeypatch, "data.n=50", "--at", "99")[1].endswith("up to iteration 10")
    cells = [
        ({"method": {"name": f"{k}-MethodWithALongName"}, "b0": b0}, {"iteration": [1], "loss": [b0]}, {})
        for k in range(5)
        for b0 in (1.0, 2.0)
    ]
    saved(tmp_path / "runs", "mine", cells)
    for drawn_here in (fig, pictured(tmp_path, monkeypatch, "sweep=mine")[0]):
        for artist in (drawn_here._suptitle, *drawn_here.legends):
            box = artist.get_window_extent()
            assert drawn_here.bbox.x0 <= box.x0 < box.x1 <= drawn_here.bbox.x1
            assert drawn_here.bbox.y0 <= box.y0 < box.y1 <= drawn_here.bbox.y1


def test_null_is_a_value_of_a_field_and_no_number(tmp_path, monkeypatch, capsys):
    cells = [
        ({"batch": batch, "b0": b0}, {"iteration": [1], "loss": [b0]}, {})
        for batch in (None, 5, 10)
        for b0 in (1.0, 2.0)
    ]
    saved(tmp_path / "runs", "mine", cells)
    start("plot", monkeypatch, "--list", "--runs", tmp_path / "runs")
    assert "  batch                5, 10, null\n" in capsys.readouterr().out
    fig, _ = pictured(tmp_path, monkeypatch, "sweep=mine")
    assert [text.get_text() for text in fig.legends[0].get_texts()] == ["5", "10", "null"]
    fig, _ = pictured(tmp_path, monkeypatch, "sweep=mine", "--facet", "batch")
    assert [ax.get_title() for ax in fig.axes] == ["batch = 5", "batch = 10", "batch = null"]
    words = ("--runs", tmp_path / "runs", "--x", "batch")
    line = refusal("plot", monkeypatch, *words)
    assert line == "error: --x batch: null or missing in some of these runs; choose the others by batch!=null"
    assert refusal("plot", monkeypatch, *words[:2], "--x", "no") == "error: --x no: there are iteration, loss, b0"
    fig, _ = pictured(tmp_path, monkeypatch, "batch!=null", "--x", "batch", "--hue", "b0")
    assert [[*line.get_xdata()] for line in fig.axes[0].lines] == [[5, 10], [5, 10]]
