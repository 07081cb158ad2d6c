"""Every command that the pages show: run, cut to size, or composed where it needs what is not here.

The commands of a page run in its order, in this process and in one empty folder: a later one finds what an earlier one
made.
"""

import importlib
import io
import os
import re
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from experiments.methods import METHODS
from experiments.runs import app, command_line
from experiments.runs.store import Store
from tests.pages import PAGES, ROOT, commands
from tests.scripts.synthetic import start

CUT = {
    "linear_regression": ("iterations=20",),
    "two_layer": ("iterations=20", "m=10"),
    "gram": (),
}
COMPLETION = r"(export|eval|python experiments/).*"
# Pages and commands that are not run here: why, and what is done instead.
ELSEWHERE = {"docs/extending.md": "tests/test_extending.py runs it in a copy of the project"}
NOT_RUN = {
    r"make (reproduce|test)": "CI runs it (.ci/run), make reproduce at the smallest scale",
    r"pip install .*": "tests/test_release.py installs the wheel",
    r".*data\.path=ARCHIVE.*": "needs CIFAR-100, pretrained weights and GPUs: composed",
    r".*(case=|data=bbc_news|sweep=figure_2_bbc).*": "takes long: composed",
    r".*data\.path=NEWS.*": "needs the news' CSV files: composed",
    r"python -m scripts\.figure_[24](_\w+)? --scale paper": "needs the runs of news: names the sweep that is missing",
    r".*hydra/launcher=submitit_slurm.*": "needs Slurm: composed, and validated where the data are here",
    r"wait": "the shell's",
    r"python -m benchmarks\.vit": "needs a GPU for minutes: imported",
    r"python -m scripts\.table_[12] --scale paper": "needs the runs of a GPU: names the sweep that is missing",
    COMPLETION: "the block of tab completion: one bash runs it below",
}
SHOWN = [(page, command) for page in PAGES if page not in ELSEWHERE for command in commands(page)]


def reason(command):
    return next((why for pattern, why in NOT_RUN.items() if re.fullmatch(pattern, command)), None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the commands run."""
    return tmp_path_factory.mktemp("commands")


@pytest.fixture
def inside(folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # for the processes that launchers start
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    return folder


def run(words, monkeypatch):
    """What ``python -m`` does with the words, in this process; ends with an error where the command would."""
    module, *arguments = words
    package, name = module.split(".")
    try:
        if package == "experiments" and name != "runs":
            cut = () if {"--help", "--cfg"} & set(arguments) else CUT[name]
            monkeypatch.setattr(sys, "argv", [name, *arguments, *cut])
            app.main(name)
        else:
            start(module, monkeypatch, *arguments)
    except SystemExit as stop:
        assert not stop.code, stop.code


def expanded(command):
    """The command that ``make sweep`` starts."""
    made = subprocess.run(
        ["make", "--no-print-directory", "-n", "-o", ".venv/.reproduce", "JOBS=2", *shlex.split(command)[1:]],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return made.stdout.replace("\\\n", " ").strip().replace(".venv/bin/python", "python")


@pytest.mark.parametrize(("page", "command"), [(p, c) for p, c in SHOWN if reason(c) is None])
def test_a_command_runs(page, command, inside, monkeypatch, capfd):
    if command.startswith("make sweep"):
        command = expanded(command)
    python, dash_m, *words = shlex.split(command)
    assert (python, dash_m) == ("python", "-m")
    store = Store("runs/laptop")
    if words[:2] == ["experiments.runs", "diff"]:
        words[2:] = [name.rpartition("-")[2][:8] for name in store.folders()[:2]]
    if words[0] == "scripts.provenance":
        monkeypatch.setattr(sys, "argv", ["linear_regression", "sweep=figure_burn_in"])
        app.main("linear_regression")
        run(["scripts.figure_burn_in"], monkeypatch)
    before = len(store.folders()) if store.root.exists() else 0
    run(words, monkeypatch)
    out, err = capfd.readouterr()
    assert out and err == ""
    if words[0] == "experiments.runs":
        assert len(store.folders()) == before  # nobody said yes
    elif words[0].startswith("experiments.") and not {"--help", "--cfg"} & set(words):
        assert len(store.folders()) > before or re.search(r"\b0 made|nothing to train", out)


@pytest.mark.parametrize(("page", "command"), [(p, c) for p, c in SHOWN if reason(c) and "composed" in reason(c)])
def test_a_command_that_needs_more_is_composed(page, command, inside):
    name, *overrides = re.search(r"-m experiments\.(\w+) (.*?)(?: &)?$", command).groups()
    words = [word for word in shlex.split(overrides[0]) if word != "-m"]
    parsed = OverridesParser.create().parse_overrides(words)
    first = [next(o.sweep_string_iterator()) if o.is_sweep_override() else o.get_value_element_as_str() for o in parsed]
    first = [f"{o.get_key_element()}={value}" for o, value in zip(parsed, first, strict=True)]
    with initialize_config_dir(str(ROOT / "configs"), version_base="1.3"):
        config = compose(f"experiment/{name}", first, return_hydra_config=True)
        if "ARCHIVE" in command:
            assert (config.data.path, config.weights.name, config.weights.revision) == ("ARCHIVE", "hub", None)
            assert (config.batch, config.precision) == (128, "bfloat16")
            assert config.model.get("width") == 384 or config.weights.repo == "timm/resnet50.fb_swsl_ig1b_ft_in1k"
        launcher = re.search(r"launcher=submitit_(\w+)", command)
        if launcher:
            assert config.hydra.launcher._target_.lower().endswith(f"{launcher[1]}launcher")
        if "NEWS" in command:
            assert (config.data.path, config.hidden) == ("NEWS", config.scale.figure_2.hidden)
            assert config.data.vocabulary == 20000 or "sweep=" not in command
        elif "ARCHIVE" not in command and "FOLDER" not in command:
            OmegaConf.set_struct(config, False)
            del config["hydra"]
            assert command_line.parsed(name, config)[0].runs()


def test_a_benchmark_is_there():
    for _, command in SHOWN:
        if "-m benchmarks" in command:
            assert callable(importlib.import_module(command.split()[-1]).main)


def test_a_script_without_its_runs_names_the_sweep(inside, monkeypatch):
    with pytest.raises(SystemExit, match=r"'table_1' has not been finished; .* sweep=table_1 scale=paper$"):
        start("table_1", monkeypatch, "--scale", "paper")


def test_tab_completion(tmp_path):
    """The page's lines in one bash; then what a tab gives after two beginnings."""
    lines = [command for _, command in SHOWN if re.match(COMPLETION, command)]
    assert len(lines) == 3
    lines[-1] += f" iterations=20 runs={tmp_path}"
    for beginning in ("meth", "method="):
        line = f"python experiments/linear_regression.py {beginning}"
        lines.append(f'COMP_LINE="{line}" COMP_CWORD=2; hydra_bash_completion; echo "${{COMPREPLY[@]}}"')
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", "\n".join(lines)], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    made, fields, methods = done.stdout.splitlines()
    assert made.endswith("0 of 1 were complete, 1 made") and "method=" in fields.split()
    assert set(methods.split()) == {f"method={name}" for name in METHODS}


def test_commands_within_the_text_name_what_is_there():
    targets = re.findall(r"^([a-z]+(?:[-_][a-z%]+)?):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    for page in (*PAGES, "CONTRIBUTING.md"):
        for kind, name in re.findall(r"`(make|python -m) ([a-z][a-z0-9_.-]*)[ `]", (ROOT / page).read_text()):
            there = re.sub(r"_\w+", "_%", name) in targets if kind == "make" else find_spec(name)
            assert there, f"{page}: {kind} {name}"


def test_every_exception_has_its_command_and_ci_runs_what_it_should():
    for pattern in NOT_RUN:
        assert any(re.fullmatch(pattern, command) for _, command in SHOWN), pattern
    assert set(ELSEWHERE) <= set(PAGES)
    script = (ROOT / ".ci/run").read_text()
    assert "make lint test" in script and "make smoke" in script
    assert "reproduce SCALE=smoke" in (ROOT / "Makefile").read_text()
