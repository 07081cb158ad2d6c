"""2,000 certified networks and 300 with adversaries on the unstable pairs: what is promised, step by step.

python -m tests.campaign.certificates [networks] [adversaries] [steps]      an hour of one core as it stands
"""

import sys
from collections import Counter

from experiments.bounds.networks import check


def campaign(certified, steps, adversarial, first_seed=0):
    """Counts over as many certified networks: broken promises, and how many of what kind there were."""
    seed, counts = first_seed, Counter()
    while counts["certified"] < certified:
        network, found, broken = check(seed, steps, adversarial)
        seed += 1
        if not found.holds:
            counts["refused"] += 1
            continue
        counts["certified"] += 1
        counts["with unstable pairs"] += bool(found.unstable.any())
        counts["with burn-in"] += found.burn_in > 0
        counts["gradient descent"] += network.alpha == 0
        if any(broken.values()):
            print(f"seed {seed - 1}: {broken}", flush=True)
        counts["broken"] += sum(map(int, broken.values()))
    return counts


if __name__ == "__main__":
    networks, adversaries, steps = (*map(int, sys.argv[1:]), *(2000, 300, 2000)[len(sys.argv) - 1 :])
    for number, adversarial in ((networks, False), (adversaries, True)):
        print("adversaries" if adversarial else "networks", dict(campaign(number, steps, adversarial)), flush=True)
