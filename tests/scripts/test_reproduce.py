"""make reproduce's lines: each stage in its order, what it found and took, and what it said if it failed."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from adaloss.runs import files
from experiments.runs import identity
from experiments.runs.registry import listed
from experiments.runs.store import Store
from scripts import reproduce
from scripts.reproduce import Reproduction, Stage, stages
from scripts.shared import stages as records
from tests.scripts.synthetic import saved


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
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "say.py").write_text("import sys\nprint(sys.argv[1])\nsys.exit(int(sys.argv[2]))")
    folder = tmp_path / "figures/smoke"
    folder.mkdir(parents=True)
    (folder / "times.json").write_text(json.dumps({"a: runs": 65, "b": 7.0}))
    todo = [
        Stage("a: runs", ["say", "a: 6 runs in 3 jobs, 0 to make in x", "0"], "a"),
        Stage("b", ["say", "drawn", "0"], "b"),
        Stage("c: runs", ["say", "c: 6 runs in 3 jobs, 2 to make in x", "0"], "c"),
        Stage("d", ["say", "error: no disk", "3"]),
        Stage("e", ["say", "never", "0"]),
    ]
    reproduction = Reproduction(folder, todo)
    with pytest.raises(SystemExit) as stop:
        reproduction.run(todo)
    assert stop.value.code == 3 and reproduction.said["b"] == "drawn" and "d" not in reproduction.said
    first, second, third, *failed = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"\[1/5\] a: runs  0:0\d of about 1:05, complete already", first)
    assert re.fullmatch(r"\[2/5\] b        0:0\d of about 0:07", second)
    assert re.fullmatch(r"\[3/5\] c: runs  0:0\d, 2 of 6 runs made", third)
    assert failed == ["[4/5] d        failed: python -m say error: no disk 3", "error: no disk", ""]
    times = json.loads((folder / "times.json").read_text())
    assert times["a: runs"] == 65 and times["b"] < 7 and times["c: runs"] < 7 and "d" not in times  # 0 made: no time
    assert (folder / "logs/b.log").read_text() == "drawn\n"


def test_a_minute_has_sixty_seconds():
    assert [reproduce.clock(seconds) for seconds in (0.4, 59.4, 59.6, 119.7, 3599.6)] == [
        "0:00", "0:59", "1:00", "2:00", "60:00",
    ]  # fmt: skip


def test_two_at_a_time(tmp_path, monkeypatch):
    """The first in order, then the longest; figures wait for their runs and for each other, the claims for all."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "figures/smoke"
    folder.mkdir(parents=True)
    names = ["a", "b", "c", "d"]
    (folder / "times.json").write_text(json.dumps({"b: runs": 5, "c: runs": 40, "d: runs": 10}))
    todo = [
        stage
        for name in names
        for stage in (
            Stage(f"{name}: runs", ["experiments.train", name], name),
            Stage(f"{name}: figure", ["scripts.draw", name], name),
        )
    ]
    todo += [Stage(name, [f"scripts.{name}"]) for name in ("claims", "report")]
    reproduction, began = Reproduction(folder, todo, 2), []

    def begin(stage):
        reproduction.running.append(SimpleNamespace(stage=stage))
        began.append(stage.name)

    def end(name):
        """The stage ends; which one has begun last."""
        reproduction.running = [one for one in reproduction.running if one.stage.name != name]
        reproduction._fill()
        return began[-1]

    monkeypatch.setattr(reproduction, "_begin", begin)
    reproduction.waiting = [*todo]
    reproduction._fill()
    assert began == ["a: runs", "c: runs"]  # the first and the longest
    assert end("a: runs") == "a: figure"
    assert end("c: runs") == "d: runs"  # its figure waits for the one being drawn
    assert end("a: figure") == "c: figure"
    assert end("d: runs") == "b: runs"
    assert end("b: runs") == "b: runs"  # two figures wait
    assert end("c: figure") == "b: figure"
    assert end("b: figure") == "d: figure"
    assert end("d: figure") == "claims" and len(reproduction.running) == 1
    assert end("claims") == "report"


def test_a_stage_that_fails_ends_the_other(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "fail.py").write_text("raise SystemExit(3)")
    (tmp_path / "last.py").write_text("import time\ntime.sleep(600)")
    todo = [Stage("a", ["last"], "a"), Stage("b", ["fail"], "b")]
    reproduction = Reproduction(tmp_path / "figures/smoke", todo, 2)
    with pytest.raises(SystemExit) as stop:
        reproduction.run(todo)
    [other] = reproduction.running
    assert (stop.value.code, other.process.exitcode) == (3, -signal.SIGTERM)
    assert capsys.readouterr().out == "[1/2] b  failed: python -m fail\n\n"


def test_a_contradiction_comes_after_what_is_done(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "say.py").write_text("import sys\nprint(sys.argv[1])\nsys.exit(int(sys.argv[2]))")
    todo = [Stage("claims", ["say", "2 claims", "0"]), Stage("agreement", ["say", "1 contradiction", "1"])]
    monkeypatch.setattr(reproduce, "stages", lambda scale, jobs: todo)
    processes = SimpleNamespace(Process=Process, set_forkserver_preload=list)
    monkeypatch.setattr(reproduce, "PROCESSES", processes)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(sys, "warnoptions", [])
    monkeypatch.setattr(sys, "argv", ["reproduce", "--scale", "smoke"])
    with pytest.raises(SystemExit) as stop:
        reproduce.main()
    assert stop.value.code == 1
    first, done, claims, report, *failed = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"\[1/2\] claims     0:0\d", first) and re.fullmatch(r"done in 0:0\d", done)
    assert (claims, report.partition(";")[0]) == ("2 claims", "report: figures/smoke/report.html")
    assert failed == ["[2/2] agreement  failed: python -m say 1 contradiction 1", "1 contradiction", ""]


# a project of three stages: what "sweep=a" makes is there, "draw" shows it, and "report" shows all
FILES = {
    "experiments/__init__.py": "",
    "scripts/__init__.py": "",
    "adaloss/rule.py": "b = 1",
    "configs/base.yaml": "b0: 1",
    "experiments/train.py": "print('a: 2 runs in 1 jobs, 0 to make in runs/small')",
    "scripts/draw.py": "import sys\nfrom pathlib import Path\nfrom scripts import shared\n"
    "Path('figures/small/a.png').write_text(shared.text)\nsys.exit(Path('full').exists())",
    "scripts/shared.py": "text = 'a picture'",
    "scripts/report.py": "from pathlib import Path\n"
    "Path('figures/small/report.html').write_text('a page')\nprint('said')",
}
PROJECT = [
    Stage("runs", ["experiments.train", "sweep=a"], "a"),
    Stage("figure", ["scripts.draw"], "a"),
    Stage("report", ["scripts.report"], shows=True),
]
ALL = ["runs", "figure", "report"]
RUN = "runs/small/made_up/cell_1-*/history.parquet"


def write(name, text="changed = 1"):
    [file] = Path().glob(name) if "*" in name else [Path(name)]
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)


def fails(monkeypatch):
    """The figure is to be drawn again, and cannot be; then there is room again."""
    write("full")
    Path("figures/small/a.png").unlink()
    with pytest.raises(SystemExit):
        made()
    Path("full").unlink()


def lists(monkeypatch):
    """The sweep has one run less."""
    store = Store("runs/small")
    chosen = store.load_sweep("a")[0]
    store.save_sweep("a", [SimpleNamespace(folder=f"made_up/{chosen.path.name}")])


def install(monkeypatch, version):
    """One package: to read what is said of all takes a third of a second, and a test reads it four times."""
    monkeypatch.setattr(records, "distributions", lambda: [SimpleNamespace(name="torch", version=version)])


class Process:
    """A process of its own, over when it has started: those of multiprocessing have the true project's packages."""

    sentinel = os.open(os.devnull, os.O_RDONLY)  # which ``wait`` finds ready

    def __init__(self, target, args):
        self.words, self.output = args

    def start(self):
        with self.output.open("ab") as file:
            done = subprocess.run([sys.executable, "-m", *self.words], stdout=file, stderr=file, check=False)
        self.exitcode = done.returncode

    def is_alive(self):
        return False


@pytest.fixture
def project(tmp_path, monkeypatch):
    """The project, all stages complete; entered."""
    monkeypatch.chdir(tmp_path)
    for module in (identity, records):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(reproduce, "PROCESSES", SimpleNamespace(Process=Process))
    install(monkeypatch, "2.13.0")
    identity._tree.cache_clear()
    for name, text in FILES.items():
        Path(name).parent.mkdir(exist_ok=True)
        write(name, text)
    Path("figures/published").mkdir(parents=True)
    saved(Path("runs/small"), "a", [({"b0": b0}, {"loss": [b0]}, {}) for b0 in (1.0, 2.0)])
    assert made() == ALL and made() == []
    yield
    identity._tree.cache_clear()


def made():
    """The stages that one call runs."""
    reproduction = Reproduction(Path("figures/small"), PROJECT)
    ran, begin = [], reproduction.records.begin
    reproduction.records.begin = lambda stage: ran.append(stage.name) or begin(stage)
    assert reproduction.run(PROJECT)["report"] == "said"
    return ran


@pytest.mark.parametrize(
    ("change", "again"),
    [
        (lambda _: write("adaloss/rule.py", "b = 2"), ALL),
        (lambda _: write("adaloss/new.py"), ALL),
        (lambda _: write("configs/base.yaml", "b0: 2"), ALL),
        (lambda _: write("adaloss/__pycache__/kernel.py311.nbi"), []),
        (lambda _: write("scripts/shared.py", "text = 'another'"), ["figure", "report"]),
        (lambda _: write("scripts/report.py", FILES["scripts/report.py"] + "\n"), ["report"]),
        (lambda patch: install(patch, "2.13.1"), ALL),
        (lambda _: write(RUN), ALL),
        (lambda _: shutil.rmtree(Store("runs/small").load_sweep("a")[0].path), ALL),
        (lists, ALL),
        (lambda _: write("figures/small/a.png", "a pictur3"), ["figure", "report"]),
        (lambda _: Path("figures/small/report.html").unlink(), ["report"]),
        (lambda _: write("figures/published/claims.csv"), ["report"]),
        (fails, ["figure", "report"]),
        (lambda _: write("figures/small/.stages.json", "{"), ALL),
        (lambda _: write("figures/small/.stages.json", '{"runs": {"made": 1}, "report": 2}'), ALL),
        (lambda _: (write("figures/small/.stages.json", "[]"), write("figures/small/times.json", "[]")), ALL),
        (lambda _: write("README.md"), []),
    ],
)
def test_a_stage_runs_again_if_what_it_was_made_from_or_wrote_has_changed(change, again, project, monkeypatch):
    change(monkeypatch)
    assert made() == again
    assert made() == []


def test_two_may_replace_a_file_at_once(tmp_path):
    """The times of the stages, by two ``make reproduce``."""
    contents = [bytes([k]) * 1000 for k in range(100)]
    with ThreadPoolExecutor(4) as writers:
        list(writers.map(partial(files.replace, tmp_path / "times.json"), contents))
    assert [path.name for path in tmp_path.iterdir()] == ["times.json"]
    assert (tmp_path / "times.json").read_bytes() in contents
