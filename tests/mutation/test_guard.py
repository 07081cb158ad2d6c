"""What the guard refuses, tried in a process of its own on files of this test alone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

GUARD = Path(__file__).with_name("guard.py")


@pytest.fixture
def attempt(tmp_path):
    """Runs one line of Python under the guard that a mutant's subprocess has; "refused", or "done"."""
    inside, outside, site = (tmp_path / name for name in ("inside", "outside", "site"))
    for folder in (inside, outside, site):
        folder.mkdir()
    for folder in (inside, outside):
        (folder / "file").write_text("here")
        (folder / "deep/er").mkdir(parents=True)
        (folder / "deep/er/file").write_text("here")
    (inside / "link").symlink_to(outside)
    (site / "sitecustomize.py").write_text(GUARD.read_text())

    def run(line):
        given = "from pathlib import Path\ninside, outside = map(Path, sys.argv[1:])"
        code = f"import os, shutil, signal, sys\n{given}\n{line}"
        done = subprocess.run(
            [sys.executable, "-c", code, inside, outside],
            env=os.environ | {"MUTANTS_FOLDER": str(inside), "PYTHONPATH": str(site)},
            cwd=inside,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0 or "PermissionError" in done.stderr, done.stderr
        assert sorted(str(p.relative_to(outside)) for p in outside.rglob("*")) == [
            "deep",
            "deep/er",
            "deep/er/file",
            "file",
        ]
        assert (outside / "file").read_text() == "here"
        return "done" if done.returncode == 0 else "refused"

    return run


@pytest.mark.parametrize(
    "line",
    [
        "shutil.rmtree(outside)",
        "shutil.rmtree('../outside')",
        "shutil.rmtree(inside.parent)",
        "shutil.rmtree(outside / 'deep')",
        "(outside / 'file').unlink()",
        "os.remove('../outside/file')",
        "os.remove(inside / 'link/file')",
        "os.rmdir(outside / 'deep')",
        "os.rename(outside / 'file', inside / 'taken')",
        "os.replace(inside / 'file', outside / 'file')",
        "shutil.move(inside / 'file', outside / 'file')",
        "(outside / 'file').write_text('')",
        "open(outside / 'new', 'w')",
        "os.open(outside / 'new', os.O_CREAT)",
        "os.truncate(outside / 'file', 0)",
        "os.chmod(outside / 'file', 0)",
        "os.setsid(); os.kill(os.getppid(), signal.SIGCONT)",
        "os.kill(-1, signal.SIGCONT)",
    ],
)
def test_what_is_outside_stays(attempt, line):
    assert attempt(line) == "refused"


@pytest.mark.parametrize(
    "line",
    [
        "shutil.rmtree(inside / 'deep')",
        "(inside / 'file').unlink()",
        "(inside / 'link').unlink()",
        "os.rename(inside / 'file', inside / 'other')",
        "(inside / 'new').write_text('')",
        "assert (outside / 'file').read_text() == 'here'",
        "open(os.devnull, 'w').close()",
        "os.kill(os.getppid(), 0)",
    ],
)
def test_what_is_inside_may_be_done(attempt, line):
    assert attempt(line) == "done"
