"""What the report does not present as drawn: files that were edited, replaced, renamed, linked or left behind."""

import html
import json
import shutil

import pytest

from experiments.runs.store import Store
from scripts.report.__main__ import problems
from scripts.report.sweeps import claims, sweeps
from tests.scripts.conftest import ROWS, decide, written

PICTURES = {"figure_1", "figure_1_unit", "figure_burn_in"}
UNMARKED, EDITED = "carries no mark of its runs; draw it again", "not as it was drawn; draw it again"


def found(root):
    """The problems, the rows of the claims, and the pictures and tables that the page may show."""
    all_sweeps = list(sweeps(Store(root / "runs"), root / "figures"))
    rows, wrong = claims(root / "figures", Store(root / "runs"))
    drawn = [file for sweep in all_sweeps for file in sweep.drawn]
    return (
        problems(all_sweeps, wrong),
        rows,
        {file.name for file in drawn if file.picture},
        {file.name for file in drawn},
    )


def without_mark(text):
    return text.partition("\n")[2]


@pytest.mark.parametrize(
    ("name", "edit", "says"),
    [
        ("claims", lambda text: text.replace("false as printed", "reproduced"), EDITED),
        ("claims", without_mark, UNMARKED),
        ("figure_1_messages", lambda text: text.replace("AdaLoss", "AdamLoss"), EDITED),
        ("figure_1_unit", without_mark, UNMARKED),
        ("figure_1_unit", lambda text: f"# {'[' * 100_000}\n{without_mark(text)}", UNMARKED),
    ],
)
def test_an_edited_table_is_named_and_not_shown(name, edit, says, root):
    file = root / f"figures/{name}.csv"
    file.write_text(edit(file.read_text()))
    lines, rows, pictures, tables = found(root)
    assert lines == [f"{file}: {says}"]
    assert (rows is None) == (name == "claims") and name not in tables and pictures == PICTURES - {name}


def test_the_page_says_what_is_wrong(root, monkeypatch):
    for name in ("claims", "figure_1_messages"):
        file = root / f"figures/{name}.csv"
        file.write_text(file.read_text().replace("AdaLoss", "AdamLoss").replace("false as printed", "reproduced"))
    with pytest.raises(SystemExit) as stop:
        written(root, monkeypatch)
    lines = [line.removeprefix("error: ") for line in stop.value.code.splitlines()]
    assert lines == found(root)[0] and len(lines) == 2
    page = html.unescape((root / "figures/report.html").read_text())
    assert all(line in page for line in lines) and "claims.csv is not as it should be" in page
    assert "and is as it was drawn" not in page and "no figure" not in page
    assert "within a factor 10 of its own best" not in page.partition('id="errata"')[0]


@pytest.mark.parametrize("sweep", ["figure_1", "figure_burn_in"])
def test_claims_of_two_sweeps_of_which_one_is_another_by_now(sweep, root):
    [listed] = (root / "runs/sweeps").glob(f"{sweep}@*.json")
    runs = json.loads(listed.read_text())
    listed.write_text(json.dumps(runs | {"runs": runs["runs"][1:]}))
    lines = found(root)[0]
    [line] = [line for line in lines if "claims.csv" in line]
    assert line.startswith(f"{root}/figures/claims.csv: decided from other runs (")
    assert line.endswith("; decide the claims again: python -m scripts.claims")
    assert any(line.startswith(f"{root}/figures/{sweep}.csv: drawn from other runs (") for line in lines)


def test_claims_of_a_sweep_that_is_gone(root):
    [listed] = (root / "runs/sweeps").glob("figure_burn_in@*.json")
    listed.unlink()
    [line] = [line for line in found(root)[0] if "claims.csv" in line]
    assert "'figure_burn_in' has not been finished" in line


def test_claims_from_before_a_sweep_was_run(root):
    decide(root, [*ROWS[:1], (*ROWS[1][:-1], "table_1: none")])
    runs = Store(root / "runs").listed("figure_burn_in")
    (root / "runs/sweeps/table_1.json").write_text(json.dumps({"runs": runs}))
    assert found(root)[0] == [
        f"{root}/figures/claims.csv: decided before there were runs of table_1; "
        "decide the claims again: python -m scripts.claims"
    ]


@pytest.mark.parametrize(("source", "says"), [
    ("figure_1_unit.png", "drawn as figure_1_unit.png; draw it again"),
    ("figure_burn_in.png", "drawn as figure_burn_in.png; draw it again"),
    ("figure_1.csv", UNMARKED),
    (None, "a link, not a picture of this folder; delete it and draw it again"),  # even to the true one
])  # fmt: skip
def test_a_replaced_picture(source, says, root):
    file = root / "figures/figure_1.png"
    if source:
        shutil.copyfile(root / "figures" / source, file)
    else:
        file.rename(root / "true")
        file.symlink_to(root / "true")
    lines, _, pictures, _ = found(root)
    assert lines == [f"{file}: {says}"] and pictures == PICTURES - {"figure_1"}


def test_a_file_of_another_name_is_left_alone(root):
    before = found(root)
    for name in ("javascript:alert(1)", "figure_1_a b", 'figure_1_"onload=x', "x"):
        shutil.copyfile(root / "figures/figure_1.csv", root / f"figures/{name}.csv")
    assert found(root) == before
