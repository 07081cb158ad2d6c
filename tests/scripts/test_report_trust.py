"""What the report does not present as drawn: files that were edited, replaced, renamed, linked or left behind."""

import html
import json
import re
import shutil

import pytest

from experiments.runs.store import Store
from tests.scripts.conftest import ROWS, decide, written


@pytest.fixture
def root(made, tmp_path):
    """A copy to change."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path


def told(root, monkeypatch):
    """The problems on the command line and the page; every problem is on the page as well."""
    with pytest.raises(SystemExit) as stop:
        written(root, monkeypatch)
    lines = [line.removeprefix("error: ") for line in stop.value.code.splitlines()]
    page = (root / "figures/report.html").read_text()
    assert all(html.escape(line, quote=False) in page.replace("&#39;", "'").replace("&#34;", '"') for line in lines)
    assert "and is as it was drawn" not in page
    return lines, page


def pictures(page):
    return re.findall(r'<img src="data:image/png;base64,[^"]*" alt="[^"]*\((\w+)\)', page)


def test_an_edited_verdict(root, monkeypatch):
    file = root / "figures/claims.csv"
    file.write_text(file.read_text().replace("false as printed", "reproduced"))
    lines, page = told(root, monkeypatch)
    assert lines == [f"{file}: not as it was drawn; draw it again"]
    assert "no figure" not in page and "claims.csv is not as it should be" in page


def test_claims_without_a_mark(root, monkeypatch):
    file = root / "figures/claims.csv"
    file.write_text(file.read_text().partition("\n")[2])
    lines, _ = told(root, monkeypatch)
    assert lines == [f"{file}: carries no mark of its runs; draw it again"]


@pytest.mark.parametrize("sweep", ["figure_1", "figure_burn_in"])
def test_claims_of_two_sweeps_of_which_one_is_another_by_now(sweep, root, monkeypatch):
    [listed] = (root / "runs/sweeps").glob(f"{sweep}@*.json")
    runs = json.loads(listed.read_text())
    listed.write_text(json.dumps(runs | {"runs": runs["runs"][1:]}))
    shutil.copytree(root / "figures", root / "before")
    lines, _ = told(root, monkeypatch)
    [line] = [line for line in lines if "claims.csv" in line]
    assert line.startswith(f"{root}/figures/claims.csv: decided from other runs (")
    assert line.endswith("; decide the claims again: python -m scripts.claims")


def test_claims_of_a_sweep_that_is_gone(root, monkeypatch):
    [listed] = (root / "runs/sweeps").glob("figure_burn_in@*.json")
    listed.unlink()
    lines, _ = told(root, monkeypatch)
    [line] = [line for line in lines if "claims.csv" in line]
    assert "'figure_burn_in' has not been finished" in line


def test_claims_from_before_a_sweep_was_run(root, monkeypatch):
    rows = [*ROWS[:1], (*ROWS[1][:-1], "table_1: none")]
    decide(root, rows)
    store = Store(root / "runs")
    (root / "runs/sweeps/table_1.json").write_text(json.dumps({"runs": store.listed("figure_burn_in")}))
    assert store.listed("table_1")
    lines, _ = told(root, monkeypatch)
    assert lines == [
        f"{root}/figures/claims.csv: decided before there were runs of table_1; "
        "decide the claims again: python -m scripts.claims"
    ]


def test_an_edited_table_is_named_and_not_shown(root, monkeypatch):
    file = root / "figures/figure_1_messages.csv"
    file.write_text(file.read_text().replace(",True,", ",False,"))
    lines, page = told(root, monkeypatch)
    assert lines == [f"{file}: not as it was drawn; draw it again"]
    assert "within a factor 10 of its own best" not in page.replace("&#39;", "'").partition('id="errata"')[0]


def test_a_table_without_its_mark(root, monkeypatch):
    file = root / "figures/figure_1_unit.csv"
    file.write_text(file.read_text().partition("\n")[2])
    lines, page = told(root, monkeypatch)
    assert lines == [f"{file}: carries no mark of its runs; draw it again"]
    assert pictures(page) == ["figure_1", "figure_burn_in"]


@pytest.mark.parametrize(("source", "says"), [
    ("figure_1_unit.png", "drawn as figure_1_unit.png; draw it again"),
    ("figure_burn_in.png", "drawn as figure_burn_in.png; draw it again"),
    ("figure_1.csv", "carries no mark of its runs; draw it again"),
])  # fmt: skip
def test_a_replaced_picture(source, says, root, monkeypatch):
    file = root / "figures/figure_1.png"
    shutil.copyfile(root / "figures" / source, file)
    lines, page = told(root, monkeypatch)
    assert lines == [f"{file}: {says}"]
    assert pictures(page) == ["figure_1_unit", "figure_burn_in"]


def test_a_picture_that_is_a_link(root, monkeypatch):
    file, secret = root / "figures/figure_1.png", root / "secret"
    file.rename(secret)  # even a true one
    file.symlink_to(secret)
    lines, page = told(root, monkeypatch)
    assert lines == [f"{file}: a link, not a picture of this folder; delete it and draw it again"]
    assert pictures(page) == ["figure_1_unit", "figure_burn_in"]


@pytest.mark.parametrize("name", ["javascript:alert(1).csv", "figure_1_a b.csv", 'figure_1_"onload=x.csv', "x.csv"])
def test_a_file_of_another_name_is_left_alone(name, root, monkeypatch):
    shutil.copyfile(root / "figures/figure_1.csv", root / "figures" / name)
    page = written(root, monkeypatch)
    assert "javascript:" not in page and "onload=" not in page and "a b.csv" not in page and "/x.csv" not in page


def test_every_link_is_relative_to_the_folder(page):
    links = [target for target in re.findall(r'href="([^"]*)"', page) if not target.startswith(("#", "data:"))]
    assert links and all(target.startswith("./") for target in links)


def test_a_mark_of_brackets(root, monkeypatch):
    file = root / "figures/figure_1_unit.csv"
    file.write_text(f"# {'[' * 100_000}\n" + file.read_text().partition("\n")[2])
    assert told(root, monkeypatch)[0] == [f"{file}: carries no mark of its runs; draw it again"]
