"""Make the runs and the figure of each of the paper's sweeps, then the claims and the report; one line a stage.

python -m scripts.reproduce --scale laptop --jobs 2

``make reproduce`` calls it. A line says what was there already, how long the stage took and how long it took when its
runs were last made, here (figures/<scale>/times.json) or for the published figures. All other output of the stages goes
to figures/<scale>/reproduce.log. Stopped at any point, the same command makes what is missing; a stage whose sources,
runs and files are as they were is complete already (``scripts.shared.stages``).
"""

import argparse
import json
import multiprocessing
import os
import re
import runpy
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.process import BaseProcess
from pathlib import Path

from joblib.externals.loky import get_reusable_executor

from adaloss.runs import files
from experiments.runs.registry import listed
from experiments.runs.store import Store
from experiments.runs.terminal import SCALES, run_main
from scripts.shared.stages import Records, Stage

PUBLISHED = Path("figures/published")
TIMES = "times.json"
COMPLETE = "complete already"
# Each stage is forked from a process that has imported what takes seconds.
PROCESSES = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")
IMPORTED = ("experiments.runs.sweeps", "scripts.claims.sentences", "adaloss.simulate", "adaloss.optim", "joblib")
TICK = 1.0  # seconds between two states of the line on a terminal


def stages(scale: str, jobs: int) -> Iterator[Stage]:
    """Yield the stages in order."""
    launcher = ["hydra/launcher=joblib", f"hydra.launcher.n_jobs={jobs}"]
    for part in ("paper", "facts"):
        for sweep in [sweep for sweep in listed().values() if sweep.part == part]:
            words = [f"experiments.{sweep.experiment}", f"sweep={sweep.name}", f"scale={scale}", *launcher]
            yield Stage(f"{sweep.name}: runs", words, sweep.name)
            if part == "paper":
                yield Stage(f"{sweep.name}: figure", [f"scripts.{sweep.name}", "--scale", scale], sweep.name)
    yield Stage("claims", ["scripts.claims", "--scale", scale])
    yield Stage("report", ["scripts.report", "--scale", scale], shows=True)
    yield Stage("agreement", ["scripts.claims.agree", "--scale", scale], shows=True)


class Log:
    """Where the stages' output goes, and the times that they took when they last had something to do."""

    def __init__(self, folder: Path):
        self.folder, self.file = folder, folder / "reproduce.log"
        self.records = Records(folder, PUBLISHED, Store(Path("runs") / folder.name))
        self.times: dict[str, float] = {}
        published = PUBLISHED if folder.name == "laptop" else folder
        for known in (published, folder):
            with suppress(OSError, ValueError, TypeError, AttributeError):
                found = json.loads((known / TIMES).read_bytes())
                self.times |= {name: float(seconds) for name, seconds in found.items()}
        folder.mkdir(parents=True, exist_ok=True)
        self.file.write_bytes(b"")

    def run(self, stage: Stage, heading: str) -> str:
        """Run a stage unless it is complete, print its line and return its own last one.

        Raises SystemExit with its status, after what it said, if it fails.
        """
        known = self.records.said(stage)
        if known is not None:
            print(f"{heading}  {self._took(stage, time.monotonic())}, {COMPLETE}", flush=True)
            return known
        there = self.records.begin(stage)
        start, before = time.monotonic(), self.file.stat().st_size
        with started(stage.words, self.file) as process:
            while process.join(TICK) or process.is_alive():
                if sys.stdout.isatty():
                    print(f"\r{heading}  {self._took(stage, start)}", end="", flush=True)
        said = self.file.read_bytes()[before:].decode(errors="replace")
        if process.exitcode:
            print(f"{heading}  failed: {' '.join(['python', '-m', *stage.words])}", said, sep="\n", flush=True)
            sys.exit(process.exitcode if process.exitcode > 0 else 128 - process.exitcode)
        made = re.search(r"(\d+) runs in \d+ jobs, (\d+) to make", said)
        what = f", {f'{made[2]} of {made[1]} runs made' if int(made[2]) else COMPLETE}" if made else ""
        again = "\r" if sys.stdout.isatty() else ""
        print(f"{again}{heading}  {self._took(stage, start)}{what}", flush=True)
        if made is None or int(made[2]):
            self.times[stage.name] = round(time.monotonic() - start, 1)
            content = json.dumps(self.times, indent=1).encode() + b"\n"
            files.replace(self.folder / TIMES, content)
        last = said.rstrip().rpartition("\n")[2]
        self.records.end(stage, there, last)
        return last

    def _took(self, stage: Stage, start: float) -> str:
        expected = f" of about {clock(self.times[stage.name])}" if stage.name in self.times else ""
        return clock(time.monotonic() - start) + expected


@contextmanager
def started(words: list[str], output: Path) -> Iterator[BaseProcess]:
    """Start ``python -m`` with these words, its output at the end of a file, and end it with this process."""
    process = PROCESSES.Process(target=_stage, args=(words, output))
    process.start()
    try:
        yield process
    except BaseException:
        process.terminate()
        raise
    finally:
        process.join()


def _stage(words: list[str], output: Path) -> None:
    """Do what ``python -m`` does; SystemExit has the status."""
    with output.open("ab") as file:
        for descriptor in (1, 2):
            os.dup2(file.fileno(), descriptor)
    sys.argv = words
    try:
        runpy.run_module(words[0], run_name="__main__", alter_sys=True)
    finally:
        get_reusable_executor(reuse=True).shutdown(kill_workers=True)  # a forked process would wait for idle ones


def clock(seconds: float) -> str:
    """Return minutes and seconds."""
    return f"{seconds // 60:.0f}:{seconds % 60:02.0f}"


def main() -> None:
    """Run all stages and say what to read next."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--scale", default="laptop", choices=SCALES, help="(default: %(default)s)")
    words.add_argument("--jobs", default=1, type=int, help="processes at once (default: %(default)s)")
    args = words.parse_args()
    PROCESSES.set_forkserver_preload([*IMPORTED])
    sys.warnoptions.append("ignore:resource_tracker:UserWarning")  # it removes what a stop leaves behind
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    todo, begin = [*stages(args.scale, args.jobs)], time.monotonic()
    log = Log(Path("figures") / args.scale)
    width = max(len(stage.name) for stage in todo)
    said = {}
    for k, stage in enumerate(todo, 1):
        if stage is todo[-1]:
            report = f"report: {log.folder}/report.html; what is behind a verdict: {log.folder}/claims.md"
            print(f"done in {clock(time.monotonic() - begin)}", said["claims"], report, sep="\n", flush=True)
        said[stage.name] = log.run(stage, f"[{k:2}/{len(todo)}] {stage.name:{width}}")
    print(said["agreement"], "read next: README.md, docs/theory.md, docs/architecture.md", sep="\n")


if __name__ == "__main__":
    run_main(main)
