"""The report's content: what it shows is in the runs, the tables and the claims, and harm is said, not hidden."""

import base64
import html
import io
import json
import re
import shlex
import shutil

import numpy as np
import pandas as pd
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from matplotlib.colors import to_rgb
from PIL import Image

from adaloss.theory import errata
from experiments.methods import METHODS, SGD_FAMILY
from experiments.runs.store import Store
from scripts.claims.listed import claims as all_claims
from scripts.report import __main__ as report
from scripts.report import explore, sections, sweeps
from scripts.report.paper import ITEMS, item_of, section_of
from scripts.report.pictures import data_uri
from scripts.report.takeaways import Facts
from scripts.table_1 import PAPER
from tests.experiments.launch import ROOT
from tests.scripts.conftest import written
from tests.scripts.synthetic import saved
from tests.scripts.test_b0_panels import B0, ENDS, ITERATIONS


def section(page, name):
    return re.search(rf'<section id="{name}">(.*?)</section>', page, flags=re.DOTALL)[1]


def test_the_same_runs_give_the_same_bytes_and_one_file(made, page, monkeypatch):
    assert written(made, monkeypatch) == page
    linked = re.findall(r'(?:href|src)="([^"]*)"', page)
    names = ("claims", "figure_1", "figure_1_unit", "figure_burn_in", "figure_1_messages", "figure_burn_in_messages")
    files = {target for target in linked if not target.startswith(("#", "data:"))}
    assert files == {f"./{name}.csv" for name in names}
    for target in linked:
        assert target.startswith(("#", "data:")) or (made / "figures" / target).is_file(), target
        assert not target.startswith("#") or f'id="{target[1:]}"' in page, target


def test_claims_stand_with_their_figures_and_are_escaped(page):
    assert "robust &lt;b&gt;&amp; how&lt;/b&gt;" in section(page, "figure-1") and "<b>&" not in page
    assert "90.65" in section(page, "table-1") and "no figure" in section(page, "without-figure")
    rows = re.findall(r'<tr id="claim-(\w+)" data-verdict="([\w ]+)" data-section="([\w ]+)">', section(page, "claims"))
    assert rows == [("c1", "reproduced", "Section 3"), ("c2", "not run at this scale", "Section 4"),
                    ("c3", "false as printed", "Section 2")]  # fmt: skip


def test_the_verdicts_are_counted_apart():
    given = [("paper", "partly"), ("paper", "undecided"), ("paper", "partly"), ("the code's README", "reproduced")]
    found = sections.counts([{"source": source, "verdict": verdict} for source, verdict in given])
    assert [dict(counts) for _, counts in found] == [{"partly": 2, "undecided": 1}, {"reproduced": 1}]
    assert sections.counts([]) == []


def test_every_sweep_has_its_section_and_the_papers_come_in_its_order(page):
    drawn = [name for name, *_ in sweeps.scripts()]
    at = [re.search(rf'<section id="{item.id}">', page).start() for item in ITEMS if item.sweep in drawn]
    assert at == sorted(at) and at[-1] < page.index('id="without-figure"') < page.index('id="claims"')
    homes = {name: item.id for item in ITEMS for name in (item.sweep, *item.more)}
    for name, experiment, title in sweeps.scripts():
        text = section(page, homes.get(name, name))
        first = name not in homes or any(item.sweep == name for item in ITEMS)
        assert f"<h2>{title.removesuffix('.')}</h2>" in html.unescape(text) or name in homes
        assert (f"python -m experiments.{experiment} sweep={name} scale=smoke runs=" in text) == first
        made = name in ("figure_1", "figure_burn_in")
        assert ("not run at this scale" in text) == (not made) or not first
        assert ("<figure>" in text) == made or not first


def test_every_claim_has_its_place():
    """By the claim's own words: what names an item stands with it, and what stands nowhere has no picture."""
    rows = [
        {"id": one.id, "source": one.source, "place": one.place, "runs": f"{one.sweep}: none"} for one in all_claims()
    ]
    homes = {row["id"]: item_of(row) for row in rows}
    for item in ITEMS:
        key = [homes[name] for name in item.key if name in homes]  # sentences come and go; each item keeps one
        assert all(home is item for home in key) and bool(key) == bool(item.key), item.id
    for row in rows:
        named = re.search(r"(Theorem|Lemma|Corollary|Table|Figure) (\d)", row["place"])
        if named and row["source"] == "paper":
            assert all(word in homes[row["id"]].title for word in named.groups()), row
        if homes[row["id"]] is None:
            assert row["runs"].partition(":")[0] in ("cost", "errata", "hyperparameters", "table_2", "None"), row
        assert re.fullmatch("Abstract|Section [1-5]|Related work|Broader impact|the code's README", section_of(row)), (
            row
        )


def test_every_takeaway_is_computed_from_what_is_published():
    tables = {file.stem: pd.read_csv(file, comment="#") for file in (ROOT / "figures/published").glob("*.csv")}
    said = {item.id: item.takeaway(Facts(tables)) for item in ITEMS if item.sweep in tables}
    assert len(said) > 10 and all(sentence.endswith(".") and "nan" not in sentence for sentence in said.values())
    norms = tables["figure_5"].query("data == 'sphere' and n == 800")
    square, long = norms[norms.n == norms.d].lambda_max.item(), norms.lambda_max.max()
    assert f"{square:.3g} for n = d" in said["figure-5"] and f"{long:.3g} for n = 800" in said["figure-5"]
    worst = tables["figure_2_final"].groupby(["method", "b0"]).train_loss.median()["adam"].max()
    assert f"Adam ends at a training loss of {worst:.2g}" in said["figure-2"]
    messages = pd.DataFrame({"sentence": ["a (b)", "a (b)", "a (b)", "c"], "holds": ["True", "False", np.nan, "True"]})
    assert Facts({"x_messages": messages}).holding("(b)", "x") == "1 of 2"
    messages.loc[1, "holds"] = "undecided"
    assert Facts({"x_messages": messages}).holding("(b)", "x") == "1 of 2 (1 undecided)"


def test_a_picture_is_small_and_looks_the_same():
    png = (ROOT / "figures/published/figure_1.png").read_bytes()
    content, small = (base64.b64decode(data_uri(png, width).partition(",")[2]) for width in (None, 480))
    drawn, shown = (np.asarray(Image.open(io.BytesIO(one)).convert("RGB"), dtype=float) for one in (png, content))
    assert len(content) < len(png) / 4 and shown.shape == drawn.shape
    assert np.abs(shown - drawn).mean() < 1 and (np.abs(shown - drawn).max(axis=2) > 48).mean() < 1e-3
    methods = [np.array(to_rgb(METHODS[name].color)) * 255 for name in ("adaloss", "adagrad_norm", "sgd_constant")]
    shades = np.array(Image.open(io.BytesIO(small)).convert("RGB"), dtype=float).reshape(-1, 3)
    assert all(np.abs(shades - color).max(axis=1).min() < 24 for color in methods)  # each has its colour still


def test_runs_and_errata_are_named(made, page):
    for run in Store(made / "runs").load_sweep("figure_burn_in"):
        assert run.id in section(page, "integrity")
        assert run.summary["commit"] in section(page, "environment")
    head = json.loads((made / "figures/figure_1.csv").read_text().splitlines()[0][2:])
    assert head["digest"] in section(page, "figure-1")
    assert section(page, "errata").count("<h3>") == len(errata.ERRATA)
    assert f"<dd>{errata.erratum_1()['t']}</dd>" in section(page, "errata")


def test_commands_can_be_pasted_and_without_claims_theirs_is_named(root, monkeypatch):
    odd = root / "renée's (1)"
    odd.mkdir()
    for name in ("runs", "figures"):
        (root / name).rename(odd / name)
    (odd / "figures/claims.csv").unlink()
    page = html.unescape(written(odd, monkeypatch))
    [claims] = re.findall("<code>(python -m scripts.claims .*?)</code>", page)
    makes, draws = re.search("<code>(python -m experiments.*)\n(.*)</code>", section(page, "figure-1")).groups()
    assert OverridesParser.create().parse_override(shlex.split(makes)[-1]).value() == str(odd / "runs")
    for command in (claims, draws):
        assert shlex.split(command)[-4:] == ["--runs", str(odd / "runs"), "--figures", str(odd / "figures")]


def test_corrupt_runs_are_named_and_the_report_is_still_written(root, monkeypatch):
    first, second, third = Store(root / "runs").load_sweep("figure_burn_in")[:3]
    bent = bytearray((first.path / "history.parquet").read_bytes())
    bent[100] ^= 1
    (first.path / "history.parquet").write_bytes(bent)
    (second.path / "summary.json").unlink()
    shutil.rmtree(third.path)
    with pytest.raises(SystemExit) as stop:
        written(root, monkeypatch)
    lines = stop.value.code.splitlines()  # printed on stderr, with status 1
    assert [str(run.path) in line for run, line in zip((first, second, third), lines, strict=True)] == [True] * 3
    page = (root / "figures/report.html").read_text()
    assert "3 files are" in page.partition("<main")[0]
    assert all(str(run.path) in section(page, "integrity") for run in (first, second, third))
    assert 'id="explore-figure_1"' in page and 'id="explore-figure_burn_in"' not in page


def test_a_table_that_is_none_is_one_line(root, monkeypatch):
    (root / "figures/claims.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(
        SystemExit, match=f"^error: {root}/figures/claims.csv: not a table of this project's scripts; d"
    ):
        written(root, monkeypatch)


def test_table_1_in_words():
    columns = ["problem", "method", "b0", "seeds", "untrained", "accuracy", "std", "paper", "paper_std"]
    rows = []
    for method in SGD_FAMILY:
        paper = PAPER.get(method, {}).get(0.01) or (np.nan, np.nan)
        lost = int(method == "sgd_constant")
        rows.append(("digits", method, 0.01, 2, lost, np.nan if lost else 50.0, 1.0, *paper))
    drawn = sweeps.Drawn(report.Path("table_1.csv"), "table_1", "", pd.DataFrame(rows, columns=columns))
    [found] = report.table(sweeps.Sweep("table_1", "vit", "", drawn=[drawn]))
    [cells] = found["rows"]
    by_column = dict(zip(found["columns"], cells[1:], strict=True))
    assert cells[0] == "0.01"
    assert by_column["AdaLoss"] == "50.00 ± 1.00" and by_column["AdaLoss (paper)"] == "90.65 ± 0.09"
    assert by_column["SGD-Constant"] == "N/A (1 of 2)" and by_column["SGD-Constant (paper)"] == "N/A"


def test_figure_1_explorer_has_the_medians_over_seeds(made):
    data = explore.figure_1(Store(made / "runs").load_sweep("figure_1"))
    assert data["b0"] == list(B0) and [one["name"] for one in data["variants"]] == ["normal", "unit"]
    assert data["x"]["max"] == ITERATIONS[-1]
    for k, b0 in enumerate(B0):
        series = {(one["panel"], one["method"]): one for one in data["variants"][1]["frames"][k]["series"]}
        assert len(series) == 2 * len(ENDS)
        for method, ends in ENDS.items():
            loss, step = series["loss", method], series["step", method]
            assert loss["x"][0] == 1 and loss["x"][-1] == ITERATIONS[-1] and set(loss["x"]) <= set(ITERATIONS.tolist())
            # at the last iteration: the mean of the seeds' losses is 1.25, the sawtooth 1.2 or 0.8
            wave = 1.2 if ITERATIONS[-1] % 2 == 0 else 0.8
            expected = None if np.isinf(ends[k]) else pytest.approx(1.25 * wave * ends[k], rel=1e-3)
            assert loss["y"][-1] == expected
            assert step["y"][-1] == pytest.approx((1 / b0 + 1 / (b0 + 1)) / 2, rel=1e-3)


def test_burn_in_explorer_bounds_what_the_runs_did(made):
    runs = Store(made / "runs").load_sweep("figure_burn_in")
    data = explore.burn_in(runs)
    moved = set()
    for frame, b0 in zip(data["variants"][0]["frames"], data["b0"], strict=True):
        curves = {(one["panel"], one["method"], one["kind"]): one for one in frame["series"]}
        for run in runs:
            if run.config["b0"] != b0:
                continue
            method, history = run.config["method"]["name"], run.history
            proved, b = curves["loss", method, "bound"], curves["b", method, "bound"]
            assert len({*proved["x"]}) == len(proved["x"])
            for row, level in zip(proved["x"], proved["y"], strict=True):  # four digits are shown
                assert history.loss[history.iteration >= row].max() <= level * (1 + 1e-3), (row, level)
            assert (1 / history.step).max() <= b["y"][0] * (1 + 1e-3)
            moved.add((method, b["y"][0]))
            words = dict(
                zip(data["columns"], next(row for row in frame["rows"] if row[0] == METHODS[method].label), strict=True)
            )
            exit_index, at_most = int(words["exit index N"]), [int(v) for k, v in words.items() if "N ≤" in k]
            assert exit_index == int(np.argmax(1 / history.step.to_numpy() >= 50)) <= min(at_most)
    assert len(moved) == len(runs)  # the bound moves with b0


def test_a_curve_is_the_median_and_a_divergence_counts(tmp_path):
    losses = ([1.0, 5.0], [2.0, np.inf], [30.0, np.inf])
    histories = [{"iteration": [1, 2], "loss": loss, "step": [0.5, 0.25]} for loss in losses]
    runs = saved(tmp_path, "some", [({"seed": seed}, history, {}) for seed, history in enumerate(histories)])
    iteration, loss, step = explore.medians(runs)
    assert (iteration.tolist(), loss.tolist(), step.tolist()) == ([1, 2], [2.0, np.inf], [0.5, 0.25])
    assert explore.numbers(loss) == [2.0, None] and explore.shown(loss[-1]) == "diverged"
