"""Four processes make the same sweep in one store at once: no run twice, nothing torn, as much work as one alone.

    python -m tests.campaign.concurrency [processes]

Some of the processes are killed with work in hand in a second round: the others take it over.
"""

import random
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.campaign.cases import CASES, Forked, content, leftovers, undisturbed
from tests.experiments.launch import finish, made_by_job


def together(name, runs, count, kill=0, rng=None, length=0.0):
    """How many runs the processes say they made, and the seconds until the last had ended."""
    begun = time.perf_counter()
    processes = [Forked(name, runs) for _ in range(count)]
    for victim in processes[:kill]:
        time.sleep(rng.uniform(0, length / count))
        victim.send_signal(signal.SIGKILL)
    total = 0
    for k, process in enumerate(processes):
        code, out, errors = finish(process)
        assert (code, errors) == (0, "") or (k < kill and code == -signal.SIGKILL), (name, code, errors)
        total += sum(made_by_job(out))
    return total, time.perf_counter() - begun


def main(count):
    rng = random.Random(0)
    print(f"| experiment | runs | made by {count} processes | seconds of 1 | seconds of {count} | after 2 kills |")
    print("|---|---|---|---|---|---|")
    for name in CASES:
        with tempfile.TemporaryDirectory() as folder:
            length, expected = undisturbed(name, Path(folder, "one"), Forked)
            runs = sum(not key.startswith("vit_pretrain") for key in expected)
            total, seconds = together(name, Path(folder, "all"), count)
            assert total == runs, (name, total, runs)
            together(name, Path(folder, "kills"), count, 2, rng, length)
            for store in ("all", "kills"):
                assert content(Path(folder, store)) == expected, (name, store)
                assert not leftovers(Path(folder, store))
        print(f"| {name} | {runs} | {total} | {length:.1f} | {seconds:.1f} | equal |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 4)
