"""make agree: a wrong result is a contradiction, another machine's rounding is not."""

import pandas as pd
import pytest

from experiments.runs.store import Store
from experiments.runs.terminal import RefusalError
from scripts.claims import agree
from tests.scripts import claim_runs as made
from tests.scripts.synthetic import saved, start


def folder(root, verdicts, ranges=((0.0, 1.0),)):
    """A folder as the scripts write it, with these verdicts and a figure of these ranges."""
    root.mkdir()
    claims = pd.DataFrame({"id": [f"c{k}" for k in range(len(verdicts))], "verdict": verdicts})
    drawn = pd.DataFrame(ranges, columns=["loss_min", "loss_max"]).assign(b0=1.0)
    for name, frame in (("claims", claims), ("figure_0", drawn)):
        (root / f"{name}.csv").write_text("# mark\n" + frame.to_csv(index=False))
    return root


def test_what_agrees_and_what_does_not(tmp_path):
    theirs = ["reproduced", "partly", "undecided", "not reproduced", "not run at this scale"]
    ours = ["reproduced", "undecided", "reproduced", "reproduced", "reproduced"]
    published = folder(tmp_path / "published", theirs, [(0, 1), (0, 1), (0, 1)])
    found = agree.compare(folder(tmp_path / "made", ours, [(1, 2), (-1, 3), (1.1, 2)]), published)
    assert (found.equal, found.undecided, found.alone) == (1, ["c1", "c2"], 1)
    assert found.contradictions == ["c3: reproduced, published not reproduced"]
    assert (found.overlapping, found.points) == (2, 3)


def test_a_range_is_over_seeds_and_what_is_no_number_on_both_sides_agrees(tmp_path):
    nan = float("nan")
    published, ours = (
        folder(tmp_path / name, ["partly"], [(0, 1), (nan, nan), (nan, nan)]) for name in ("published", "made")
    )
    (ours / "figure_0.csv").write_text("# mark\nloss_min,loss_max\n0,1\n,\n1,2\n")
    for root, least in ((published, 1), (ours, 3)):  # of the least and the greatest eigenvalue, one of two overlaps
        columns = "lambda_min,lambda_max,lambda_min_least,lambda_min_greatest,lambda_max_least,lambda_max_greatest"
        (root / "figure_5.csv").write_text(f"# mark\n{columns}\n1,9,{least},{least + 1},8,9\n")
    found = agree.compare(ours, published)
    assert (found.overlapping, found.points) == (2 + 1, 3 + 2)


@pytest.mark.parametrize("name", ["claims", "figure_0"])
def test_a_table_that_is_none_is_one_line(name, tmp_path):
    whole, ours = folder(tmp_path / "published", ["partly"]), folder(tmp_path / "made", ["partly"])
    lines = (whole / f"{name}.csv").read_bytes().splitlines(keepends=True)
    twice = [b"".join([*lines, lines[2]])] if name == "claims" else [b"# mark\nloss_min,loss_max\nx,y\n"]
    for content in (b"", lines[0], b'# mark\nid,loss_min\n"c0', b"# mark\n\xff", *twice):
        (ours / f"{name}.csv").write_bytes(content)
        with pytest.raises(RefusalError, match=rf"/made/{name}.csv: no table of "):
            agree.compare(ours, whole)


def decided(root, name, monkeypatch):
    start("claims", monkeypatch, "--runs", root / "runs", "--figures", root / name)
    return root / name


def swapped(run):
    """The run as one of the other adaptive method."""
    names = {"adaloss": "adagrad_norm", "adagrad_norm": "adaloss"}
    method = run.config["method"]
    return run.config | {"method": method | {"name": names.get(method["name"], method["name"])}}, run.history


def halved(run):
    """The run with AdaLoss's first losses a tenth of what they were."""
    early = (run.history.iteration <= 1000) & (run.config["method"]["name"] == "adaloss")
    return run.config, run.history.assign(loss=run.history.loss.mask(early, run.history.loss / 10))


@pytest.mark.parametrize("planted", [swapped, halved])
def test_a_planted_result_is_a_contradiction(tmp_path, monkeypatch, capsys, planted):
    """The store is hashed again, so that only the verdicts can tell."""
    cells = [(run.config, run.history, run.summary["result"]) for run in made.figure_1().runs]
    saved(tmp_path / "runs", "figure_1", cells)
    monkeypatch.setattr(agree, "PUBLISHED", decided(tmp_path, "published", monkeypatch))
    same = agree.compare(decided(tmp_path, "again", monkeypatch), agree.PUBLISHED)
    assert same.contradictions == same.undecided == [] and same.equal > 8
    altered = [(*planted(run), run.summary["result"]) for run in Store(tmp_path / "runs").load_sweep("figure_1")]
    (tmp_path / "runs").rename(tmp_path / "honest")
    saved(tmp_path / "runs", "figure_1", altered)
    monkeypatch.setattr("sys.argv", ["agree", "--figures", str(decided(tmp_path, "planted", monkeypatch))])
    with pytest.raises(SystemExit, match="1"):
        agree.main()
    assert "contradiction: figure-1-not-better-first: not reproduced, published reproduced" in capsys.readouterr().out
