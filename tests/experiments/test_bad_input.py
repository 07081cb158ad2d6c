"""Wrong configurations end with one line that names field, value and what is allowed, before anything is written."""

import errno
import os
import resource
import shlex
import subprocess
from functools import cache
from pathlib import Path

import pytest

from experiments.runs.command_line import parsed
from experiments.runs.jobs import Composer, composition
from experiments.runs.schema import ConfigError
from tests.experiments.launch import ROOT, command, launch, loader, made, master, within

VALUES = [
    # arguments, words that the line must have
    (["b0=0"], ["b0=0", "greater than 0"]),
    (["b0=nan"], ["b0=nan", "finite"]),
    (["b0=[1,1e-300]"], ["b0=1e-300: should be at least 1e-100"]),
    (["b0=small"], ["b0='small'", "number"]),
    (["b0=1e200"], ["b0=1e+200", "less than or equal to"]),
    (["b0=[]"], ["b0=[]", "at least 1"]),
    (["b0=[1,1.0]"], ["b0=[1, 1.0]", "distinct"]),
    (["b0=[1,[2]]"], ["b0=[2]", "number"]),
    (["b0=[0.1"], ["b0=[0.1", "not understood"]),
    (["b0=???"], ["b0", "Missing mandatory value"]),
    (["bo=1"], ["bo=1", "no such field", "allowed are", "b0"]),
    (["seed=-1"], ["seed=-1", "greater than or equal to 0"]),
    (["seed=[0,1,0]"], ["seed=[0, 1, 0]", "distinct", "[0]"]),
    (["method=adalos"], ["method/adalos", "adaloss", "sgd_constant"]),
    (["method.name=adamloss"], ["method='adamloss'", "allowed are adaloss"]),
    (["method.alpha=0"], ["method.alpha=0", "greater than 0"]),
    (["method.c=nan"], ["method.c=nan", "finite"]),
    (["method.c=-1e308"], ["method.c=-1e+308", "greater than or equal to"]),
    (["method.c_unit=loss"], ["method.c_unit='loss'", "'absolute' or 'f_star'"]),
    (["+method.gamma=1"], ["method.gamma=1", "no such field", "alpha"]),
    (["method=sgd_decay_sqrt", "method.form=cubic"], ["method.form='cubic'", "'linear' or 'root'"]),
    (["eta=0"], ["eta=0", "greater than 0"]),
    (["batch=0"], ["batch=0", "greater than or equal to 1"]),
    (["data=moons"], ["data/moons", "diabetes", "gaussian", "spectrum"]),
    (["data.w_star=zero"], ["data.w_star='zero'", "'normal' or 'unit'"]),
    (["batch=null", "data.d=2000"], ["data.d=2000", "at most data.n=1000"]),
    (["data=spectrum", "data.eigenvalues=[1,2]"], ["data.eigenvalues=[1, 2]", "descending"]),
    (["data=spectrum", "data.s0=0"], ["data.s0=0", "greater than 0"]),
    (["record.windows=[[5,1]]"], ["record.windows=[5, 1]", "first <= last"]),
    (["record.windows=[[1,9999]]"], ["record.windows=[1, 9999]", "5000"]),
    (
        ["record.windows=[[1,1000000000]]"],
        ["record.windows=[1, 1000000000]", "5000"],
    ),  # at once, not after 10^9 numbers
    (["record.windows=[[1,2,3]]"], ["record.windows=[1, 2, 3]", "at most 2"]),
    (["record.log_points=-1"], ["record.log_points=-1", "greater than or equal to 0"]),
    (["record.log_points=0"], ["record.log_points=0", "no iteration"]),
    (["record.columns=[los]"], ["record.columns='los'", "'loss'"]),
    (["scale=huge"], ["scale/huge", "laptop", "paper", "smoke"]),
    (["b0=${nothing}"], ["b0: Interpolation key 'nothing' not found"]),
    (["b0=${oc.env:NOTHING}"], ["b0: KeyError raised while", "'NOTHING' not found"]),
    (["b0.x=1"], ["b0.x=1", "no such field", "b0 has no fields"]),
    (["record.column=[loss]"], ["record.column=[loss]", "no such field in record", "columns, log_points, windows"]),
    (["data=spectrum", "data.d=20"], ["data.d=20", "no such field in data=spectrum", "eigenvalues, name, s0"]),
    (["two_layer", "m=0"], ["m=0: input should be greater than or equal to 1"]),
    (["two_layer", "data=gaussian"], ["data='gaussian': allowed are sphere, near_orthogonal, clusters, digits"]),
    (["two_layer", "eta_unit=lambda"], ["eta_unit='lambda': input should be 'absolute' or 'gram'"]),
    (
        ["two_layer", "method.c_unit=f_star"],
        ["method.c_unit='f_star': should be absolute (f* is 0 for these networks)"],
    ),
    (["two_layer", "batch=5", "record.columns=[linear_loss]"], ["record.columns: linear_loss needs batch=null"]),
    (["gram", "data=gaussian"], ["data='gaussian': allowed are sphere, near_orthogonal, clusters, digits"]),
    (["gram", "data=digits", "data.n=1798"], ["data.n=1798: input should be less than or equal to 1797"]),
    (["gram", "data=near_orthogonal", "data.n=201"], ["data.n=201: should be at most data.d=200 (orthogonal rows)"]),
    (["gram", "data.d=0"], ["data.d=0: input should be greater than or equal to 1"]),
    (["gram", "b0=1"], ["b0=1: no such field; allowed are data, runs, scale, seed, sweep"]),
    (["bounds", "p=true"], ["p=True: input should be a valid integer"]),
    (["bounds", "p=3"], ["p=3: input should be less than or equal to 2"]),
    (["bounds", "eta=3"], ["eta=3: no such field; allowed are d, max_steps, p, problems, runs, scale, seed, sweep"]),
    (["cost", "model=vit"], ["model=vit: no group of configurations here; give one of its fields, model.FIELD=VALUE"]),
    (["ppo", "envs=0"], ["envs=0: input should be greater than or equal to 1"]),
    (["ppo", "method=adaloss"], ["method='adaloss': allowed are adam, adamloss, adam_sqrt"]),
    (["ppo", "env=1"], ["env=1: should be pendulum, or an id of gymnasium's"]),
    (["ppo", "fed=both"], ["fed='both': input should be 'own' or 'joint'"]),
    (["ppo", "envs=4", "steps=40", "batch=30"], ["batch=30: should divide a rollout of envs * steps = 160"]),
    (["ppo", "batch=1"], ["batch=1: input should be greater than or equal to 2"]),
    (["ppo", "gamma=1.5"], ["gamma=1.5: input should be less than or equal to 1"]),
    (["ppo", "seed=[1,1]"], ["seed=[1, 1]: values should be distinct, [1] repeated"]),
    (["ppo", "env=CartPole-v1"], ["env='CartPole-v1': actions should be a vector between bounds, here", "Discrete(2)"]),
    (["ppo", "env=Nothing-v0"], ["env='Nothing-v0': environment `Nothing` doesn't exist."]),
    (["lstm", "method=adaloss"], ["method='adaloss': allowed are adam, adamloss, adam_sqrt"]),
    (["lstm", "data=diabetes"], ["data='diabetes': allowed are synthetic_news, bbc_news, news"]),
    (["lstm", "pooling=max"], ["pooling='max': input should be 'mean' or 'last'"]),
    (["lstm", "hidden=0"], ["hidden=0: input should be greater than or equal to 1"]),
    (["lstm", "data.articles=10"], ["data.articles=10: input should be greater than or equal to 20"]),
    (["lstm", "data.ordered=0.4"], ["data.ordered=0.4: input should be greater than or equal to 0.5"]),
    (
        ["lstm", "data.test=0.8", "data.validation=0.25"],
        ["data.test=0.8: with data.validation=0.25 it should be less than 1"],
    ),
    (["lstm", "data.vocabulary=0"], ["data.vocabulary=0: input should be greater than or equal to 1"]),
    (["lstm", "data.length=long"], ["data.length='long': input should be a valid integer"]),
    (["lstm", "data.validation=0"], ["data.validation=0: input should be greater than 0"]),
    (["vit", "model.patch=3"], ["model.patch=3: should divide the images' 8 pixels"]),
    (["vit", "model.heads=3", "model.width=64"], ["model.heads=3: should divide model.width=64"]),
    (["vit", "weight_decay.value=1"], ["weight_decay.value=1: input should be less than 1"]),
    (["vit", "weight_decay.by=b"], ["weight_decay.by='b': input should be 'eta' or 'step'"]),
    (["vit", "weights.share=0.999"], ["weights.share=0.999: leaves no image to fine-tune or to pretrain on"]),
    (["vit", "weights.lr=2"], ["weights.lr=2: input should be less than or equal to 1"]),
    (
        ["vit", "weights.name=no"],
        ["weights='no': allowed are labels, rotation, vit_s14, efficientnet_lite0, hub, file, none"],
    ),
    (["vit", "data=digits"], ["data='digits': allowed are digit_images, mnist, fashion_mnist, cifar10, cifar100"]),
    (["vit", "frozen=3"], ["frozen=3: should be at most 2 with model=vit"]),
    (["vit", "data.split=null"], ["data.split=null: should be a number with weights=labels, made of one split"]),
    (["vit", "case=vit_s14_mnist", "data.train=1501"], ["data.train=1501: should be a multiple of 10"]),
    (["vit", "case=vit_s14_mnist", "data.train=4300"], ["data.test=500: ", "have at most 500 images of each"]),
    (["vit", "method=adam"], ["method='adam': allowed are adaloss, "]),
    (
        ["vit", "method=adagrad_norm_rowwise", "weight_decay.by=step"],
        ["weight_decay.by='step': should be eta (row by row"],
    ),
    (["vit", "eta=100", "weight_decay.value=0.01"], ["weight_decay.value=0.01: eta times it should be less than 1"]),
    (["compare", "step=0"], ["step=0: ", "greater than 0"]),
    (["compare", "step=[0.1,0.1]"], ["step=[0.1, 0.1]: ", "distinct"]),
    (["compare", "seed=-1"], ["seed=-1: ", "greater than or equal to 0"]),
    (["compare", "epochs=0"], ["epochs=0: ", "greater than or equal to 1"]),
    (["compare", "optimizer=3"], ["optimizer=3: ", "string"]),
    (["compare", "problem=mnist"], ["problem='mnist': allowed are digits_mlp, digits_vit, news_lstm, "]),
    (
        ["compare", "problem=digits_vit", "problems.digits_vit.patch=3"],
        ["problems.digits_vit.patch=3: should divide the images'"],
    ),
    (
        ["compare", "problem=digits_vit", "problems.digits_vit.heads=5"],
        ["problems.digits_vit.heads=5: should divide width=32"],
    ),
    (
        ["compare", "problem=digits_vit", "problems.digits_vit.test=1797"],
        ["problems.digits_vit.test=1797: ", "less than or equal to 1796"],
    ),
    (
        ["compare", "problem=digits_mlp", "problems.digits_mlp.hidden=0"],
        ["problems.digits_mlp.hidden=0: ", "greater than or equal to 1"],
    ),
    (
        ["compare", "problem=noisy_regression", "problems.noisy_regression.noise=0"],
        ["problems.noisy_regression.noise=0: ", "greater than 0"],
    ),
    (
        ["compare", "problem=noisy_regression", "problems.noisy_regression.d=1000"],
        ["problems.noisy_regression.d=1000: should be less than n="],
    ),
    (["errata", "number=10"], ["number=10: input should be less than or equal to 9"]),
    (["errata", "number=[1,1]"], ["number=[1, 1]: values should be distinct"]),
    (["errata", "number=[]"], ["number=[]: value should have at least 1 item"]),
    (["cost", "size=9", "model.patch=4"], ["model.patch=4: should divide the images' 9 pixels"]),
    (["cost", "turns=0"], ["turns=0: input should be greater than or equal to 1"]),
]
COMMANDS = [
    (["sweep=figure_9"], ["sweep/figure_9", "figure_1"]),
    (["-m", "data=gaussian,spectrum", "data.d=20"], ["data.d=20", "in data=spectrum", "eigenvalues, name, s0"]),
    (["-m", "data=null,gaussian"], ["data=null: not understood", "names of configurations"]),
    (["--cfg", "job", "-m", "b0=1,2"], ["Only one of", "--multirun", "--cfg"]),
    (["--resolve"], ["--resolve", "--cfg"]),
    (["-m", "hydra/launcher=nonsense"], ["hydra/launcher/nonsense", "joblib"]),
    (["hydra.mode=x"], ["hydra.mode=x: Invalid value 'x', expected one of [RUN, MULTIRUN]"]),
    (["sweep=cost"], ["sweep=cost: is made by experiments.cost"]),  # and not which of its fields are unknown here
    (["sweep=table_1", "hydra.mode=RUN"], ["sweep=table_1: is made by experiments.vit"]),
    (["-m", "sweep.name=figure_3"], ["sweep=figure_3: is made by experiments.ppo"]),
    (["sweep.name=../x"], ["sweep.name='../x'", "letters"]),
    (["-m", "sweep.name=.x"], ["sweep.name='.x'", "neither dot nor dash"]),
    (["sweep.name=" + "x" * 101], ["sweep.name='xxx", "at most 100"]),
    (["-m", "+sweep.names=x"], ["sweep.names='x'", "allowed are name, experiment, part"]),
    (["-m", "b0=1,2,-3", "method=adaloss,sgd_constant"], ["b0=-3", "greater than 0"]),
    (["-m", "hydra/launcher=joblib", "seed=0,-1"], ["seed=-1", "greater than or equal to 0"]),
    (["seed=0,1", "-m", "b0=1"], ["-m: should come before the overrides or after them"]),
    (["b0=1", "--config-dir=x", "eta=2"], ["--config-dir=x: should come before the overrides or after them"]),
    (["sweep.name=2026"], ["sweep.name=2026: should be a word", "a number needs quotes", "sweep.name=\"'2026'\""]),
    (["-m", "hydra.sweeper.max_batch_size=0"], ["hydra.sweeper.max_batch_size=0: should be at least 1"]),
    (
        ["gram", "sweep=figure_5", "data=sphere"],
        ["data=sphere: sweep=figure_5 has a list in its place; give one of the two"],
    ),
    (
        ["compare", "-m", "optimizer=adam,addam"],
        ["optimizer='addam': allowed are adaloss, ", "momo_adam"],
    ),
]


def refused(result, words, folder):
    lines = [line for line in result.stderr.splitlines() if line]
    assert result.returncode == 2, result.stderr
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("error: ")
    for word in words:
        assert word in lines[0]
    assert result.stdout == ""
    assert list(folder.iterdir()) == []


def experiment_of(arguments):
    return arguments if arguments[0].isidentifier() else ["linear_regression", *arguments]


FIRST = {experiment_of(case[0])[0]: case for case in reversed(VALUES)}  # of each experiment


@cache
def composer(_):
    """One for each experiment: it remembers what is common to its jobs."""
    return Composer(loader())


def shown(value):
    return " ".join(value) if isinstance(value, list) else None


@pytest.mark.parametrize(("arguments", "words"), [*COMMANDS, *FIRST.values()], ids=shown)
def test_wrong_command(arguments, words, tmp_path):
    experiment, *rest = experiment_of(arguments)
    refused(within(experiment, *rest, f"runs={tmp_path / 'runs'}"), words, tmp_path)


@pytest.mark.parametrize(("arguments", "words"), VALUES, ids=shown)
def test_wrong_value(arguments, words):
    """As ``app.main`` composes and parses it before anything else: what that raises is the line."""
    experiment, *rest = experiment_of(arguments)
    with pytest.raises(ConfigError) as refusal:
        parsed(experiment, composition(experiment, master(experiment), tuple(rest), composer(experiment)))
    assert all(word in str(refusal.value) for word in words) and "\n" not in str(refusal.value)


def test_read_only_folder():
    result = launch("runs=/proc/sys/runs")  # root can write anywhere but in a file system that forbids it
    assert result.returncode == 2 and result.stderr.count("\n") == 1
    assert "runs=/proc/sys/runs: cannot be written" in result.stderr


@pytest.mark.parametrize("multirun", [[], ["-m", "b0=1,2"]])
def test_folder_behind_a_closed_door(multirun, tmp_path):
    (tmp_path / "runs").mkdir()
    tmp_path.chmod(0)

    def nobody():
        if os.geteuid() == 0:  # whom no door stops
            os.setuid(65534)

    try:
        result = launch(*multirun, f"runs={tmp_path / 'runs'}", prepare=nobody)
    finally:
        tmp_path.chmod(0o700)
    assert (result.returncode, result.stdout) == (2, "")
    [line] = result.stderr.splitlines()
    assert line.startswith(f"error: runs={tmp_path / 'runs'}: ") and "(Permission denied)" in line


@pytest.mark.parametrize("multirun", [[], ["-m", "b0=1,2"]])
def test_experiment_behind_a_closed_door(multirun, tmp_path):
    """The store itself can be written, what is in it cannot be read."""

    def closed():
        def is_dir(path, before=Path.is_dir):
            if path.parent == tmp_path / "linear_regression":
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
            return before(path)

        Path.is_dir = is_dir

    result = launch(*multirun, f"runs={tmp_path}", prepare=closed)
    assert (result.returncode, result.stdout) == (2, "")
    [line] = result.stderr.splitlines()
    assert line.startswith(f"error: runs={tmp_path}: {tmp_path}/linear_regression/") and "Permission denied" in line


def test_folder_that_the_locale_cannot_name(tmp_path):
    environment = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    words = command(f'runs="{tmp_path}/é"')
    result = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    refused(result, ["runs=", "needs UTF-8"], tmp_path)


def test_a_text_that_needs_quotes_is_shown_with_them(tmp_path):
    """The hint, pasted into a shell, makes the runs there; a field that is no text gets none."""
    folder = tmp_path / "renée's (1)"
    [line] = within("linear_regression", f"runs={folder}").stderr.splitlines()
    assert line.startswith(f"error: runs={folder}: not understood (")
    assert made(launch("iterations=10", *shlex.split(line.split("; write it with quotes inside: ")[1]))) == 1
    assert len([*folder.glob("linear_regression/*")]) == 1
    for word, hint in (("data.path=a=b", "'data.path=\"a=b\"'"), ("sweep.name=é", "'sweep.name=\"é\"'"), ("b0=é", "")):
        [line] = within("lstm", word).stderr.splitlines()
        assert line.endswith(f"; write it with quotes inside: {hint}" if hint else ")")


def test_no_folder():
    for value in ("runs=null", "runs=''", "runs=[1]"):
        result = launch(value)
        assert result.returncode == 2 and "should be a folder" in result.stderr


def limited(most):
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))


def test_full_disk_before_the_work(tmp_path):
    words = command(f"runs={tmp_path / 'runs'}")
    result = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False, preexec_fn=limited(0))
    refused(result, [f"runs={tmp_path / 'runs'}", "cannot be written", "File too large"], tmp_path)


def test_full_disk_during_the_work(tmp_path):
    runs = tmp_path / "runs"
    assert launch("iterations=10", f"runs={runs}").returncode == 0
    result = launch("iterations=5000", "record.windows=[[1,5000]]", f"runs={runs}", prepare=limited(4096))
    assert result.returncode == 2
    [line] = result.stderr.splitlines()
    assert "not saved (File too large)" in line
    assert "complete runs are untouched" in line
    assert len(list((runs / "linear_regression").iterdir())) == 1
    assert not list(runs.glob(".tmp-*"))
    assert made(launch("iterations=5000", "record.windows=[[1,5000]]", f"runs={runs}")) == 1  # there is room again
