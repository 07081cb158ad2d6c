"""Fine-tuning a pretrained vision transformer (paper, Section 4, Table 1).

python -m experiments.vit method=adaloss b0=0.1 seed=0
python -m experiments.vit b0=[0.01,1,100] seed=[0,1,2]                      nine runs, one after the other
python -m experiments.vit sweep=table_1                                     the sweep behind Table 1
torchrun --nproc-per-node 8 -m experiments.vit sweep=table_1 scale=paper data.path=...      docs/paper_scale.md
"""

from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field, PrivateAttr, model_validator

from experiments import distributed
from experiments.data import module as data_module
from experiments.data.images import Images
from experiments.methods import SGD_FAMILY
from experiments.models import efficientnet, hub, resnet, vit, vit_s14
from experiments.optimizers import make
from experiments.runs.checkpoint import Checkpoint
from experiments.runs.identity import code_hash
from experiments.runs.schema import (
    ConfigError,
    Count,
    Experiment,
    Outcome,
    Positive,
    PositiveList,
    Progress,
    Seed,
    SeedList,
    Strict,
    nested,
)
from experiments.runs.store import Run, Store
from experiments.vit.pretrain import PRETRAINING, build, dealt, generator
from experiments.vit.pretrain import weights as pretrained
from experiments.vit.start import HEAD_STREAM, Head, Weights, start
from experiments.vit.train import VitTrainer, WeightDecay, best_epoch

NAME = "vit"
DATA = ("digit_images", "mnist", "fashion_mnist", "cifar10", "cifar100")
MODELS = {"vit": vit.Architecture, "resnet": resnet.Architecture, "efficientnet_lite0": efficientnet.Architecture}
ORDER_STREAM = 3


class Nothing(Strict):
    """No pretrained weights."""

    name: Literal["none"]


PACKAGED = {"vit_s14": vit_s14.VitS14, "efficientnet_lite0": efficientnet.EfficientNetLite0}
MODEL_OF = {"vit_s14": "vit", "efficientnet_lite0": "efficientnet_lite0"} | dict.fromkeys(PRETRAINING, "vit")
WEIGHTS = PRETRAINING | PACKAGED | {"hub": hub.Hub, "file": hub.File, "none": Nothing}


@cache
def loaded(data: Strict, split: int) -> Images:
    """Return the images that a seed deals, read once in a process."""
    return data_module(data.name).load(data, split)


@cache
def to_tune_on(data: Strict, weights: Strict, split: int) -> Images:
    """Return the images of a seed that no pretraining takes."""
    images = loaded(data, split)
    return dealt(images, weights)[0] if weights.name in PRETRAINING else images


class Vit(Experiment):
    """One job: all combinations of ``b0`` and ``seed`` for one method, data set and pretrained model.

    All methods and b0 share what a seed draws. The fields are explained in configs/experiment/vit.yaml.
    """

    method: Annotated[Any, nested("method", SGD_FAMILY.get, tuple(SGD_FAMILY))]
    data: Annotated[Any, nested("data", lambda name: data_module(name).Config, DATA)]
    model: Annotated[Any, nested("model", MODELS.get, tuple(MODELS))]
    weights: Annotated[Any, nested("weights", WEIGHTS.get, tuple(WEIGHTS))]
    frozen: Annotated[int, Field(ge=0)]
    head: Head
    b0: PositiveList
    seed: SeedList
    eta: Positive
    weight_decay: Annotated[Any, nested("weight_decay", WeightDecay)]
    epochs: Count
    batch: Count
    precision: Literal["float32", "bfloat16"]
    _weights: Weights = PrivateAttr()

    @model_validator(mode="after")
    def _fits_together(self) -> "Vit":
        if getattr(self.method, "c_unit", "absolute") != "absolute":
            raise ValueError("method.c_unit='f_star': should be absolute (f* is 0 for these networks)")
        if self.method.name == "adagrad_norm_rowwise" and self.weight_decay.by == "step":
            raise ValueError("weight_decay.by='step': should be eta (row by row there is no one step)")
        if self.eta * self.weight_decay.value >= 1:
            raise ValueError(f"weight_decay.value={self.weight_decay.value}: eta times it should be less than 1")
        name = self.model.name
        if self.frozen > self.model.may_stay:
            raise ValueError(f"frozen={self.frozen}: should be at most {self.model.may_stay} with model={name}")
        if self.head not in self.model.heads_start:
            raise ValueError(f"head={self.head!r}: allowed with model={name} are {', '.join(self.model.heads_start)}")
        needed = MODEL_OF.get(self.weights.name, name)
        if needed != name:
            raise ValueError(
                f"weights={self.weights.name!r}: should be another with model={name}, they are of {needed}"
            )
        if self.weights.name in PRETRAINING and self.data.split is None:
            raise ValueError(f"data.split=null: should be a number with weights={self.weights.name}, made of one split")
        images = self._images(self.seed[0])
        if self.frozen and images.draw(1, torch.Generator()).numel():
            raise ValueError(f"frozen={self.frozen}: should be 0 for data={self.data.name}, whose images are augmented")
        self.model.check(images.size)
        return self

    def _split(self, seed: Seed) -> int:
        """Return the seed that deals the images."""
        return seed if self.data.split is None else self.data.split

    def _images(self, seed: Seed) -> Images:
        """Return the images that a seed is fine-tuned on."""
        return to_tune_on(self.data, self.weights, self._split(seed))

    def runs(self) -> list[Run]:
        """Return one run per (b0, seed). Where files lie is no part of them; what is in the files is."""
        common = self.model_dump(exclude={"data": {"path"}, "weights": {"path"}})
        code = code_hash(__name__, data_module(self.data.name).__name__)
        file = f" {hub.read(Path(self.weights.path))[1]}" if self.weights.name == "file" else ""
        return [
            Run(
                experiment=NAME,
                label=f"{self.method.name}_{self.data.name}_{self.weights.name}_b0={b0:g}_seed={seed}",
                config=common | {"b0": b0, "seed": seed},
                code=code,
                data=self._images(seed).checksum + file,
            )
            for b0, seed in product(self.b0, self.seed)
        ]

    def agreed(self, choose: Callable[[], list[Run]]) -> list[Run]:
        """Broadcast rank 0's choice: all ranks train the same model."""
        return distributed.broadcast(choose() if distributed.rank() == 0 else None)

    def prepare(self, store: Store, progress: Progress) -> None:
        """Get the pretrained weights: out of the store, the hub, a file or a package."""
        torch.set_num_threads(1)
        self._weights = self._pretrained(store, progress)

    def _pretrained(self, store: Store, progress: Progress) -> Weights:
        weights, images = self.weights, self._images(self.seed[0])
        if weights.name in PRETRAINING:
            everything = loaded(self.data, self.data.split)
            return Weights(*pretrained(weights, self.model, self.data, everything, store, progress))
        if weights.name == "none":
            return Weights({}, None)
        if weights.name == "vit_s14":
            state = hub.first_blocks(vit_s14.load(weights, images.size // self.model.patch), self.model.depth)
        elif weights.name == "efficientnet_lite0":
            state = efficientnet.load(weights, self.model.depth)
        elif weights.name == "file":
            source, (state, checksum) = weights.path, hub.read(Path(weights.path))
        else:
            source, (state, checksum) = weights.repo, hub.cached(hub.download(weights))
        if weights.name in PACKAGED:
            source, checksum = weights.name, weights.sha256
        state = hub.backbone(state, build(self.model, images, 0, HEAD_STREAM), source)
        return Weights(hub.first_blocks(state, getattr(weights, "blocks", len(state))), checksum)

    def execute(self, runs: list[Run], progress: Progress) -> Iterator[Outcome]:
        """Train one model after the other; only rank 0 has something to save."""
        for run in runs:
            outcome = self._train(run, progress)
            if distributed.rank() == 0:
                yield outcome
        distributed.broadcast(None)  # no rank goes on before the last is saved

    def _train(self, run: Run, progress: Progress) -> Outcome:
        b0, seed = run.config["b0"], run.config["seed"]
        if self.weights.name == "file" and not run.data.endswith(f" {self._weights.sha256}"):
            raise ConfigError(
                f"weights.path={self.weights.path}: has the sha256 {self._weights.sha256}, not that of the run "
                f"({run.data.split()[-1]}): it was changed meanwhile; run the same command again"
            )
        net, images = start(self._weights, self.model, self._images(seed), seed, self.frozen, self.head)
        net, decay = deepcopy(net), self.weight_decay
        by_step = {"weight_decay": decay.value} if decay.by == "step" else {}
        trainer = VitTrainer(
            net,
            make(self.method, net.parameters(), eta=self.eta, b0=b0, **by_step),
            images,
            shrink=1.0 - self.eta * decay.value if decay.by == "eta" else 1.0,
            precision=self.precision,
            generator=generator(seed, ORDER_STREAM),
        )
        bar = partial(progress, desc=f"{self.method.name} b0={b0:g} seed={seed}", unit="step")
        finite, history = trainer.train(self.epochs, self.batch, Checkpoint(run), bar)
        best = best_epoch(history)
        results = {
            "classes": images.classes,
            "best_epoch": None if best is None else int(best["epoch"]),
            "validation_accuracy": None if best is None else float(best["validation_accuracy"]),
            "test_accuracy": None if best is None else float(best["test_accuracy"]),
            "weights_sha256": self._weights.sha256,
            "device": distributed.device().type,
            "processes": distributed.world_size(),
        }
        return Outcome(run, history, results, finite)


EXPERIMENT = Vit
