"""What a figure says of its runs, in each kind of file, and what is said when they are not what they were."""

import hashlib
import json
import shutil

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from experiments.runs.store import Run, Store
from scripts.shared import marks
from scripts.shared.output import Output
from tests.experiments.launch import ROOT
from tests.scripts.synthetic import check, saved

COUNT = 400  # so that a PDF's mark goes over many lines
SUFFIXES = ("png", "pdf", "svg", "csv", "md", "tex")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """runs/small and figures/small, with one file of each kind."""
    root = tmp_path_factory.mktemp("drawn")
    cells = [({"b0": float(k)}, {"loss": [1.0 / (k + 1)]}, {"final": k}) for k in range(COUNT)]
    runs = saved(root / "runs/small", "figure_0", cells)
    output = Output(root / "figures/small", "figure_0", runs)
    output.save("figure_0", picture(), pd.DataFrame({"k": range(COUNT)}))
    output.text("figure_0.md", "| k |\n")
    output.text("figure_0.tex", "k \\\\\n")
    output.write()
    by_hand = root / "figures/small/figure_0.svg"
    picture().savefig(by_hand, metadata={"Description": marks.mark(by_hand.name, "figure_0", runs)})
    by_hand.write_bytes(marks.seal(".svg", by_hand.read_bytes()))
    plt.close("all")
    return root


def picture():
    """The least figure that shows something."""
    figure = plt.figure(figsize=(1, 1))
    figure.add_subplot().plot([1, 2])
    return figure


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_kind_of_file_says_what_made_it(suffix, copied, monkeypatch, capsys):
    ids = sorted(folder.rpartition("-")[2] for folder in Store("runs/small").listed("figure_0"))
    found = marks.parsed(f".{suffix}", (copied / f"figures/small/figure_0.{suffix}").read_bytes())
    assert found["sweep"] == "figure_0" and found["versions"]["numpy"] == np.__version__
    if suffix in ("png", "pdf", "svg"):
        assert found["runs"] == ids
    else:
        assert found["runs"] == COUNT
        assert found["digest"] == hashlib.sha256(" ".join(ids).encode()).hexdigest()[:12]
    summary = json.loads(next(copied.glob("runs/small/*/*/summary.json")).read_text())
    status, out, problems = check(monkeypatch, capsys, f"figures/small/figure_0.{suffix}")
    assert (status, problems) == (0, [])
    assert f"sweep figure_0, {COUNT} runs; drawn at commit {summary['commit']} with python " in out
    assert f"{COUNT} runs in runs/small are as they were saved; made at commit {summary['commit']}\n" in out


def test_a_table_is_read_below_its_mark(copied):
    assert list(pd.read_csv("figures/small/figure_0.csv", comment="#").k) == list(range(COUNT))
    assert len((copied / "figures/small/figure_0.csv").read_text().splitlines()[0]) < 600


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("name", ["config.yaml", "history.parquet", "summary.json"])
def test_one_byte_of_one_run_is_reported(name, suffix, copied, monkeypatch, capsys):
    victim = copied / "runs/small" / Store("runs/small").listed("figure_0")[123] / name
    content = victim.read_bytes()
    victim.write_bytes(content[:40] + bytes([content[40] ^ 1]) + content[41:] if len(content) > 40 else b"!" + content)
    status, out, problems = check(monkeypatch, capsys, f"figures/small/figure_0.{suffix}")
    folder = victim.relative_to(copied).parent
    assert status == 1 and f"{COUNT - 1} runs in runs/small are as they were saved" in out
    assert problems == [
        f"error: {folder / name}: missing or not as it was saved; delete {folder} and run the sweep again"
    ]


def test_a_problem_of_several_files_is_one_line(copied, monkeypatch, capsys):
    folder = f"runs/small/{Store('runs/small').listed('figure_0')[7]}"
    shutil.rmtree(copied / folder)
    status, _, problems = check(monkeypatch, capsys, *(f"figures/small/figure_0.{kind}" for kind in ("csv", "md")))
    assert (status, problems) == (1, [f"error: {folder}: run missing; run the sweep again"])


def test_a_run_that_is_gone(copied, monkeypatch, capsys):
    folder = Store("runs/small").listed("figure_0")[7]
    shutil.rmtree(copied / "runs/small" / folder)
    status, _, problems = check(monkeypatch, capsys, "figures/small/figure_0.png")
    assert (status, problems) == (1, [
        f"error: figures/small/figure_0.png: runs/small: run {folder[-12:]} is gone; run the sweep figure_0 "
        "again, or draw it again: python -m scripts.figure_0"
    ])  # fmt: skip


def test_a_sweep_whose_runs_are_others_by_now(copied, monkeypatch, capsys):
    store = Store("runs/small")
    run = Run(experiment="made_up", label="new", config={}, code="new", data="none")
    store.save(run, "completed", pd.DataFrame({"loss": [1.0]}), {}, 0.0)
    store.save_sweep("figure_0", [run])
    status, _, problems = check(monkeypatch, capsys, "figures/small/figure_0.csv", "figures/small/figure_0.png")
    assert (status, problems) == (1, [  # the picture names its runs, and they are still there
        f"error: figures/small/figure_0.csv: made from {COUNT} runs that are not the 1 which runs/small now lists as "
        "figure_0; draw it again: python -m scripts.figure_0"
    ])  # fmt: skip


def test_files_that_cannot_be_read(copied, monkeypatch, capsys):
    plt.figure(figsize=(1, 1)).savefig("plain.png")
    plt.close("all")
    copied.joinpath("plain.csv").write_text("a,b\n1,2\n")
    copied.joinpath("plain.svg").write_text("no picture")
    copied.joinpath("evil.csv").write_text('# {"sweep": "../x", "runs": 1, "digest": "", "versions": {}}\n')
    copied.joinpath("figure_0.txt").write_text("")
    names = ("plain.png", "plain.csv", "plain.svg", "evil.csv", "figure_0.txt", "nowhere.pdf")
    status, out, problems = check(monkeypatch, capsys, *names)
    assert (status, out) == (1, "")
    assert problems == [
        *(f"error: {name}: carries no mark of its runs; draw it again" for name in names[:4]),
        "error: figure_0.txt: not a figure or table; can be read: .png, .pdf, .svg, .csv, .md, .tex",
        "error: nowhere.pdf: No such file or directory",
    ]


def test_where_the_runs_are(copied, monkeypatch, capsys):
    (copied / "figures/small").rename(copied / "figures/published")
    status, _, problems = check(monkeypatch, capsys, "figures/published/figure_0.csv")
    assert status == 1 and problems[0].startswith("error: figures/published/figure_0.csv: runs/laptop: no runs there")
    assert check(monkeypatch, capsys, "figures/published/figure_0.csv", "--runs", "runs/small")[0] == 0


def test_what_is_published_says_what_made_it():
    files = [file for file in sorted((ROOT / "figures/published").iterdir()) if file.suffix in (".png", ".csv")]
    assert files
    for file in files:
        assert marks.parsed(file.suffix, file.read_bytes())["runs"]
