"""Make the runs and the figure of each of the paper's sweeps, then the claims and the report; one line a stage.

python -m scripts.reproduce --scale laptop --jobs 2

``make reproduce`` calls it. A line says what was there already, how long the stage took and how long it took when its
runs were last made, here (figures/<scale>/times.json) or for the published figures. All other output of a stage goes
to figures/<scale>/logs. Stopped at any point, the same command makes what is missing; a stage whose sources, runs and
files are as they were is complete already (``scripts.shared.stages``).
"""

import argparse
import json
import multiprocessing
import os
import re
import runpy
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.connection import wait
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
IMPORTED = (
    "experiments.runs.sweeps", "scripts.claims.sentences", "adaloss.simulate", "adaloss.optim",
    "torch._dynamo", "joblib",
)  # fmt: skip
TICK = 1.0  # seconds between two states of the line on a terminal


def stages(scale: str, jobs: int) -> Iterator[Stage]:
    """Yield the stages in the paper's order, each with ``jobs`` processes."""
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


class Running:
    """A stage at work: ``python -m`` with its words, its output in a file."""

    def __init__(self, stage: Stage, there: dict[str, str], output: Path):
        self.stage, self.there, self.output, self.start = stage, there, output, time.monotonic()
        output.write_bytes(b"")
        self.process: BaseProcess = PROCESSES.Process(target=_stage, args=(stage.words, output))
        self.process.start()


class Reproduction:
    """The stages that draw one folder of figures, one or two at a time.

    The first in order is the first to run, so that a picture is there after a minute; then it is always the longest, so
    that two lanes end together. A figure comes before other runs, after its own and after the one that is being drawn;
    what has no sweep waits for all before it. ``said`` has the last line of each stage that is complete.
    """

    def __init__(self, folder: Path, todo: list[Stage], lanes: int = 1):
        self.folder, self.todo, self.lanes = folder, todo, lanes
        self.records = Records(folder, PUBLISHED, Store(Path("runs") / folder.name))
        self.times: dict[str, float] = {}
        published = PUBLISHED if folder.name == "laptop" else folder
        for known in (published, folder):
            with suppress(OSError, ValueError, TypeError, AttributeError):
                found = json.loads((known / TIMES).read_bytes())
                self.times |= {name: float(seconds) for name, seconds in found.items()}
        (folder / "logs").mkdir(parents=True, exist_ok=True)
        self.waiting, self.running, self.said = [], [], {}

    def run(self, some: list[Stage]) -> dict[str, str]:
        """Run those of some stages that are not complete; returns ``said``.

        Raises SystemExit with the status of one that fails, after what it said.
        """
        self.waiting = [*some]
        try:
            while self._fill():
                if wait([one.process.sentinel for one in self.running], TICK):
                    for one in [one for one in self.running if not one.process.is_alive()]:
                        self._end(one)
                elif sys.stdout.isatty():
                    now = ", ".join(f"{one.stage.name} {self._took(one.stage, one.start)}" for one in self.running)
                    print(f"\r\033[K{now:.{shutil.get_terminal_size().columns - 1}}", end="", flush=True)
        finally:
            for one in self.running:
                one.process.terminate()
            for one in self.running:
                one.process.join()
        return self.said

    def _fill(self) -> bool:
        """Start what may run now; return whether anything runs."""
        while len(self.running) < self.lanes and (stage := self._next()):
            self.waiting.remove(stage)
            if (known := self.records.said(stage)) is None:
                self._begin(stage)
            else:
                self._print(stage, f"{self._took(stage, time.monotonic())}, {COMPLETE}")
                self.said[stage.name] = known
        return bool(self.running)

    def _next(self) -> Stage | None:
        """Return the stage to run now, if there is one that need not wait."""
        busy = {one.stage.sweep for one in self.running}
        drawing = any(one.stage.draws for one in self.running)
        ready: dict[str | None, Stage] = {}
        for stage in self.waiting:
            if stage.sweep is None and (ready or busy):
                break
            if stage.sweep not in busy and not (stage.draws and drawing):
                ready.setdefault(stage.sweep, stage)

        def rank(stage: Stage) -> tuple[bool, float]:
            return stage.draws, self.times.get(stage.name, 0.0) if self.running else 0.0

        return max(ready.values(), key=rank, default=None)  # the first of equals

    def _begin(self, stage: Stage) -> None:
        there = self.records.begin(stage)
        name = re.sub(r"\W+", "_", stage.name)
        self.running.append(Running(stage, there, self.folder / f"logs/{name}.log"))

    def _end(self, one: Running) -> None:
        """Record a stage that has ended, and print its line. Raises SystemExit if it failed."""
        self.running.remove(one)
        said, code, stage = one.output.read_text(errors="replace"), one.process.exitcode, one.stage
        if code:
            self._print(stage, f"failed: {' '.join(['python', '-m', *stage.words])}")
            print(said, flush=True)
            sys.exit(code if code > 0 else 128 - code)
        made = re.search(r"(\d+) runs in \d+ jobs, (\d+) to make", said)
        what = f", {f'{made[2]} of {made[1]} runs made' if int(made[2]) else COMPLETE}" if made else ""
        self._print(stage, self._took(stage, one.start) + what)
        if made is None or int(made[2]):
            self.times[stage.name] = round(time.monotonic() - one.start, 1)
            files.replace(self.folder / TIMES, json.dumps(self.times, indent=1).encode() + b"\n")
        self.said[stage.name] = said.rstrip().rpartition("\n")[2]
        self.records.end(stage, one.there, self.said[stage.name])

    def _print(self, stage: Stage, words: str) -> None:
        """Print the line of a stage that has ended."""
        count, width = len(self.todo), max(len(other.name) for other in self.todo)
        line = f"[{len(self.said) + 1:{len(str(count))}}/{count}] {stage.name:{width}}  {words}"
        clear = "\r\033[K" if sys.stdout.isatty() else ""
        print(f"{clear}{line}", flush=True)

    def _took(self, stage: Stage, start: float) -> str:
        expected = f" of about {clock(self.times[stage.name])}" if stage.name in self.times else ""
        return clock(time.monotonic() - start) + expected


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
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}"


def main() -> None:
    """Run all stages and say what to read next."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--scale", default="laptop", choices=SCALES, help="(default: %(default)s)")
    words.add_argument("--jobs", default=1, type=int, help="processes at once (default: %(default)s)")
    args = words.parse_args()
    PROCESSES.set_forkserver_preload([*IMPORTED])
    sys.warnoptions.append("ignore:resource_tracker:UserWarning")  # it removes what a stop leaves behind
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    lanes, begin = 2 - args.jobs % 2, time.monotonic()
    folder = Path("figures") / args.scale
    *making, agreement = todo = [*stages(args.scale, args.jobs // lanes)]
    reproduction = Reproduction(folder, todo, lanes)
    said = reproduction.run(making)
    print(f"done in {clock(time.monotonic() - begin)}", said["claims"], sep="\n")
    print(f"report: {folder}/report.html; what is behind a verdict: {folder}/claims.md", flush=True)
    reproduction.run([agreement])  # fails if a verdict contradicts the published one
    print(said["agreement"], "read next: README.md, docs/theory.md, docs/architecture.md", sep="\n")


if __name__ == "__main__":
    run_main(main)
