"""Time an optimizer's step, the step alone, compared with torch's own and with other adaptive optimizers.

    python -m benchmarks.optim

Two sets of parameters: those of a ViT-S/16 with 100 classes (21.7 million in 152 tensors), and a small network's
(100 thousand in 12). float32, one thread, all in one process. Optimizers that are compared take turns next to each
other, in random order, and the median of their turns' ratios counts, over several allocations of everything: a
processor's frequency drifts, and where arrays lie moves a small step by 5 %. Every loss-driven optimizer gets its loss
as a tensor that needs a gradient, as in a loop.

The textbook's and the authors' AdaGrad-Norm are the plain loops that one would write: the norm of all gradients, and
one norm for each row of each parameter (the paper's footnote 8).
"""

import math
import time
import warnings

import numpy as np
import torch

from adaloss.optim import AdaGradNorm, AdaLoss, AdamLoss

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from dadaptation import DAdaptAdam, DAdaptSGD
    from dog import DoG
    from momo import Momo
    from prodigyopt import Prodigy
    from pytorch_optimizer import AliG
    from schedulefree import SGDScheduleFree

WIDTH, DEPTH, CLASSES = 384, 12, 100
BLOCK = [(WIDTH,), (WIDTH,), (3 * WIDTH, WIDTH), (3 * WIDTH,), (WIDTH, WIDTH), (WIDTH,), (WIDTH,), (WIDTH,)]
BLOCK += [(4 * WIDTH, WIDTH), (4 * WIDTH,), (WIDTH, 4 * WIDTH), (WIDTH,)]
ENDS = [(1, 1, WIDTH), (1, 197, WIDTH), (WIDTH, 3, 16, 16), (WIDTH,), (WIDTH,), (WIDTH,), (CLASSES, WIDTH), (CLASSES,)]
SETS = {  # shapes, steps in a turn, turns, allocations
    "small": (6 * [(128, 128), (128,)], 50, 25, 8),
    "ViT-S/16": (DEPTH * BLOCK + ENDS, 2, 6, 2),
}


class TextbookAdaGradNorm(torch.optim.Optimizer):
    """One norm over all gradients."""

    def __init__(self, params, lr=0.1, b0=0.1):
        super().__init__(params, {"lr": lr})
        self.b_sq = b0**2

    @torch.no_grad()
    def step(self):
        [group] = self.param_groups
        self.b_sq += sum(float(p.grad.square().sum()) for p in group["params"])
        for p in group["params"]:
            p.add_(p.grad, alpha=-group["lr"] / self.b_sq**0.5)


class RowwiseAdaGradNorm(torch.optim.Optimizer):
    """One norm for each row of each parameter."""

    def __init__(self, params, lr=0.1, b0=0.1):
        super().__init__(params, {"lr": lr})
        [group] = self.param_groups
        for p in group["params"]:
            self.state[p]["b_sq"] = torch.full((len(p), *(1,) * (p.dim() - 1)), b0**2)

    @torch.no_grad()
    def step(self):
        [group] = self.param_groups
        for p in group["params"]:
            b_sq = self.state[p]["b_sq"]
            b_sq += p.grad.reshape(len(p), -1).square().sum(dim=1).reshape(b_sq.shape)
            p.sub_(group["lr"] * p.grad / b_sq.sqrt())


DECAY = {"momentum": 0.9, "weight_decay": 1e-4}
STILL = {
    "growth_rate": 1.0
}  # under these constant gradients their estimate of a distance would grow until it overflows
ROWS = [  # name, optimizer, options, how its loss comes in, the row that it is compared with
    ("torch SGD", torch.optim.SGD, {}, None, None),
    ("AdaLoss", AdaLoss, {}, "loss", "torch SGD"),
    ("torch SGD, momentum + weight decay", torch.optim.SGD, DECAY, None, None),
    ("AdaLoss, momentum + weight decay", AdaLoss, DECAY, "loss", "torch SGD, momentum + weight decay"),
    ("torch SGD, foreach, m + wd", torch.optim.SGD, {**DECAY, "foreach": True}, None, None),
    ("AdaLoss, foreach, m + wd", AdaLoss, {**DECAY, "foreach": True}, "loss", "torch SGD, foreach, m + wd"),
    ("torch SGD, fused, m + wd", torch.optim.SGD, {**DECAY, "fused": True}, None, None),
    ("AdaLoss, fused, m + wd", AdaLoss, {**DECAY, "fused": True}, "loss", "torch SGD, fused, m + wd"),
    ("torch Adam", torch.optim.Adam, {}, None, None),
    ("AdamLoss", AdamLoss, {}, "loss", "torch Adam"),
    ("torch Adam, weight decay", torch.optim.Adam, {"weight_decay": 1e-4}, None, None),
    ("AdamLoss, weight decay", AdamLoss, {"weight_decay": 1e-4}, "loss", "torch Adam, weight decay"),
    ("torch Adam, foreach", torch.optim.Adam, {"foreach": True}, None, None),
    ("AdamLoss, foreach", AdamLoss, {"foreach": True}, "loss", "torch Adam, foreach"),
    ("torch Adam, fused", torch.optim.Adam, {"fused": True}, None, None),
    ("AdamLoss, fused", AdamLoss, {"fused": True}, "loss", "torch Adam, fused"),
    ("AdaGradNorm, global", AdaGradNorm, {}, None, "torch SGD"),
    ("AdaGradNorm, row", AdaGradNorm, {"granularity": "row"}, None, "torch SGD"),
    ("textbook AdaGrad-Norm", TextbookAdaGradNorm, {}, None, "torch SGD"),
    ("authors' AdaGrad-Norm (rows)", RowwiseAdaGradNorm, {}, None, "torch SGD"),
    ("Prodigy", Prodigy, STILL, None, "torch SGD"),
    ("D-Adaptation SGD", DAdaptSGD, STILL, None, "torch SGD"),
    ("D-Adaptation Adam", DAdaptAdam, STILL, None, "torch SGD"),
    ("DoG", DoG, {}, None, "torch SGD"),
    ("schedule-free SGD", SGDScheduleFree, {}, None, "torch SGD"),
    ("MoMo", Momo, {}, "loss", "torch SGD"),
    ("ALI-G", AliG, {}, "closure", "torch SGD"),
]
ADAPTIVE = [name for name, *_ in ROWS[ROWS.index(next(r for r in ROWS if r[0] == "AdaGradNorm, global")) :]]


def make(shapes, cls, options, way, rng):
    """A function that takes one step."""
    params = []
    for shape in shapes:
        p = torch.nn.Parameter(torch.from_numpy(rng.normal(size=shape, scale=0.02).astype(np.float32)))
        p.grad = torch.from_numpy(rng.normal(size=shape, scale=1e-3).astype(np.float32))
        params.append(p)
    optimizer = cls(params, **options)
    if hasattr(optimizer, "train"):
        optimizer.train()
    loss = params[-1].sum() ** 2 + 1.0
    arguments = {None: {}, "loss": {"loss": loss}, "closure": {"closure": lambda: loss}}[way]
    return lambda: optimizer.step(**arguments)


def measure(shapes, steps, turns, allocations, rng):
    """The seconds of each optimizer's step at every turn, by name."""
    families = {}
    for name, *_, other in ROWS:
        families.setdefault(other or name, []).append(name)
    seconds = {name: [] for name, *_ in ROWS}
    for _ in range(allocations):
        ways = {name: make(shapes, cls, options, way, rng) for name, cls, options, way, _ in ROWS}
        for turn in range(turns + 1):
            for family in rng.permutation(list(families)):
                for name in rng.permutation(families[family]):
                    ways[name]()  # brings its arrays near
                    start = time.perf_counter()
                    for _ in range(steps):
                        ways[name]()
                    if turn:  # the first allocates the state
                        seconds[name].append((time.perf_counter() - start) / steps)
    return {name: np.array(of) for name, of in seconds.items()}


def main() -> None:
    """Time everything and print the tables."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    for label, (shapes, *sizes) in SETS.items():
        count = sum(math.prod(shape) for shape in shapes)
        print(f"{label}: {count / 1e6:.2f} million parameters in {len(shapes)} tensors, one step")
        seconds = measure(shapes, *sizes, rng)
        middle = {name: np.median(of) for name, of in seconds.items()}
        for name, *_, other in ROWS:
            ratio = f"   {np.median(seconds[name] / seconds[other]):6.3f} x {other}" if other else ""
            print(f"  {name:<36} {1e6 * middle[name]:10.1f} us{ratio}")
        fastest = min(ADAPTIVE, key=middle.get)
        print(f"  AdaLoss / the fastest other adaptive ({fastest}): {middle['AdaLoss'] / middle[fastest]:.2f}\n")


if __name__ == "__main__":
    main()
