"""The jobs of a multirun: Hydra's, value for value, though most of them are not composed by Hydra."""

import re
import sys
from types import SimpleNamespace
from unittest.mock import Mock

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.sweeper import Sweeper
from omegaconf import OmegaConf

from experiments.runs.jobs import Composer, composed, expanded
from experiments.runs.schema import ConfigError
from tests.experiments import launch
from tests.experiments.launch import master


@pytest.fixture(scope="module")
def loader():
    return launch.loader()


@pytest.mark.parametrize(
    "line",
    [
        "method=adaloss,sgd_constant data=spectrum data.s0=1,2",
        "b0=[1,2],[3] record.windows=[[1,2]],[]",
        "b0=${eta} eta=0.5,2",
        "b0=1,2 b0=3",
        "sweep.name=a,b ~record.windows ++data.d=1,2",
        "record={log_points:1},{log_points:2}",
        "b0=choice(1,2) eta=sort(3,1,reverse=true) seed=range(1,4) batch=range(9,1,-4)",
        "data=glob(s*,exclude=sphere)",
        "runs='a;b','c,d' eta=1e-3,null",
        "+method@other=adaloss,sgd_constant",
    ],
)
def test_the_jobs_are_those_of_hydras_sweeper(line, loader):
    parsed = OverridesParser.create(config_loader=loader).parse_overrides(line.split())
    [basic] = [plugin for plugin in Plugins.instance().discover(Sweeper) if plugin.__name__ == "BasicSweeper"]
    [batch] = basic.split_arguments(parsed, None)
    assert [list(job) for job in expanded([o.input_line for o in parsed], loader)] == batch


ALIKE = [
    ("linear_regression", "b0=${eta} eta=2 method.alpha=${alpha} alpha=3 seed=null batch=??? scale.name=a scale=smoke"),
    ("linear_regression", "~record.windows record.log_points=3 +record.more={a:1} ++record.columns=[gap] b0=[3]"),
    ("linear_regression", "record={log_points:5} record.columns=[gap] record.windows=[[1,2]] record.windows.0=[5,6]"),
    ("linear_regression", "++data.n=5 data.n=6 data={d:3} eta={a:${b0}} b0=1"),
    ("linear_regression", "++sweep.name=x sweep=figure_1 hydra.job.name=mine hydra/job_logging=disabled b0=1"),
    ("bounds", "d=[1,3] problems=5 scale=paper"),
    ("compare", "problem=noisy_regression optimizer=adam step=[0.1] epochs=${seed} seed=2"),
    ("lstm", "scale=smoke epochs=3 b0=1 data.articles=9 +data.more=1"),
    ("ppo", "method=adam env=x actor=[1] ~clip"),
    ("vit", "scale=smoke weights=rotation weights.epochs=1 model.width=8 weight_decay={value:1} b0=2"),
]


@pytest.mark.parametrize(("experiment", "line"), ALIKE)
def test_a_job_is_composed_as_by_hydra(experiment, line, loader):
    """Twice: first where its choice of groups is new, then from what is known of it."""
    config = master(experiment)
    expected = loader.load_sweep_config(config, line.split())
    composer = Composer(loader)
    for _ in range(2):
        found, fields = composer.load_sweep_config(config, line.split()), composer.fields(config, tuple(line.split()))
        assert found == expected
        assert OmegaConf.to_yaml(found) == OmegaConf.to_yaml(expected)
        whole = OmegaConf.to_container(expected)
        assert OmegaConf.to_container(fields) == {key: value for key, value in whole.items() if key != "hydra"}


@pytest.mark.parametrize("line", ["bo=1 b0=2", "b0=1 data=spectrum data.d=3", "b0.x=1 method=nonsense", "b0=1,2"])
def test_hydra_has_the_word_on_what_is_wrong(line, loader):
    config = master("linear_regression")
    with pytest.raises(HydraException) as expected:
        loader.load_sweep_config(config, line.split())
    with pytest.raises(expected.type, match=re.escape(str(expected.value))):
        Composer(loader).load_sweep_config(config, line.split())
    with pytest.raises(expected.type, match=re.escape(str(expected.value))):
        Composer(loader).fields(config, tuple(line.split()))


@pytest.mark.parametrize("process", ["main", "launcher's"])
def test_hydra_composes_once_for_each_choice_of_groups(process, loader, monkeypatch):
    counted = Mock(wraps=loader.load_sweep_config)
    composer = Composer(SimpleNamespace(get_sources=loader.get_sources, load_sweep_config=counted))
    config = master("linear_regression", "hydra/launcher=joblib")
    if process != "main":  # there Hydra imports its plugins twice
        monkeypatch.setattr(sys.modules["hydra_plugins.hydra_joblib_launcher.config"], "JobLibLauncherConf", None)
    jobs = expanded(["b0=1,2,3,4,5", "sweep.name=x", "method=adaloss,sgd_constant", "eta=1,2"], loader)
    for _ in ("the plan", "the launcher"):
        for words in jobs:
            composer.fields(config, words)
            composer.load_sweep_config(config, words)
    assert (len(jobs), counted.call_count) == (20, 2)


def test_values_of_a_sweep_are_those_that_were_meant(loader):
    for values, expected in (
        ("range(0.1,0.4,0.1)", [0.1, 0.2, 0.3]),
        ("range(0.7,0.1,-0.2)", [0.3, 0.5, 0.7]),
        ("range(1,4)", [1, 2, 3]),
        ("shuffle(range(0.1,0.4,0.1))", [0.1, 0.2, 0.3]),
        ("float(range(1,3))", [1, 2]),
        ("sort(0.3,0.1)", [0.1, 0.3]),
    ):
        jobs = expanded([f"b0={values}"], loader)
        assert sorted(float(word.removeprefix("b0=")) for [word] in jobs) == expected


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("b0=range(1,1)", "b0=range(1,1): has no value"),
        ("b0=range(3,1)", "b0=range(3,1): has no value"),
        ("b0=range(1,4,0)", "b0=range(1,4,0): start, stop and step should be numbers, and step not 0"),
        ("b0=range(0.1,inf)", "b0=range(0.1,inf): start, stop and step should be numbers"),
        ("b0=sort(range(1,6,2),reverse=true)", "b0=sort(range(1,6,2),reverse=true): a range is in order"),
        ("b0=range(0,1,1e-300)", "b0=range(0,1,1e-300): has 1e+300 values; at most 1000000 are allowed"),
        ("b0=interval(0,1)", "b0=interval(0,1): an interval names no values"),
        ("data=glob(x*)", "data=glob(x*): has no value"),
        ("data=gaussian,[[1]]", "data=[[1]]: not understood, should be names of configurations"),
        ("sweep=figure_1,figure_c", "sweep=figure_1,figure_c: one sweep at a time"),
    ],
)
def test_a_sweep_without_values_is_refused(word, line, loader):
    with pytest.raises(ConfigError, match=re.escape(line)):
        list(composed("linear_regression", master("linear_regression", word), Composer(loader)))


def test_numbers_of_a_list_are_those_of_hydras_range_and_of_a_table_of_powers():
    config = OmegaConf.create({"seed": "${range:20,32}", "b0": "${decades:-3,5,4}"})
    assert config.seed == [*OverridesParser.create().parse_override("seed=range(20,32)").sweep_iterator()]
    assert config.b0 == [float(f"{x}e{k}") for k in range(-3, 5) for x in ("1", "1.77828", "3.16228", "5.62341")]
