"""Runs tests on mutants: a copy of the project, and one fork of this process for each, which has imported torch before.

The copy is mutated on disk, so that processes which a test starts see the mutant too. A mutant is shown to the tests
that run its lines, as coverage.py saw it once on the unchanged copy; the quickest files of tests come first, and the
first failure ends it.
"""

import gc
import importlib
import math
import os
import pickle
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable
from pathlib import Path

import coverage
import hypothesis
import pytest

from tests.mutation.operators import Mutant

ROOT = Path(__file__).resolve().parents[2]
IMPORTED_ONCE = ("torch._dynamo", "torch.distributed", "scipy.linalg", "scipy.special", "pandas", "pyarrow.parquet")
IMPORTED_ONCE += ("scipy.sparse.linalg", "scipy.stats", "yaml", "hydra", "omegaconf", "pydantic", "joblib", "tqdm")
PROJECT = ("adaloss", "experiments", "scripts", "tests")
MEMORY = 12 * 2**30
UNGUARDED = 98  # an exit status that pytest does not have
SLOW = 3.0  # seconds of the processor; slower tests are left out: the tests only look weaker than they are


class Unshrunk:
    """Hypothesis without its search for the smallest failing example: that it fails is enough."""

    @staticmethod
    def pytest_collection() -> None:
        phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
        hypothesis.settings.register_profile("mutants", hypothesis.settings.get_profile("adaloss"), phases=phases)
        hypothesis.settings.load_profile("mutants")


class Measured:
    """Which tests run which lines, and how long each takes. What a fixture runs counts for all tests of its file."""

    def __init__(self, files: Iterable[Path]) -> None:
        self.coverage = coverage.Coverage(data_file=None, config_file=False, include=[str(file) for file in files])
        self.seconds: dict[str, float] = {}
        self.coverage.start()

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        self.coverage.switch_context(item.nodeid.partition("::")[0])

    def pytest_runtest_call(self, item: pytest.Item) -> None:
        self.coverage.switch_context(item.nodeid)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator:
        start = time.process_time()  # not the wall's: other processes should not choose the tests
        result = yield
        self.seconds[item.nodeid] = time.process_time() - start
        return result

    def results(self) -> tuple[dict, dict]:
        self.coverage.stop()
        data = self.coverage.get_data()
        return dict(self.seconds), {file: data.contexts_by_lineno(file) for file in data.measured_files()}


class Chosen:
    """Runs the given tests alone, in the given order."""

    def __init__(self, tests: list[str]) -> None:
        self.order = {test: i for i, test in enumerate(tests)}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = sorted((i for i in items if i.nodeid in self.order), key=lambda item: self.order[item.nodeid])


class Runner:
    """A copy of the project and what its tests do there. Use as a context manager."""

    def __enter__(self) -> "Runner":
        # A mutant of the store's kill(pid, 0) hangs up on the process that started it.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        os.environ |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        for name in IMPORTED_ONCE:
            importlib.import_module(name)
        gc.freeze()  # the forks need not look at what is here already
        self.folder = Path(tempfile.mkdtemp(prefix="mutants-")).resolve()
        self.copy = self.folder / "project"
        unneeded = shutil.ignore_patterns(".*", "runs", "__pycache__", "*.egg-info")
        shutil.copytree(ROOT, self.copy, ignore=unneeded)
        self.guard = self.folder / "guard"
        self.guard.mkdir()
        shutil.copy(Path(__file__).with_name("guard.py"), self.guard / "sitecustomize.py")
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.folder)

    def measure(self, tests: Iterable[str], files: Iterable[str]) -> None:
        """Run the tests on the unchanged copy. Raises RuntimeError where they fail there."""

        def work() -> int:
            plugin = Measured(self.copy / file for file in files)
            code = pytest.main([*_options(), *tests], plugins=[Unshrunk(), plugin])
            (self.folder / "measured").write_bytes(pickle.dumps(plugin.results()))
            return code

        sys.dont_write_bytecode = False  # of the tests, which stay as they are; a mutant's would be taken for another's
        if self._fork(work, 900) != 0:
            raise RuntimeError(f"the tests fail without any mutant:\n{(self.folder / 'log').read_text()}")
        # Written by this process's own child just now.
        sys.dont_write_bytecode = True
        self.seconds, self.lines = pickle.loads((self.folder / "measured").read_bytes())

    def chosen(self, mutant: Mutant) -> list[str]:
        """The tests that run the mutant's lines, quickest files first; all, where it is run by the import alone."""
        lines = self.lines.get(str(self.copy / mutant.file), {})
        contexts = {c for n in range(mutant.first, mutant.last + 1) for c in lines.get(n, ())}
        everywhere = contexts == {""}
        tests = [
            test
            for test, seconds in self.seconds.items()
            if seconds <= SLOW and (everywhere or test in contexts or test.partition("::")[0] in contexts)
        ]
        total = defaultdict(float)
        for test in tests:
            total[test.partition("::")[0]] += self.seconds[test]
        return sorted(tests, key=lambda test: (total[test.partition("::")[0]], self.seconds[test]))

    def verdict(self, mutant: Mutant) -> str:
        """ "killed", "timeout", "survived" or "not run" (by any test)."""
        tests = self.chosen(mutant)
        if not tests:
            return "not run"
        file = self.copy / mutant.file
        original = file.read_text()
        file.write_text(mutant.code)
        files = list(dict.fromkeys(test.partition("::")[0] for test in tests))
        try:
            code = self._fork(
                lambda: pytest.main([*_options(), "-x", *files], plugins=[Unshrunk(), Chosen(tests)]),
                10 + 5 * sum(self.seconds[test] for test in tests),
            )
        finally:
            file.write_text(original)
        return {None: "timeout", 0: "survived"}.get(code, "killed")

    def _fork(self, work: Callable[[], int], seconds: float) -> int | None:
        """The exit status of ``work`` in a process of its own that stands in the copy; None where it took too long.

        ``seconds`` are the processor's; of the clock's there are six times as many.
        """
        child = os.fork()
        if child == 0:
            try:
                os.setsid()
                log = os.open(self.folder / "log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
                os.dup2(log, 1)
                os.dup2(log, 2)
                resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
                resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(seconds), math.ceil(seconds) + 1))
                os.chdir(self.copy)
                os.environ |= {"MUTANTS_FOLDER": str(self.folder), "TMPDIR": str(self.folder)}
                os.environ["PYTHONPATH"] = os.pathsep.join([str(self.guard), str(self.copy)])
                tempfile.tempdir = None
                importlib.import_module("tests.mutation.guard")  # before any code of the mutant runs
                try:
                    shutil.rmtree(f"{self.folder}-outside")  # does not exist; asking is refused all the same
                except PermissionError:
                    pass
                except FileNotFoundError:
                    os._exit(UNGUARDED)
                sys.path[:] = [str(self.copy), *(path for path in sys.path if path not in ("", str(ROOT)))]
                for name in [name for name in sys.modules if name.partition(".")[0] in PROJECT]:
                    del sys.modules[name]
                code = int(work())
            except BaseException:
                traceback.print_exc()
                code = 99
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        deadline = time.monotonic() + 6 * seconds
        while time.monotonic() < deadline:
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                code = os.waitstatus_to_exitcode(status)
                if code == UNGUARDED:
                    raise RuntimeError("tests/mutation/guard.py does not guard: no mutant is run")
                return None if code in (-signal.SIGXCPU, -signal.SIGKILL) else code
            time.sleep(0.01)
        os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return None


def _options() -> list[str]:
    # This process has imported hypothesis before pytest could look at it.
    return ["-q", "--tb=line", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
