"""What each kind of file says of its runs; no byte of either changes unseen, and no mark is too odd for one line."""

import hashlib
import json
import shutil
import zlib
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from experiments.runs.store import Run, Store
from scripts.provenance import drawing
from scripts.shared import marks
from scripts.shared.output import Output
from tests.experiments.launch import ROOT
from tests.scripts.synthetic import check, saved

COUNT = 100  # so that a PDF's mark is longer than its lines
SUFFIXES = ("png", "pdf", "svg", "csv", "md", "tex")
FILE = "figures/small/figure_0.csv"
UNMARKED = "carries no mark of its runs; draw it again"


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


@pytest.fixture
def copied(drawn, tmp_path, monkeypatch):
    """A copy of the files, to change, beside the runs; entered."""
    shutil.copytree(drawn / "figures", tmp_path / "figures")
    (tmp_path / "runs").symlink_to(drawn / "runs")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def owned(drawn, copied):
    """The same with runs to change."""
    (copied / "runs").unlink()
    shutil.copytree(drawn / "runs", copied / "runs")
    return copied


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_kind_of_file_says_what_made_it(suffix, copied, monkeypatch, capsys):
    store = Store("runs/small")
    ids = sorted(folder.rpartition("-")[2] for folder in store.listed("figure_0"))
    found = marks.parsed(f".{suffix}", (copied / f"figures/small/figure_0.{suffix}").read_bytes())
    assert found["sweep"] == "figure_0" and found["versions"]["numpy"] == np.__version__
    if suffix in ("png", "pdf", "svg"):
        assert found["runs"] == ids
    else:
        digest = hashlib.sha256(" ".join(ids).encode()).hexdigest()
        assert found["runs"] == COUNT and len(found["digest"]) >= 8 and digest.startswith(found["digest"])
    commit = store.load_sweep("figure_0")[0].summary["commit"]
    status, out, problems = check(monkeypatch, capsys, f"figures/small/figure_0.{suffix}")
    assert (status, problems) == (0, [])
    assert f"sweep figure_0, {COUNT} runs; drawn at commit {commit} with python " in out
    assert f"{COUNT} runs in runs/small are as they were saved; made at commit {commit}\n" in out


def test_a_table_is_read_below_its_mark(copied):
    assert list(pd.read_csv(FILE, comment="#").k) == list(range(COUNT))
    assert len((copied / FILE).read_text().splitlines()[0]) < 600


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_any_byte_that_changes_is_seen(suffix, drawn):
    content = (drawn / f"figures/small/figure_0.{suffix}").read_bytes()
    others = [content + b"\n", content[:-1]]
    for at in range(0, len(content), max(1, len(content) // 300)):
        others.append(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
    for other in others:
        try:
            assert marks.problem(f".{suffix}", other, marks.parsed(f".{suffix}", other)) is not None
        except ValueError as error:
            assert "\n" not in str(error)


@pytest.mark.parametrize("checksum", [None, "", 3, [], marks.BLANK, "0" * 63])
def test_no_checksum_is_a_problem(checksum, copied, monkeypatch, capsys):
    line, _, rows = (copied / FILE).read_text().partition("\n")
    found = json.loads(line.removeprefix("# ")) | {"content": checksum}
    if checksum is None:
        del found["content"]  # as in files of older versions
    (copied / FILE).write_text(f"# {json.dumps(found)}\n{rows}")
    assert check(monkeypatch, capsys, FILE)[2] == [f"error: {FILE}: carries no checksum of its content; draw it again"]


HEAD = '{"sweep": "figure_0", "runs": 1, "digest": "0", "commit": "0", "versions": {}'
ODD = [
    "[" * 100_000,
    '{"sweep": ' * 100_000,
    HEAD + f', "more": {"[" * 50_000}{"]" * 50_000}}}',
    HEAD + f', "more": "{"x" * 2_000_000}"}}',
    HEAD.replace('"runs": 1', '"runs": ' + "9" * 10_000) + "}",
    HEAD.replace('"0"', '"\\u001b[2J"') + "}",
    HEAD.replace("figure_0", "../../x") + "}",
    *("[]", "3", "null", "{}", "", "\x00", HEAD),
]


def test_an_odd_mark_is_one_line(drawn):
    old = (drawn / "figures/small/figure_0.png").read_bytes()
    for text in ODD:
        data = b"tEXtDescription\0" + text.encode()
        chunk = (len(data) - 4).to_bytes(4) + data + zlib.crc32(data).to_bytes(4)
        # behind the header, before the true one
        for suffix, content in ((".csv", f"# {text}\nk\n1\n".encode()), (".png", old[:33] + chunk + old[33:])):
            with pytest.raises(ValueError, match=f"^{UNMARKED}$"):
                marks.parsed(suffix, content)
    for content in (b"", marks.PNG, marks.PNG + b"\xff\xff\xff\xffIDAT", marks.PNG + b"\0\0\0\0IEND"):  # half a picture
        with pytest.raises(ValueError, match=f"^{UNMARKED}$"):
            marks.parsed(".png", content)


def test_files_that_cannot_be_read(copied, monkeypatch, capsys):
    plt.figure(figsize=(1, 1)).savefig("plain.png")
    plt.close("all")
    copied.joinpath("plain.csv").write_text("a,b\n1,2\n")
    copied.joinpath("plain.svg").write_text("no picture")
    copied.joinpath("evil.csv").write_text('# {"sweep": "../x", "runs": 1, "digest": "", "versions": {}}\n')
    copied.joinpath("figure_0.txt").write_text("")
    copied.joinpath("folder.csv").mkdir()
    copied.joinpath("endless.csv").symlink_to("/dev/zero")
    unmarked, irregular = ("plain.png", "plain.csv", "plain.svg", "evil.csv"), ("folder.csv", "endless.csv")
    status, out, problems = check(monkeypatch, capsys, *unmarked, *irregular, "figure_0.txt", "nowhere.pdf")
    assert (status, out) == (1, "")
    assert problems == [
        *(f"error: {name}: {UNMARKED}" for name in unmarked),
        *(f"error: {name}: no regular file" for name in irregular),
        "error: figure_0.txt: not a figure or table; can be read: .png, .pdf, .svg, .csv, .md, .tex",
        "error: nowhere.pdf: No such file or directory",
    ]


def test_one_byte_of_a_run_is_reported(owned, monkeypatch, capsys):
    folders, files = Store("runs/small").listed("figure_0"), ("config.yaml", "history.parquet", "summary.json")
    for name, folder in zip(files, folders, strict=False):
        victim = owned / "runs/small" / folder / name
        content = victim.read_bytes()
        at = min(40, len(content) - 1)
        victim.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
    status, out, problems = check(monkeypatch, capsys, *(f"figures/small/figure_0.{kind}" for kind in ("csv", "pdf")))
    assert status == 1 and out.count(f"{COUNT - 3} runs in runs/small are as they were saved") == 2
    assert problems == [  # a problem of several files is one line
        f"error: runs/small/{folder}/{name}: missing or not as it was saved; delete runs/small/{folder} and run the "
        "sweep again"
        for name, folder in zip(files, folders, strict=False)
    ]


def test_a_run_that_is_gone(owned, monkeypatch, capsys):
    folder = Store("runs/small").listed("figure_0")[7]
    shutil.rmtree(owned / "runs/small" / folder)
    files = [f"figures/small/figure_0.{kind}" for kind in ("csv", "md", "png")]
    assert check(monkeypatch, capsys, *files)[2] == [
        f"error: runs/small/{folder}: run missing; run the sweep again",
        f"error: figures/small/figure_0.png: runs/small: run {folder[-12:]} is gone; run the sweep figure_0 "
        "again, or draw it again: python -m scripts.figure_0",
    ]


def test_a_sweep_whose_runs_are_others_by_now(owned, monkeypatch, capsys):
    store = Store("runs/small")
    run = Run(experiment="made_up", label="new", config={}, code="new", data="none")
    store.save(run, "completed", pd.DataFrame({"loss": [1.0]}), {}, 0.0)
    store.save_sweep("figure_0", [run])
    # the picture names its runs, and they are still there
    assert check(monkeypatch, capsys, FILE, "figures/small/figure_0.png")[2] == [
        f"error: {FILE}: made from {COUNT} runs that are not the 1 which runs/small now lists as "
        "figure_0; draw it again: python -m scripts.figure_0"
    ]


def test_where_the_runs_are(copied, monkeypatch, capsys):
    (copied / "figures/small").rename(copied / "figures/published")
    status, _, problems = check(monkeypatch, capsys, "figures/published/figure_0.csv")
    assert status == 1 and problems[0].startswith("error: figures/published/figure_0.csv: runs/laptop: no runs there")
    assert check(monkeypatch, capsys, "figures/published/figure_0.csv", "--runs", "runs/small")[0] == 0


@pytest.mark.parametrize(
    ("file", "sweep", "script"),
    [
        ("figure_2_bbc_final.csv", "figure_2_bbc", "figure_2_bbc"),
        ("power/figure_2_bbc_final.csv", "power", "figure_2_bbc --sweep power"),
        ("figure_1-0abc12/figure_1_unit.csv", "figure_1-0abc12", "figure_1 --sweep figure_1-0abc12"),
        ("plots/mine.png", "mine", "plot sweep=mine"),
        ("claims.md", "cost, errata", "claims"),
        ("criteria.csv", "cost, errata", "claims"),
    ],
)
def test_what_draws_a_file_again(file, sweep, script):
    assert drawing(Path("figures/laptop", file), sweep) == script


def test_what_is_published_says_what_made_it():
    files = [file for file in sorted((ROOT / "figures/published").iterdir()) if file.suffix in (".png", ".csv")]
    assert files
    for file in files:
        assert marks.parsed(file.suffix, file.read_bytes())["runs"]
