"""What a user installs: wheel and source archive hold the library alone, and it works in an empty environment."""

import json
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

from adaloss.runs import load
from tests.pages import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
RELEASE = f"{PROJECT['name']}-{PROJECT['version']}"
PYTHONS = [line.rpartition(" ")[2] for line in PROJECT["classifiers"] if line.startswith("Programming Language")]
WHERE = "import sysconfig; print('%d.%d' % __import__('sys').version_info[:2], sysconfig.get_path('purelib'))"
# A step from w = 2 for f = w^2 / 2, and a store; nothing of the project may be there but the library.
USE = """
import importlib.util, json, sys
import torch, adaloss
from adaloss.optim import AdaLoss
from adaloss.runs import load
w = torch.nn.Parameter(torch.tensor(2.0, dtype=torch.float64))
optimizer = AdaLoss([w], lr=0.5, b0=1.5, alpha=2.0, c=0.25)
loss = w**2 / 2
loss.backward()
optimizer.step(loss=loss)
runs = load(sys.argv[1], "b0<1")
there = [name for name in ("experiments", "scripts", "tests") if importlib.util.find_spec(name)]
print(json.dumps([adaloss.__file__, there, float(optimizer.b), w.item(), *runs.b0, *runs.history().loss]))
"""


def run(*words, **options):
    done = subprocess.run(words, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder of the wheel and the source archive, built from a copy; the wheel is built from the archive."""
    copy, out = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("dist")
    files = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", ":!figures"]
    for name in run(*files, cwd=ROOT).split("\0"):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, copy / name)
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, copy)
    return out


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    words = ("method=adaloss", "b0=[0.1,1]", "iterations=20", "data.d=5", f"runs={folder}")
    run(sys.executable, "-m", "experiments.linear_regression", *words, cwd=ROOT)
    return folder


def test_the_archives_hold_the_library_alone(built):
    assert {file.name for file in built.iterdir()} == {f"{RELEASE}-py3-none-any.whl", f"{RELEASE}.tar.gz"}
    library = {str(file.relative_to(ROOT)) for file in (ROOT / "adaloss").rglob("*.py")} | {"adaloss/py.typed"}
    with zipfile.ZipFile(built / f"{RELEASE}-py3-none-any.whl") as wheel:
        about = {f"{RELEASE}.dist-info/{name}" for name in ("METADATA", "RECORD", "WHEEL", "licenses/LICENSE")}
        assert set(wheel.namelist()) == library | about | {f"{RELEASE}.dist-info/top_level.txt"}
    with tarfile.open(built / f"{RELEASE}.tar.gz") as archive:
        names = {one.name.removeprefix(f"{RELEASE}/") for one in archive if one.isfile()}
    written = {name for name in names if name.startswith("adaloss.egg-info/")} | {"PKG-INFO", "setup.cfg"}
    pages = {"README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff", "MANIFEST.in", "pyproject.toml"}
    assert names == library | pages | written


@pytest.mark.parametrize("version", PYTHONS)
def test_the_wheel_works_in_an_empty_environment(version, built, store, tmp_path):
    """On each Python that `make release` has given the library's dependencies, and on this one."""
    there = [python for python in (ROOT / f"build/python{version}/bin/python", sys.executable) if shutil.which(python)]
    found = {python: run(python, "-c", WHERE).split() for python in there}
    python, packages = next(((one, path) for one, (v, path) in found.items() if v == version), (None, None))
    if python is None:
        pytest.skip(f"Python {version} has no environment: make release")
    run(python, "-m", "venv", "--without-pip", tmp_path / "env")
    inside = tmp_path / "env/bin/python"
    words = ("install", "--ignore-installed", "--no-deps", "--no-index")
    run(sys.executable, "-m", "pip", "--python", inside, *words, built / f"{RELEASE}-py3-none-any.whl")
    site = run(inside, "-c", WHERE).split()[1]
    Path(site, "dependencies.pth").write_text(packages)  # an editable install there is not followed
    place, others, b, w, *stored = json.loads(run(inside, "-I", "-c", USE, store, cwd=tmp_path))
    assert place == f"{site}/adaloss/__init__.py" and others == []
    b_next = (1.5**2 + 2 * abs(2.0**2 / 2 - 0.25)) ** 0.5  # the recurrence, by hand
    assert (b, w) == pytest.approx((b_next, 2 - 0.5 / b_next * 2), rel=1e-15)
    assert stored == [0.1, *load(store, "b0<1").history().loss]


def test_the_release_is_dated_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == PROJECT["version"]
    newest = (ROOT / "CHANGELOG.md").read_text().partition("\n## ")[2].partition("\n")[0]
    assert newest == f"{PROJECT['version']} - {citation['date-released']}"
