"""SIGKILL, SIGTERM and Ctrl-C at random moments of every experiment, then the same command again.

    python -m tests.campaign.kill [rounds]

The store has to hold whole runs only at every moment, and in the end what an undisturbed store holds, to the bit. One
round in five is a process of its own, killed at any moment from its start on; the others are forks of this one, which
spares them the imports and puts the moments into the work.
"""

import random
import signal
import sys
import tempfile
import time
from collections import Counter
from itertools import product
from pathlib import Path

from tests.campaign.cases import CASES, Forked, leftovers, start, undisturbed
from tests.experiments.launch import content, finish

LIMIT = 5.0  # seconds that a clean end should take
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
WORDS = {signal.SIGTERM: "terminated", signal.SIGINT: "interrupted"}
# Seconds after which the handlers are set; before, nothing of ours runs.
STARTED = {start: 0.5, Forked: 0.05}
IN_A_ROW = 4  # interruptions before a store is finished


def interrupt(name, runs, number, after, way=start):
    """One process, one signal: whether it came in time, and the seconds until the process had ended."""
    process = way(name, runs)
    time.sleep(after)
    if process.poll() is not None:
        finish(process)
        return False, 0.0
    begun = time.perf_counter()
    process.send_signal(number)
    code, _, errors = finish(process, timeout=60)
    took = time.perf_counter() - begun
    if code == 0:  # the signal came when all was done
        return False, took
    if number == signal.SIGKILL:
        assert code == -number
    else:
        line = f"{name}: {WORDS[number]}; complete runs are saved, the same command continues"
        assert (code, errors.splitlines()) == (128 + number, [line]), (name, number, after, code, errors)
    return True, took


def campaign(name, rounds, rng, folder, way):
    """``rounds`` interruptions of one experiment: how many of each signal, stores finished, the slowest end."""
    length, expected = undisturbed(name, folder / "undisturbed", way)
    counts, slowest, stores = Counter(), 0.0, 0
    while counts.total() < rounds:
        runs = folder / f"runs-{stores}"
        for _ in range(min(IN_A_ROW, rounds - counts.total())):
            number = SIGNALS[counts.total() % len(SIGNALS)]
            hit, took = interrupt(name, runs, number, rng.uniform(STARTED[way], 0.9 * length), way)
            saved = content(runs)
            assert saved.items() <= expected.items(), (name, number)
            counts[number] += hit
            if hit and number != signal.SIGKILL:
                slowest = max(slowest, took)
            if not hit:
                break
        code, _, errors = finish(way(name, runs))
        assert (code, errors) == (0, ""), errors
        assert content(runs) == expected, name
        assert not leftovers(runs), leftovers(runs)
        stores += 1
    return counts, stores, len(expected), slowest


def main(rounds):
    rng = random.Random(0)
    print("| experiment | started | SIGKILL | SIGTERM | Ctrl-C | stores | runs in each | slowest clean end |")
    print("|---|---|---|---|---|---|---|---|")
    total = Counter()
    for name, (word, way, some) in product(
        CASES, (("fork", Forked, rounds - rounds // 5), ("process", start, rounds // 5))
    ):
        with tempfile.TemporaryDirectory() as folder:
            counts, stores, runs, slowest = campaign(name, some, rng, Path(folder), way)
        assert slowest <= LIMIT, (name, word, slowest)
        total += counts
        numbers = " | ".join(str(counts[number]) for number in SIGNALS)
        print(f"| {name} | {word} | {numbers} | {stores} | {runs} | {slowest:.1f} s |", flush=True)
    print(f"\n{total.total()} interruptions; every store in the end equal to the undisturbed one, bit for bit.")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 15)
