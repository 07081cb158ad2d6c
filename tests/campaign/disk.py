"""Full disks, read-only folders, corrupt and stray files: one line with the remedy, complete runs untouched.

python -m tests.campaign.disk       as root on Linux: it mounts small file systems in memory
"""

import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

from experiments.runs.store import Store, StoreError
from tests.campaign.cases import CASES, Forked, content, leftovers, undisturbed
from tests.experiments.launch import finish, made_by_job

SIZES = ("100k", "200k", "400k")


@contextmanager
def mounted(folder, size):
    """A file system of that size, in memory."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def remount(folder, options):
    subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)


def refused(result, words):
    code, _, errors = result
    assert code == 2 and len(errors.splitlines()) == 1 and errors.startswith("error: "), result
    for word in words:
        assert word in errors, (word, errors)


def full(name, folder, expected):
    """Fill a disk: how many runs were on it when it was full; room is then made, and the same command goes on."""
    found = []
    for size in SIZES:
        with mounted(folder / f"disk-{size}", size) as disk:
            result = finish(Forked(name, disk))
            saved = content(disk)
            assert saved.items() <= expected.items()
            if result[0]:
                refused(result, ["No space left on device"])
            found.append(len(saved))
            remount(disk, "size=20m")
            code, _, errors = finish(Forked(name, disk))
            assert (code, errors) == (0, ""), errors
            assert content(disk) == expected and not leftovers(disk)
    return found


def read_only(name, folder, complete):
    """A store that may only be read: making runs is refused, reading goes on."""
    with mounted(folder / "ro", "20m") as disk:
        shutil.copytree(complete, disk / "runs")
        remount(disk, "ro")
        refused(finish(Forked(name, disk / "runs")), ["cannot be written (Read-only file system)", "free it or choose"])
        assert content(disk / "runs") == content(complete)


def corrupt(name, complete, expected):
    """Each kind of harm to one run, and what the same command then makes: that run and no other."""
    for harm in ("truncated history", "empty summary", "deleted folder", "file in the folder's place"):
        run = next(complete.glob(f"{name}/*-*/"))
        files = (path for path in complete.glob("[!.]*/*-*/*") if run not in path.parents)
        before = {path: path.stat().st_mtime_ns for path in files}
        if harm == "truncated history":
            data = (run / "history.parquet").read_bytes()
            saved = Store(complete).load(f"{name}/{run.name}")
            (run / "history.parquet").write_bytes(data[: len(data) // 2])
            remedy(lambda saved=saved: saved.history, ["history.parquet: missing or not as it was saved; delete"])
        elif harm == "empty summary":
            (run / "summary.json").write_text("")
        else:
            saved = Store(complete).load(f"{name}/{run.name}")
            shutil.rmtree(run)
            remedy(lambda saved=saved: saved.history, ["delete", "and run the sweep again"])  # while a figure is drawn
            if harm == "file in the folder's place":
                run.write_text("in the way")
        code, out, errors = finish(Forked(name, complete))
        assert (code, errors, sum(made_by_job(out))) == (0, "", 1), (harm, code, out, errors)
        assert content(complete) == expected, harm
        for path, when in before.items():
            assert path.stat().st_mtime_ns == when, (harm, path)
        yield harm


def remedy(work, words):
    try:
        work()
    except StoreError as error:
        assert all(word in str(error) for word in words) and "\n" not in str(error), error
    else:
        raise AssertionError("not noticed")


def strays(name, complete, expected):
    """Files of others in every folder of a store: nothing is disturbed, and they stay."""
    files = [complete / "notes.txt", complete / name / ".DS_Store", complete / name / "plot-1.png"]
    files += [complete / "checkpoints" / "x.pt", complete / "checkpoints" / "a-b.txt", complete / "vit_pretrain" / "x"]
    files += [next(complete.glob(f"{name}/*-*/")) / "remark.txt", complete / ".tmp-elsewhere-1-x" / "summary.json"]
    for file in files:
        file.parent.mkdir(exist_ok=True)
        file.write_text("mine")
    code, out, errors = finish(Forked(name, complete))
    assert (code, errors, sum(made_by_job(out))) == (0, "", 0), errors
    assert all(file.read_text() == "mine" for file in files)
    for file in files:
        file.unlink()
    shutil.rmtree(complete / ".tmp-elsewhere-1-x")
    assert content(complete) == expected
    return len(files)


def main():
    print("| experiment | runs | saved when 100k, 200k, 400k were full | read-only | corrupt, fixed | stray files |")
    print("|---|---|---|---|---|---|")
    for name in CASES:
        with tempfile.TemporaryDirectory() as folder:
            complete = Path(folder, "complete")
            _, expected = undisturbed(name, complete, Forked)
            saved = ", ".join(map(str, full(name, Path(folder), expected)))
            read_only(name, Path(folder), complete)
            kinds = len([*corrupt(name, complete, expected)])
            stray = strays(name, complete, expected)
        print(f"| {name} | {len(expected)} | {saved} | refused | {kinds} | {stray} |", flush=True)


if __name__ == "__main__":
    main()
