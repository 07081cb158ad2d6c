"""``--help`` tells of every field its value, what it means and what it allows."""

import os
import re
import subprocess

import pytest
from hydra import compose, initialize_config_dir

from experiments.runs import help
from experiments.runs.command_line import CONFIGS, model
from tests.experiments.launch import ROOT, command, launch

EXPERIMENTS = sorted(file.stem for file in (CONFIGS / "experiment").glob("*.yaml"))
ALONE = {"data", "method", "weights", "model", "record", "problems", "weight_decay", "training"}  # by their fields


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_field_is_explained(name):
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose(f"experiment/{name}", [], return_hydra_config=True)
    told = dict(re.findall(r"^  ([\w.]+)(?:=.*?)?(?:  +(.*))?$", help.text(f"experiment/{name}", config), re.MULTILINE))
    assert told.keys() >= model(name).model_fields.keys()
    assert {field for field, about in told.items() if not about and "." not in field} <= ALONE
    comments = (CONFIGS / f"experiment/{name}.yaml").read_text()
    for field in model(name).model_fields.keys() - ALONE:
        [comment] = re.findall(rf"^{field}:.*# (.*)$", comments, re.MULTILINE)
        assert told[field].startswith(comment)


def test_the_locale_does_not_matter():
    assert any(not (CONFIGS / f"experiment/{name}.yaml").read_bytes().isascii() for name in EXPERIMENTS)
    environment = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    words = command("--help", experiment="linear_regression")
    result = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "") and "  b0=0.1 " in result.stdout


def test_the_values_are_those_of_the_command():
    out = launch("--help", "scale=smoke", "hidden=7", "method=adam", "b0=[1,2]", experiment="lstm").stdout
    for line in (
        "method=adam +adam or adamloss or adam_sqrt",
        "data.articles=300 +half of each class; integer >= 20",
        "hidden=7 +units of the LSTM; integer >= 1",
        r"b0=\[1, 2\] +one or a list: a run each; list of: number > 0",
        "epochs=2 +passes over the training articles; integer >= 1",
    ):
        assert re.search(f"^  {line}$", out, re.MULTILINE), out
    assert "method.alpha" not in out
