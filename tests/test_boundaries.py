"""Who may import whom: configs -> experiments -> runs -> scripts -> figures, with the library below all."""

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def imports(folder):
    """(file, imported top-level package or project module) of every import below the folder."""
    for file in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                yield from ((file, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{file}: relative import"
                yield file, node.module


def outside(folder):
    return {name.partition(".")[0] for _, name in imports(folder)} - set(sys.stdlib_module_names)


def test_the_library_needs_torch_and_numpy_and_its_extras_the_rest():
    assert outside("adaloss") == {"adaloss", "torch", "numpy", "scipy", "numba", "pandas", "pyarrow", "yaml"}
    assert outside("adaloss/runs") == {"adaloss", "pandas", "pyarrow", "yaml"}
    code = """import importlib, sys
sys.modules |= dict.fromkeys(sys.argv[1:])  # None: not to be had
import torch
import adaloss.theory.linear_regression, adaloss.theory.stochastic, adaloss.theory.two_layer
import adaloss.simulate.linear_regression, adaloss.simulate.eigenbasis
import numpy as np
from adaloss.theory.finite_width import certify
from adaloss.optim import AdaLoss
w = torch.nn.Parameter(torch.ones(1))
w.grad = torch.full((1,), 8.0)
AdaLoss([w], b0=3.0).step(loss=16.0)
print(f"{w.item():.6f}")
rows = 3 * np.tile([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]], (100, 1))
found = certify(rows, np.repeat([1.0, -1.0], 200), np.eye(2), np.full(2, 0.01), eta=1.0, b=3.0, alpha=0.5)
print(found.iterations(1e-4))
for name in ("simulate.two_layer", "theory.gram", "runs"):
    try:
        importlib.import_module("adaloss." + name)
    except ImportError as error:
        print(error)"""

    def without(*names, code=code):
        return subprocess.check_output([sys.executable, "-c", code, *names], cwd=ROOT, text=True)

    runs = "adaloss.runs needs pyarrow: pip install 'adaloss[runs]'\n"
    simulate = "adaloss.simulate.two_layer needs {}: pip install 'adaloss[theory]'\n"
    gram = "adaloss.theory.gram needs scipy: pip install 'adaloss[theory]'\n"
    # 1 - 8 / sqrt(9 + 16); and with H = I / 4 and a step of 1 / 3 the first k with 2e-4 (11 / 12)^2k <= 1e-4
    first = "-0.600000\n4.0\n"
    assert without("scipy", "numba", "pyarrow") == first + simulate.format("numba") + gram + runs
    assert without("scipy") == first + simulate.format("scipy") + gram  # numba alone does not compile products
    assert without("torch", "hydra", "omegaconf", code="import adaloss.runs") == ""


def test_only_experiments_know_hydra():
    assert not {"hydra", "omegaconf"} & (outside("adaloss") | outside("scripts"))


def test_scripts_read_runs_and_do_nothing_else():
    project = {name for _, name in imports("scripts") if name.partition(".")[0] in ("adaloss", "experiments", "tests")}
    assert project == {
        "adaloss.theory.errata",
        "adaloss.theory.linear_regression",
        "experiments.methods",
        "adaloss.runs",
        "adaloss.runs.filters",
        "adaloss.runs.frame",
        "experiments.runs.identity",
        "experiments.runs.registry",
        "experiments.runs.store",
        "experiments.runs.terminal",
    }


def test_arrows_never_point_back():
    assert not {"scripts", "tests"} & outside("experiments")
    assert not {"scripts", "experiments", "tests"} & outside("adaloss")


def test_a_script_loads_neither_torch_nor_hydra():
    files = [file.relative_to(ROOT).with_suffix("") for file in sorted((ROOT / "scripts").rglob("*.py"))]
    names = ["experiments.runs.__main__", *(".".join(file.parts) for file in files)]
    names.sort(key=lambda name: ".report." in name)  # which shows the theory's bounds and simulations
    code = f"""import importlib, sys
for name in {names}:
    importlib.import_module(name)
    heavy = {{"torch", "hydra", "omegaconf"}} | (set() if ".report." in name else {{"numba"}})
    assert not heavy & set(sys.modules), (name, heavy & set(sys.modules))"""
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert loaded.returncode == 0, loaded.stderr


def test_only_the_store_knows_the_files_of_a_run():
    files = [file for folder in ("adaloss", "experiments", "scripts") for file in (ROOT / folder).rglob("*.py")]
    knowing = [file.name for file in files if "history.parquet" in file.read_text()]
    assert sorted(knowing) == ["saved.py", "store.py"]


def test_files_are_small():
    for folder in ("adaloss", "benchmarks", "experiments", "hydra_plugins", "scripts", "tests"):
        for file in (ROOT / folder).rglob("*.py"):
            assert len(file.read_text().splitlines()) <= 400, file
