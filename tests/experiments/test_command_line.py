"""What a command line makes: a sweep's name, a range's values; and a stdout that fails costs no run."""

import os
import re
import shutil
import subprocess
import sys

import pytest
from hydra.core.config_store import ConfigStore

from experiments.runs import app, command_line, streams
from experiments.runs.registry import maker
from experiments.runs.store import Store
from tests.experiments.launch import ROOT, launch, made, within

pytestmark = pytest.mark.usefixtures("warm")
JOBLIB = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")


@pytest.fixture
def paper(tmp_path):
    """A store with a list that stands for the paper's sweep."""
    listed = tmp_path / "sweeps/figure_burn_in.json"
    listed.parent.mkdir()
    listed.write_text("the paper's")
    yield tmp_path
    assert listed.read_text() == "the paper's"


def lists(root):
    """The lists of a store but for the paper's: name -> number of runs."""
    return {name: len(Store(root).listed(name)) for name in Store(root).sweeps() if name != "figure_burn_in"}


def test_a_changed_sweep_has_a_list_of_its_own(paper):
    words = ("sweep=figure_burn_in", "b0=[0.02]", "seed=3", "scale=smoke", f"runs={paper}")
    first = launch(*words)
    assert made(first) == 2
    [(name, count)] = lists(paper).items()
    assert count == 2 and name.startswith("figure_burn_in-") and len(name) == len("figure_burn_in-") + 6
    assert first.stdout.splitlines()[:2] == [
        f"figure_burn_in with b0=[0.02] seed=3 is listed as {name}; "
        f"python -m scripts.figure_burn_in --sweep {name} --scale smoke --runs {paper} draws it",
        f"{name}: 2 runs in 2 jobs, 2 to make in {paper}",
    ]
    order = ("seed=3", f"runs={paper}", *JOBLIB, "scale=smoke", "sweep=figure_burn_in", "b0=[0.02]")
    assert "nothing to train" in launch(*order).stdout
    assert launch(*words, "hydra.sweeper.params.method=adaloss").returncode == 0
    assert sorted(lists(paper).values()) == [1, 2]


@pytest.mark.parametrize("word", ["+hydra.sweeper.params.seed=7", "~hydra.sweeper.params.method"])
def test_what_changes_the_jobs_changes_the_sweep(word, paper):
    assert made(launch("sweep=figure_burn_in", "scale=smoke", f"runs={paper}", word)) > 0
    assert len(lists(paper)) == 1


def test_python_has_many_ways_to_start_a_module(tmp_path):
    for words in (
        ["-um", "experiments.gram"],
        ["-Bmexperiments.gram"],
        ["-X", "dev", "-Wignore", "-m", "experiments.gram"],
    ):
        command = [sys.executable, *words, "data.n=10", f"runs={tmp_path}"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), words


def test_a_group_that_is_not_one_is_a_line(monkeypatch, tmp_path):
    file, before = tmp_path / "mine.yaml", list(ConfigStore.instance().repo)
    for content in (b"mine: 3", b"mine:\n\tx: 3", b"mine: {x: 1}\nmine: {x: 2}", b"mine: \xff", None):
        file.write_bytes(content) if content else (file.unlink(), file.mkdir())
        monkeypatch.setattr(command_line, "GROUPS", {"mine": file})
        monkeypatch.setattr(app, "WRONG_GROUPS", list(command_line._wrong_groups()))
        result = within("gram", "data.n=10", f"runs={tmp_path}")
        assert result.returncode == 2 and result.stderr.startswith(f"error: {file}: not a group of options ("), content
        assert len(result.stderr.splitlines()) == 1
    assert list(ConfigStore.instance().repo) == before


def test_a_plan_knows_what_hydra_knows(tmp_path):
    words = ("b0=1,2", "data.n=20", "data.d=3", "iterations=5", "sweep.name=${hydra:job.name}")
    assert made(launch("-m", *words, f"runs=${{hydra:runtime.cwd}}/{os.path.relpath(tmp_path, ROOT)}")) == 2
    assert lists(tmp_path) == {"linear_regression": 2}


def test_paths_are_those_of_the_command(tmp_path):
    """hydra.job.chdir=true has jobs run elsewhere."""
    (tmp_path / "news").mkdir()
    here = os.path.relpath(tmp_path, ROOT)
    for words in ((), ("-m",)):
        result = launch(*words, "data=news", f"data.path={here}/news", "hydra.job.chdir=true",
                        f"hydra.run.dir={tmp_path}/out", f"hydra.sweep.dir={tmp_path}/out", f"runs={here}/runs",
                        experiment="lstm")  # fmt: skip
        assert f"{here}/news: should have True.csv and Fake.csv in it" in result.stderr


def test_too_little_memory_is_a_line_and_no_failed_run(tmp_path):
    """torch has a RuntimeError for it, the Gram matrix a MemoryError with its size."""
    for experiment, word, says in (
        ("gram", "data.n=10000000", "x: n=10000000 rows need"),
        ("lstm", "hidden=1000000000", "can't allocate memory"),
    ):
        result = launch(
            word, "data.d=2" if experiment == "gram" else "epochs=1", f"runs={tmp_path}", experiment=experiment
        )
        assert result.returncode == 2 and says in result.stderr and len(result.stderr.splitlines()) == 1
        assert not [*tmp_path.glob("*/*-*")]


def test_where_and_how_a_sweep_is_made_does_not_change_it(tmp_path):
    cut = ("method=adagrad_norm,adaloss",)  # the same runs in another order
    folders = []
    for words in ((), ("sweep.name=figure_burn_in", "hydra.sweeper.max_batch_size=5", "-m"), cut):
        assert "listed as" not in launch("sweep=figure_burn_in", f"runs={tmp_path}", *words).stdout
        [listed] = (tmp_path / "sweeps").iterdir()
        folders.append((listed.name, listed.read_text()))
    assert folders[0] == folders[1] == folders[2]


def test_the_name_of_the_papers_sweep_does_not_make_it(paper):
    result = launch("-m", "sweep.name=figure_burn_in", "b0=1,2", "iterations=20", f"runs={paper}")
    assert made(result) == 2
    [(name, count)] = lists(paper).items()
    assert count == 2 and name.startswith("figure_burn_in-")
    assert result.stdout.startswith(f"figure_burn_in with b0=1,2 iterations=20 is listed as {name}; ")
    own = ("sweep=figure_burn_in", "sweep.name=my-own.2", "b0=1", "iterations=200")
    assert launch("-m", *own, f"runs={paper}").returncode == 0
    assert sorted(lists(paper)) == [name, "my-own.2"]


def test_fields_that_a_sweep_leaves_open_do_not_change_it(tmp_path):
    """data=news has path: ???, which whoever has the articles fills in."""
    for name, label in (("True", "REAL"), ("Fake", "FAKE")):
        rows = "".join(f"title {k},{label} words {k} of it,politics,today\n" for k in range(30))
        (tmp_path / f"{name}.csv").write_text("title,text,subject,date\n" + rows)
    words = ("-m", "sweep=figure_4", "scale=paper", f"data.path={tmp_path}", f"runs={tmp_path / 'runs'}")
    for change, told in (([], False), (["epochs=1"], True)):
        # made runs would take hours: what is looked at comes before them
        result = launch(*words, *change, "hydra/launcher=joblib", "hydra.launcher.n_jobs=0", experiment="lstm")
        assert ("is listed as figure_4-" in result.stdout) == told
        assert " runs in 4 jobs, " in result.stdout
        assert result.stderr.startswith("error: hydra.launcher.n_jobs=0: should be a number of processes")


def test_an_option_of_ones_own_is_a_file_in_a_folder_of_its_group(tmp_path):
    """It is one more of its group's, and may start from one of them."""
    (tmp_path / "options/method").mkdir(parents=True)
    (tmp_path / "options/method/mine.yaml").write_text("defaults: [adaloss, _self_]\nc: 0.5\n")
    words = (f"hydra.searchpath=[{tmp_path / 'options'}]", "b0=1", "iterations=20", f"runs={tmp_path / 'runs'}")
    assert made(launch("-m", "method=mine", *words)) == 1
    [mine] = values(tmp_path / "runs", "method")
    assert mine == {"name": "adaloss", "alpha": 2.0, "c": 0.5, "c_unit": "absolute"}
    assert "method.c=0.5 " in launch("--help", "method=mine", *words).stdout
    assert " adamloss mine sgd_constant " in launch("method=yours", *words).stderr


@pytest.mark.parametrize("way", ["--config-dir={} -m", "-m hydra.searchpath=[{}]"])
def test_a_sweep_of_ones_own_may_lie_elsewhere(way, paper):
    """It is listed under its name, with what the command line changes; the name of the paper's is taken."""
    head, mode = "# @package _global_\n", "hydra: {mode: MULTIRUN, sweeper: {params: {method: adaloss}}}\n"
    (paper / "options/sweep").mkdir(parents=True)
    for file, name in (("mine", "mine"), ("posing", "figure_burn_in")):
        text = f"{head}sweep: {{name: {name}}}\nb0: [1, 2]\n{mode}"
        (paper / f"options/sweep/{file}.yaml").write_text(text)
        words = (f"sweep={file}", "iterations=20", f"runs={paper}")
        assert launch(*way.format(paper / "options").split(), *words).returncode == 0
    assert {name.partition("-")[0]: count for name, count in lists(paper).items()} == {"mine": 2, "figure_burn_in": 2}


def test_a_checkout_lies_anywhere_and_an_editor_has_its_files_open(tmp_path):
    root = tmp_path / "a b=c,[x]'é $y"
    for folder in ("adaloss", "configs", "experiments", "hydra_plugins"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("configs/.#method.yaml", "configs/sweep/.#figure_1.yaml"):  # what Emacs makes
        (root / file).symlink_to("me@machine.1")
    words = [sys.executable, "-m", "experiments.linear_regression", "-m", "b0=1,2", "iterations=20", "sweep.name=mine"]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(words, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert lists(root / "runs/laptop") == {"mine": 2}


def test_a_sweep_belongs_to_one_experiment():
    assert [maker(name) for name in ("figure_1", "figure_4", "cost")] == ["linear_regression", "lstm", "cost"]


def values(root, field):
    return sorted(Store(root).load(folder).config[field] for folder in Store(root).folders())


def test_cells_with_one_label_are_told(tmp_path):
    words = ("b0=[0.3,0.30000000000000004]", "iterations=20", "data=spectrum", f"runs={tmp_path}")
    for way in ((), ("-m",)):
        result = launch(*way, *words)
        assert "note: two runs or more are called adaloss_spectrum_b0=0.3_seed=0: " in result.stdout
    assert len(list(tmp_path.glob("linear_regression/adaloss_spectrum_b0=0.3_seed=0-*"))) == 2


def test_of_a_field_given_twice_the_last_value_counts(tmp_path):
    for way in ((), ("-m",)):
        assert launch(*way, "b0=1", "b0=2", "iterations=20", "data=spectrum", f"runs={tmp_path}").returncode == 0
    assert values(tmp_path, "b0") == [2]


def test_one_number_is_one_run_however_it_is_written(tmp_path):
    for words, new in ((("b0=1", "method.c=0"), 1), (("b0=1.0", "method.c=-0.0"), 0), (("b0=1e0", "method.c=-0"), 0)):
        assert made(launch(*words, "iterations=20", f"runs={tmp_path}")) == new


def full():
    os.dup2(os.open("/dev/full", os.O_WRONLY), 1)


def unread():
    reading, writing = os.pipe()
    os.close(reading)
    os.dup2(writing, 1)


def closed():
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.close(number)
        setattr(sys, name, None)
        setattr(sys, f"__{name}__", None)


@pytest.mark.parametrize(("stdout", "launcher"), [(full, ()), (unread, ()), (closed, JOBLIB)])
def test_a_stdout_that_fails_costs_no_run(stdout, launcher, tmp_path):
    words = ("-m", "b0=1,2", "iterations=20", "data=spectrum", f"runs={tmp_path}", *launcher)
    result = launch(*words, prepare=stdout)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert len(list(tmp_path.glob("linear_regression/*"))) == 2


def test_streams_that_are_somebodys_stay(capsys):
    before = sys.stdout, sys.stderr
    streams.guard()
    assert (sys.stdout, sys.stderr) == before


def test_a_field_that_follows_another_follows_it_in_each_job(tmp_path):
    """hydra#725: ``b0=${eta}`` means the job's eta, not the default one."""
    assert made(launch("-m", "eta=0.5,2", "b0=${eta}", "iterations=20", f"runs={tmp_path}")) == 2
    assert values(tmp_path, "eta") == values(tmp_path, "b0") == [0.5, 2.0]


@pytest.mark.parametrize("way", [(), ("-m",)])
def test_a_name_that_is_used_again_says_which_runs_it_loses(way, tmp_path):
    words = (*way, "iterations=20", "sweep.name=two", f"runs={tmp_path}")
    said, before = [], set()
    for b0 in ("b0=[1,2]", "b0=[2,3,4]", "b0=[2,3,4]", "b0=[1,2,3,4]"):
        out = launch(*words, b0).stdout
        now = {*Store(tmp_path).listed("two")}
        said.append(
            (len(before - now), re.findall(r"note: two lists other runs now, and no longer (\d+) of those", out))
        )
        before = now
    assert said == [(0, []), (1, ["1"]), (0, []), (0, [])]


@pytest.mark.parametrize("way", [(), ("-m",)])
def test_a_folder_that_was_deleted_is_named(way, tmp_path):
    (tmp_path / "gone").mkdir()

    def deleted():
        os.chdir(tmp_path / "gone")
        os.environ["PWD"] = str(tmp_path / "gone")
        (tmp_path / "gone").rmdir()

    done = launch(*way, "iterations=20", f"runs={tmp_path}", prepare=deleted)
    line = f"error: {tmp_path}/gone: the folder of this command was deleted; go to another one (cd)\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", line)


@pytest.mark.parametrize("word", ["hydra.sweep.subdir=${hydra.job.num}", "hydra.sweep.subdir=${hydra.job.id}"])
def test_a_folder_of_hydras_may_be_named_by_the_job(word, tmp_path):
    assert made(launch("-m", "b0=1,2", "iterations=20", word, f"runs={tmp_path}")) == 2
    assert values(tmp_path, "b0") == [1, 2]


@pytest.mark.parametrize("name", ["linear_regression", "vit"])  # a module, and a package
def test_hydra_calls_a_job_by_its_experiment(name):
    assert within(name, "--cfg", "hydra", "-p", "hydra.job.name").stdout.split() == [name]


@pytest.mark.parametrize("words", [["hydra.job.chdir=true"], ["-m", "hydra.job.chdir=true", "b0=1,2"]], ids=str)
def test_runs_lie_where_the_command_was_given(tmp_path, words):
    """Hydra's jobs may work in a folder of their own; the store is the one that was named, and it is said which."""
    arguments = [sys.executable, "-m", "experiments.linear_regression", *words, "iterations=20", "runs=mine"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONPROFILEIMPORTTIME": "1"}
    done = subprocess.run(arguments, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"note: runs are saved in {tmp_path / 'mine'}\n" in done.stdout
    assert len(Store(tmp_path / "mine").folders()) == max(len(words[2:]) * 2, 1)
    slow = r"\| +(torch|numba|scipy\.sparse|sklearn|matplotlib|joblib|submitit|asyncio)$"  # to import, and not needed
    assert re.findall(slow, done.stderr, re.MULTILINE) == []
