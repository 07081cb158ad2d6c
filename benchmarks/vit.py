"""How long Table 1 takes at the paper's scale: a step of ViT-S/16 at 224 x 224, and the optimizer's share of it.

    python -m benchmarks.vit

Random weights and generated images of CIFAR-100's size: nothing is downloaded. On a GPU the minibatches are of 128
under bfloat16 autocast; on the CPU, one thread, they are of 2 in float32, which shows the shares and that it runs, not
how long the table takes. A step is what the experiment does: augmentation, forward, backward, the test for
divergence and the optimizer. The best of several turns counts, in which the methods are shuffled.
"""

import math
import time

import numpy as np
import torch

from experiments import distributed
from experiments.data import cifar, cifar100
from experiments.data.images import Images
from experiments.methods import SGD_FAMILY
from experiments.models.vit import VisionTransformer
from experiments.optimizers import make
from experiments.vit.train import VitTrainer

HYPER = {
    "adaloss": {"alpha": 1.0, "c": 0.0, "c_unit": "absolute"},
    "adagrad_norm": {},
    "adagrad_norm_rowwise": {},
    "sgd_constant": {},
    "sgd_decay_sqrt": {"form": "root", "c_s": 1.0},
}
RUNS, EPOCHS, TRAIN, EVALUATED, BATCH = 5 * 5 * 3, 10, 45000, 15000, 128  # Table 1's


def generated(n: int, rng: np.random.Generator) -> Images:
    """Images of random bytes, seen as CIFAR-100's."""
    rows = (
        torch.from_numpy(rng.integers(0, 256, size=(n, 3, 32, 32), dtype=np.uint8)),
        torch.from_numpy(rng.integers(0, 100, size=n)),
    )
    return Images(
        train=rows,
        validation=rows,
        test=rows,
        classes=100,
        channels=3,
        size=224,
        checksum="generated",
        **cifar.views(cifar100.FORM, 256, 224),
    )


def timed(work, repeats: int) -> float:
    """Seconds of one call."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(repeats):
        work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / repeats


def main() -> None:
    """Time every method and print the table."""
    torch.set_num_threads(1)
    cuda = torch.cuda.is_available()
    batch, repeats, turns = (BATCH, 20, 5) if cuda else (2, 1, 3)
    images = generated(4 * batch, np.random.default_rng(0))
    chosen = torch.arange(batch)
    trainers = {}
    for name, hyper in HYPER.items():
        torch.manual_seed(0)
        model = VisionTransformer(size=224, patch=16, channels=3, width=384, depth=12, heads=6, classes=100)
        model = model.to(distributed.device())
        optimizer = make(SGD_FAMILY[name](name=name, **hyper), model.parameters(), eta=1e-3, b0=1.0)
        trainers[name] = VitTrainer(
            model,
            optimizer,
            images,
            shrink=1 - 1e-7,
            precision="bfloat16" if cuda else "float32",
            generator=torch.Generator().manual_seed(0),
        )
    whole, alone = dict.fromkeys(trainers, math.inf), dict.fromkeys(trainers, math.inf)
    rng = np.random.default_rng(0)
    loss = torch.tensor(4.6, dtype=torch.float64)
    for turn in range(turns + 1):
        for name in rng.permutation(list(trainers)):
            trainer = trainers[name]
            of_step = timed(lambda trainer=trainer: trainer.step(chosen), repeats)
            arguments = {"loss": loss} if name == "adaloss" else {}
            of_update = timed(lambda trainer=trainer, given=arguments: trainer.optimizer.step(**given), repeats)
            if turn:
                whole[name], alone[name] = min(whole[name], of_step), min(alone[name], of_update)
    evaluation = timed(lambda: trainers["adaloss"].accuracy(images.test), 1) / len(images.test[1])
    where = torch.cuda.get_device_name() if cuda else "CPU, one thread"
    print(f"ViT-S/16, 224 x 224, minibatches of {batch}, {where}")
    for name in trainers:
        without = whole[name] - alone[name]
        print(
            f"  {name:<22} {1 / whole[name]:8.2f} steps/s, forward and backward alone {1 / without:8.2f}; "
            f"the optimizer's share {alone[name] / whole[name]:6.1%}"
        )
    step = sum(whole.values()) / len(whole)
    hours = RUNS * EPOCHS * (math.ceil(TRAIN / BATCH) * step * BATCH / batch + EVALUATED * evaluation) / 3600
    print(f"  evaluation {1 / evaluation:.1f} images/s")
    print(f"  Table 1 ({RUNS} runs): {hours:.1f} hours at this rate" + ("" if cuda else ": needs a GPU"))


if __name__ == "__main__":
    main()
