"""make reproduce's lines: each stage in its order, what it found and took, and what it said if it failed."""

import json
import re

import pytest

from experiments.runs.registry import listed
from scripts.reproduce import Log, Stage, stages


def test_the_stages_are_the_sweeps_then_claims_and_report():
    found = [*stages("smoke", 2)]
    papers = [name for name, one in listed().items() if one.part == "paper"]
    facts = [name for name, one in listed().items() if one.part == "facts"]
    wanted = [f"{name}: {what}" for name in papers for what in ("runs", "figure")] + [f"{name}: runs" for name in facts]
    assert [stage.name for stage in found] == [*wanted, "claims", "report", "agreement"]
    assert found[0].words[:3] == ["experiments.linear_regression", "sweep=figure_1", "scale=smoke"]
    assert found[1].words == ["scripts.figure_1", "--scale", "smoke"]


def test_a_line_for_each_stage(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "say.py").write_text("import sys\nprint(sys.argv[1])\nsys.exit(int(sys.argv[2]))")
    folder = tmp_path / "figures/smoke"
    folder.mkdir(parents=True)
    (folder / "times.json").write_text(json.dumps({"a: runs": 65, "b": 7.0}))
    log = Log(folder)
    log.run(Stage("a: runs", ["say", "a: 6 runs in 3 jobs, 0 to make in x", "0"]), "[1/4] a")
    assert log.run(Stage("b", ["say", "drawn", "0"]), "[2/4] b") == "drawn"
    log.run(Stage("c: runs", ["say", "c: 6 runs in 3 jobs, 2 to make in x", "0"]), "[3/4] c")
    with pytest.raises(SystemExit) as stop:
        log.run(Stage("d", ["say", "error: no disk", "3"]), "[4/4] d")
    assert stop.value.code == 3
    first, second, third, *failed = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"\[1/4\] a  0:0\d of about 1:05, complete already", first)
    assert re.fullmatch(r"\[2/4\] b  0:0\d of about 0:07", second)
    assert re.fullmatch(r"\[3/4\] c  0:0\d, 2 of 6 runs made", third)
    assert failed[:2] == ["[4/4] d  failed: python -m say error: no disk 3", "error: no disk"]
    times = json.loads((folder / "times.json").read_text())
    assert times["a: runs"] == 65 and times["b"] < 7 and times["c: runs"] < 7 and "d" not in times  # 0 made: no time
    assert (folder / "reproduce.log").read_text().splitlines()[1] == "drawn"
