"""A run's identity changes with exactly the code and the data that its numbers depend on."""

import re
import shutil
import subprocess

import pytest

from experiments.runs import identity
from experiments.runs.identity import reached
from tests.experiments.launch import ROOT, command, made_by_job


def test_what_an_experiment_reaches():
    found = reached(("experiments.linear_regression", "experiments.data.gaussian"))
    assert found == {
        "adaloss",
        "adaloss.arguments",
        "adaloss.simulate",
        "adaloss.simulate.linear_regression",
        "adaloss.stepsizes",
        "experiments.data",
        "experiments.data.gaussian",
        "experiments.linear_regression",
        "experiments.record",
    }


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the project whose code may be changed."""
    copy = tmp_path_factory.mktemp("project")
    for name in ("adaloss", "experiments", "hydra_plugins", "configs", "scripts"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def sweep(project):
    """How many runs each of the jobs that lack some made: on the Gaussian data, and on the diabetes data."""
    words = command("-m", "data=gaussian,diabetes", "b0=[1,10]", "iterations=50", "runs=runs")
    result = subprocess.run(words, cwd=project, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return tuple(made_by_job(result.stdout))


def test_changed_lines_make_exactly_the_runs_that_depend_on_them(project):
    assert sweep(project) == (2, 2)

    def edit(file):
        path = project / file
        path.write_text(path.read_text() + "\nCHANGED = True\n")

    edit("experiments/data/diabetes.py")
    assert sweep(project) == (2,)
    for harmless in (
        "experiments/runs/store.py",
        "experiments/runs/app.py",
        "experiments/methods.py",
        "scripts/figure_1.py",
        "adaloss/simulate/eigenbasis.py",
    ):
        edit(harmless)
    for reworded in ("experiments/linear_regression.py", "adaloss/simulate/linear_regression.py"):
        path = project / reworded
        source, count = re.subn(r'^( *""")(?=[A-Z])', r"\1In other words: ", path.read_text(), flags=re.MULTILINE)
        assert count > 5
        path.write_text(source.replace("\n\n\n", "\n\n\n\n# a remark\n"))
    assert sweep(project) == ()
    edit("adaloss/stepsizes.py")
    assert sweep(project) == (2, 2)


def test_relative_imports_are_imports(tmp_path, monkeypatch):
    """Ours are absolute; those of an experiment of one's own need not be."""
    for name, line in {
        "mine/__init__.py": "from .deep import scale", "mine/deep/__init__.py": "from . import scale",
        "mine/deep/scale.py": "from ..other import x", "mine/other.py": "",
    }.items():  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(line)
    monkeypatch.setattr(identity, "ROOT", tmp_path)
    assert reached(("mine",), ("mine",)) == {"mine", "mine.deep", "mine.deep.scale", "mine.other"}
