"""``python -m tests.mutation [--sample N] [--seed S] [FILE ...]``: change the code a little; do the tests notice?

Prints every mutant that survives as ``file:line  old  ->  new``, then the share of killed ones by file and part, and
ends with status 1 where it is below 85 % in one of the parts.
"""

import argparse
import random
import sys
from collections import Counter, defaultdict

from tqdm import tqdm

from tests.mutation.equivalent import reason
from tests.mutation.operators import mutants
from tests.mutation.runner import ROOT, Runner

# What is mutated, part by part, and the tests that are to notice: {name} is the file's. The tests of several processes
# take too long to be repeated, so that they count for nothing here.
PARTS = {
    "adaloss/stepsizes.py": "tests/test_stepsizes.py",
    "adaloss/theory": "tests/theory/test_{name}*.py",
    "adaloss/optim": "tests/optim/test_[!d]*.py",
    "experiments/runs/store.py": "tests/experiments/test_store*.py",
}
LEAST = 0.85


def files_of(part: str) -> dict[str, tuple[str, ...]]:
    """The source files of a part, relative to the project, and the tests of each."""
    path = ROOT / part
    files = [path] if path.is_file() else [file for file in sorted(path.glob("*.py")) if file.stem != "__init__"]
    found = {}
    for file in files:
        tests = sorted(ROOT.glob(PARTS[part].format(name=file.stem)))
        found[str(file.relative_to(ROOT))] = tuple(str(test.relative_to(ROOT)) for test in tests)
    return found


def main() -> int:
    """Run; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__.splitlines()[0])
    parser.add_argument("--sample", type=int, help="at most so many mutants of each file, drawn at random")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("files", nargs="*", metavar="FILE", help="source files; all if none is given")
    arguments = parser.parse_args()
    known = {part: files_of(part) for part in PARTS}
    names = [file for files in known.values() for file in files]
    for file in arguments.files:
        if file not in names:
            parser.error(f"{file}: should be one of {', '.join(names)}")
    totals = {}
    for part, files in known.items():
        together = defaultdict(list)  # one copy of the project for the files that have the same tests
        for file, tests in files.items():
            if file in (arguments.files or names):
                together[tests].append(file)
        if together:
            runs = [run(tests, same, arguments.sample, arguments.seed) for tests, same in together.items()]
            totals[part] = sum(runs, Counter())
    for part, total in totals.items():
        print(summary(part, total))
    return int(any(share(total) < LEAST for total in totals.values()))


def run(tests: tuple[str, ...], files: list[str], sample: int | None, seed: int) -> Counter:
    """Try the mutants of some files: how many met which verdict."""
    total = Counter()
    with Runner() as runner:
        runner.measure(tests, files)
        for file in files:
            source = (ROOT / file).read_text()
            every = mutants(file, source)
            drawn = every
            if sample is not None and sample < len(every):
                drawn = sorted(random.Random(seed).sample(every, sample), key=lambda mutant: mutant.line)
            seen = Counter()
            for mutant in tqdm(drawn, file, leave=False, disable=not sys.stderr.isatty()):
                verdict = runner.verdict(mutant)
                if verdict == "survived" and reason(mutant, source):
                    verdict = "equivalent"
                seen[verdict] += 1
                if verdict in ("survived", "not run"):
                    print(f"{verdict:8}  {mutant}", flush=True)
            print(f"{summary(file, seen)}; {len(every)} there are", flush=True)
            total += seen
    return total


def share(seen: Counter) -> float:
    """Of the mutants that are not proved equivalent, how many were noticed; one that never ends is."""
    return (seen["killed"] + seen["timeout"]) / max(seen.total() - seen["equivalent"], 1)


def summary(name: str, seen: Counter) -> str:
    """One line."""
    return (
        f"{name}: {seen.total()} mutants, {seen['killed']} killed, {seen['timeout']} timeouts, {seen['survived']} "
        f"survived, {seen['not run']} not run by any test, {seen['equivalent']} equivalent: {100 * share(seen):.1f} % "
        f"killed ({100 * share(seen) * (1 - seen['equivalent'] / max(seen.total(), 1)):.1f} % with those)"
    )


if __name__ == "__main__":
    sys.exit(main())
