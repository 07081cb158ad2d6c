"""Compare the cost of certificates, asked for as in the experiment until one is given, and of the training.

    python -m benchmarks.certificates

All in one process and one thread, in turns; the best of several turns counts, in seconds of the processor.
"""

import time
from functools import partial

from threadpoolctl import threadpool_limits

from adaloss.theory.finite_width import certify
from experiments.certificates import Network, asked_next
from experiments.data import sphere


def timed(run):
    """Seconds of this process, whatever others do, and the result."""
    start = time.process_time()
    result = run()
    return time.process_time() - start, result


def table(title, turns, ways, ours):
    """Time (work, factor) pairs in turns, and print the best of each, also in units of ``ours``."""
    print(title)
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(turns):
        for name, (run, factor) in ways.items():
            best[name] = min(best[name], factor * timed(run)[0])
    for name, seconds in best.items():
        print(f"  {name:<60} {seconds:9.3f} s   {seconds / best[ours]:8.2f} x {ours}", flush=True)


def trained(x, y, m, asked, keep):
    """A training to 1e-6 of ||u - y||^2: its steps, and what certify takes when it is asked if ``keep``."""
    training, states, due = Network(x, y, m, 0), [], 0
    for k, b, size in training.train(asked["eta"], asked["alpha"] * len(y) ** 0.25, 0.01):
        first = size if k == 0 else first  # noqa: F821
        if keep and k == due:
            due = asked_next(k)
            states.append((training.weights(), training.signs, x, y, b))
        if size <= 1e-3 * first:
            break
    return k, states


def certificates(eta=2.0, alpha=0.5):
    """Certificates of AdaLoss, at the sizes of figure_certificates."""
    for n, d, m in ((10, 50, 2000), (20, 20, 300), (20, 50, 6400), (20, 20, 10000), (20, 20, 26000)):
        x, y, _ = sphere.load(sphere.Config(name="sphere", n=n, d=d), 0)
        asked = {"eta": eta, "alpha": alpha}
        steps, states = trained(x, y, m, asked, keep=True)
        holds = [certify(w, a, x, y, b=b, **asked).holds for w, a, _, _, b in states]
        states = states[: holds.index(True) + 1]

        def ask(states=states, asked=asked):
            for *arguments, b in states:
                certify(*arguments, b=b, **asked)

        ways = {
            "the training": (partial(trained, x, y, m, asked, keep=False), 1),
            f"all {len(states)} certificates": (ask, 1),
            "a certificate": (ask, 1 / len(states)),
        }
        table(f"n = {n}, d = {d}, m = {m}: {steps} steps of AdaLoss", 3, ways, "the training")


if __name__ == "__main__":
    with threadpool_limits(1):
        certificates()
